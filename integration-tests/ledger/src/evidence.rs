//! The evidence for each citation: places in the code and in the tests.

use std::collections::{BTreeMap, BTreeSet};

use crate::citation::{self, Citation};
use crate::place;
use crate::tree::Source;

/// A citing item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, relative to the root.
    pub path: String,
    /// The item in the file; `None` for the whole file.
    pub item: Option<String>,
}

/// The places with the same citation.
#[derive(Debug, Default)]
pub struct Evidence {
    /// Places of the implementation.
    pub code: BTreeSet<Place>,
    /// Places of tests.
    pub tests: BTreeSet<Place>,
}

/// All citations of the tree.
pub type Found = BTreeMap<Citation, Evidence>;

/// Collects the citations of `sources`.
pub fn collect(sources: &[Source]) -> Found {
    let mut found = Found::new();
    for source in sources.iter().filter(|source| !is_helper(&source.path)) {
        let lines: Vec<_> = source.text.lines().collect();
        let tests_begin = tests_begin(&source.path, &lines);
        for (at, line) in lines.iter().enumerate() {
            for citation in citation::in_line(line) {
                let evidence = found.entry(citation).or_default();
                let places = if at >= tests_begin {
                    &mut evidence.tests
                } else {
                    &mut evidence.code
                };
                places.insert(Place {
                    path: source.path.clone(),
                    item: item(source, &lines, at),
                });
            }
        }
    }
    found
}

/// Test helpers are not evidence.
fn is_helper(path: &str) -> bool {
    path.contains("/tests/support/") || path.contains("/tests/common/")
}

/// The index of the first line of tests: zero in a test file, otherwise that of `mod tests`.
fn tests_begin(path: &str, lines: &[&str]) -> usize {
    let all = path.ends_with(".pkt")
        || path.starts_with("integration-tests/")
        || path.starts_with("crates/testbed/")
        || path.contains("/tests/")
        || path.ends_with("tests.rs");
    if all {
        return 0;
    }
    let module = lines
        .iter()
        .position(|line| line.starts_with("mod tests {"));
    module.unwrap_or(usize::MAX)
}

fn item(source: &Source, lines: &[&str], at: usize) -> Option<String> {
    if source.path.ends_with(".pkt") {
        return None;
    }
    place::item(lines, at)
}
