//! The demands, from the tables in docs/ledger: the requirements of RFC 9293, the sections of the
//! other RFCs, and the reasons for deviations and omissions.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

const REQUIREMENTS: &str = "docs/ledger/rfc9293-requirements.tsv";
const SECTIONS: &str = "docs/ledger/rfcs.tsv";
const REASONS: &str = "docs/ledger/reasons.toml";

/// A row of RFC 9293's own summary of requirements (appendix B).
#[derive(Debug, Deserialize)]
pub struct Requirement {
    /// The name, such as `MUST-12`.
    pub name: String,
    /// The section of RFC 9293.
    pub section: String,
    /// The part of the stack that it concerns.
    pub area: String,
    /// A summary of the requirement.
    pub what: String,
}

/// A section of an RFC that the stack implements.
#[derive(Debug, Deserialize)]
pub struct Section {
    /// The RFC's number.
    pub rfc: u32,
    /// The section's number.
    pub section: String,
    /// A summary of the section.
    pub what: String,
    /// The reason why no test cites it; empty if a test does.
    pub reason: String,
}

/// The reason for a deviation or omission.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// The status of the requirement.
    pub status: Status,
    /// The explanation.
    pub reason: String,
}

/// The status of a requirement with a reason.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Implemented differently.
    Deviation,
    /// Not implemented.
    NotDone,
    /// To be implemented with another part of the stack.
    Planned,
    /// Addressed to others than a TCP/IP stack.
    NotOurs,
    /// Fulfilled by the design: there is no single place to cite.
    ByDesign,
}

/// The contents of the three tables.
#[derive(Debug)]
pub struct Demands {
    /// Requirements in the order of the file.
    pub requirements: Vec<Requirement>,
    /// Sections in the order of the file.
    pub sections: Vec<Section>,
    /// Reasons by the name of the requirement.
    pub reasons: BTreeMap<String, Reason>,
}

/// Reads the tables of the project at `root`.
///
/// # Errors
/// If a table is missing or has a malformed row.
pub fn read(root: &Path) -> Result<Demands> {
    let reasons = fs::read_to_string(root.join(REASONS)).context(REASONS)?;
    Ok(Demands {
        requirements: table(&root.join(REQUIREMENTS)).context(REQUIREMENTS)?,
        sections: table(&root.join(SECTIONS)).context(SECTIONS)?,
        reasons: toml::from_str(&reasons).context(REASONS)?,
    })
}

fn table<Row: DeserializeOwned>(path: &Path) -> Result<Vec<Row>> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(b'\t')
        .has_headers(false)
        .quoting(false)
        .comment(Some(b'#'))
        .from_path(path)?;
    Ok(reader.deserialize().collect::<Result<_, _>>()?)
}
