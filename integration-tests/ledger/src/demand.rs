//! What is asked for, from the tables in docs/ledger: the requirements of RFC 9293, the sections of the other
//! RFCs, and the reasons for what is done otherwise or not at all.

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
    /// `MUST-12`.
    pub name: String,
    /// Where RFC 9293 says it.
    pub section: String,
    /// The part of the stack it concerns.
    pub area: String,
    /// What it asks for.
    pub what: String,
}

/// A section of an RFC that the stack is built from.
#[derive(Debug, Deserialize)]
pub struct Section {
    /// The RFC's number.
    pub rfc: u32,
    /// The section's number.
    pub section: String,
    /// What it asks for.
    pub what: String,
    /// Why no test cites it, where none does; else empty.
    pub reason: String,
}

/// Why a requirement is met otherwise or not at all.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// How far it is met.
    pub status: Status,
    /// Why so.
    pub reason: String,
}

/// How a requirement that is not simply done stands.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Done otherwise than it says.
    Deviation,
    /// Not done.
    NotDone,
    /// Comes with another part of the stack.
    Planned,
    /// Speaks to somebody else than a stack.
    NotOurs,
    /// Done by the way it is built: there is no single place to cite.
    ByDesign,
}

/// The three tables.
#[derive(Debug)]
pub struct Demands {
    /// In the order of the file.
    pub requirements: Vec<Requirement>,
    /// In the order of the file.
    pub sections: Vec<Section>,
    /// By the requirement's name.
    pub reasons: BTreeMap<String, Reason>,
}

/// Reads the tables of the project at `root`.
///
/// # Errors
/// A table that is missing or has a row of another form.
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
