//! The two pages, and the faults of the ledger.

mod requirements;
mod sections;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::citation::Citation;
use crate::demand::{self, Demands};
use crate::evidence::{self, Found, Place};
use crate::tree::{self, Source};

/// The pages with their paths from the root, and the faults.
#[derive(Debug)]
pub struct Pages {
    /// Path and text.
    pub texts: [(&'static str, String); 2],
    /// One sentence for each fault.
    pub faults: Vec<String>,
}

/// Creates the pages from the tables and sources below `root`.
///
/// # Errors
/// If tables or sources cannot be read.
pub fn make(root: &Path) -> Result<Pages> {
    Ok(judge(&demand::read(root)?, &tree::sources(root)?))
}

fn judge(demands: &Demands, sources: &[Source]) -> Pages {
    let found = evidence::collect(sources);
    let mut faults = unknown(demands, &found);
    faults.extend(requirements::faults(demands, &found));
    faults.extend(sections::faults(demands, &found));
    Pages {
        texts: [
            ("docs/rfc9293.md", requirements::text(demands, &found)),
            ("docs/rfcs.md", sections::text(demands, &found)),
        ],
        faults,
    }
}

/// A fault if the page `name` below `root` differs from `text`; the subcommand `write` writes it.
pub fn stale(root: &Path, name: &str, text: &str, write: &str) -> Option<String> {
    let written = fs::read_to_string(root.join(name)).unwrap_or_default();
    (written != text).then(|| format!("{name} is stale: cargo run -p millstream-ledger -- {write}"))
}

/// Faults for citations of requirements and sections that are in no table.
fn unknown(demands: &Demands, found: &Found) -> Vec<String> {
    let requirements: BTreeSet<_> = demands.requirements.iter().map(|row| &row.name).collect();
    let sections: BTreeSet<_> = demands
        .sections
        .iter()
        .map(|row| (row.rfc, &row.section))
        .collect();
    let mut faults = Vec::new();
    for (citation, evidence) in found {
        let (known, named, table) = match citation {
            Citation::Requirement(name) => (
                requirements.contains(name),
                name.clone(),
                "RFC 9293 has no such requirement",
            ),
            Citation::Section { rfc, section } => (
                sections.contains(&(*rfc, section)),
                format!("RFC {rfc} {section}"),
                "docs/ledger/rfcs.tsv has no such section",
            ),
        };
        if !known {
            for place in evidence.code.iter().chain(&evidence.tests) {
                faults.push(format!("{}: cites {named}: {table}", place.path));
            }
        }
    }
    faults
}

/// Links to the places for a table cell: each file once, with its items.
fn links(places: &BTreeSet<Place>) -> String {
    let mut cell = String::new();
    let mut last = None;
    for Place { path, item } in places {
        if last != Some(path) {
            if last.is_some() {
                cell.push_str("<br>");
            }
            cell.push_str(&format!("[{}](../{path})", short(path)));
            last = Some(path);
        }
        if let Some(item) = item {
            cell.push_str(&format!(" `{item}`"));
        }
    }
    cell
}

/// A path without the folders common to all paths of its kind.
fn short(path: &str) -> String {
    let path = path.replace("integration-tests/conformance/scripts/", "");
    path.replace("crates/", "").replace("/src/", "/")
}

/// Text in the form of a table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::demand::{Reason, Requirement, Section, Status};

    fn demands() -> Demands {
        let requirement = |name: &str| Requirement {
            name: name.to_owned(),
            section: "3.1".to_owned(),
            area: "wire".to_owned(),
            what: "Be good".to_owned(),
        };
        Demands {
            requirements: ["MUST-1", "SHLD-1", "MAY-1"].map(requirement).into(),
            sections: vec![Section {
                rfc: 5961,
                section: "3.2".to_owned(),
                what: "Challenge".to_owned(),
                reason: String::new(),
            }],
            reasons: BTreeMap::new(),
        }
    }

    fn source(path: &str, text: &str) -> Source {
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    fn code() -> Source {
        source(
            "crates/engine/src/a.rs",
            "/// RFC 9293 MUST-1, SHLD-1, MAY-1; RFC 5961 3.2.\nfn a() {}\n",
        )
    }

    fn test() -> Source {
        source(
            "crates/engine/tests/a.rs",
            "/// MUST-1, SHLD-1, MAY-1, RFC 5961 3.2.\n#[test]\nfn holds() {}\n",
        )
    }

    #[test]
    fn a_tested_requirement_has_no_fault_and_lists_its_places() {
        let pages = judge(&demands(), &[code(), test()]);
        assert_eq!(pages.faults, Vec::<String>::new());
        let [(_, requirements), (_, sections)] = pages.texts;
        assert!(
            requirements.contains("`a` | [engine/tests/a.rs](../crates/engine/tests/a.rs) `holds`")
        );
        assert!(sections.contains("## RFC 5961"));
    }

    #[test]
    fn a_requirement_without_a_test_is_a_fault() {
        let shared = source("crates/engine/tests/support/a.rs", &test().text);
        for sources in [vec![code()], vec![code(), shared]] {
            assert_eq!(
                judge(&demands(), &sources).faults,
                [
                    "MUST-1: no test cites it: Be good",
                    "SHLD-1: no test cites it: Be good",
                    "MAY-1: no test cites it: Be good",
                    "RFC 5961 3.2: no test cites it",
                ]
            );
        }
    }

    #[test]
    fn a_reason_replaces_the_evidence() {
        let mut demands = demands();
        demands.sections.clear();
        let why = || Reason {
            status: Status::NotDone,
            reason: "Nobody wants it.".to_owned(),
        };
        let names = ["MUST-1", "SHLD-1", "MAY-1"];
        demands.reasons = names.map(|name| (name.to_owned(), why())).into();
        let pages = judge(&demands, &[]);
        assert_eq!(pages.faults, Vec::<String>::new());
        assert!(
            pages.texts[0]
                .1
                .contains("| not done |  | Nobody wants it. |")
        );
        let mentions = source("crates/engine/src/a.rs", "// MUST-1\nfn a() {}\n");
        assert_eq!(
            judge(&demands, &[mentions]).faults,
            ["MUST-1: cited although it is not done"]
        );
    }

    #[test]
    fn a_citation_of_something_nonexistent_is_a_fault() {
        let stray = source("crates/b.rs", "// MUST-99, RFC 5961 9.9\n");
        assert_eq!(
            judge(&demands(), &[code(), test(), stray]).faults,
            [
                "crates/b.rs: cites MUST-99: RFC 9293 has no such requirement",
                "crates/b.rs: cites RFC 5961 9.9: docs/ledger/rfcs.tsv has no such section",
            ]
        );
    }

    #[test]
    fn a_section_without_a_test_needs_a_reason() {
        let mut demands = demands();
        demands.requirements.clear();
        assert_eq!(
            judge(&demands, &[]).faults,
            ["RFC 5961 3.2: no test cites it"]
        );
        demands.sections[0].reason = "planned".to_owned();
        assert_eq!(judge(&demands, &[]).faults, Vec::<String>::new());
    }
}
