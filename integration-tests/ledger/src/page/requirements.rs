//! docs/rfc9293.md: the requirements of RFC 9293, one in each row.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{cell, links};
use crate::citation::Citation;
use crate::demand::{Demands, Reason, Requirement, Status};
use crate::evidence::{Evidence, Found};

const HEAD: &str = "\
# RFC 9293, requirement by requirement

Made by `cargo run -p millstream-ledger -- write` from the citations in code, tests and wire scripts and from the tables in
`docs/ledger`; the tests of that package fail when it is not current, when a requirement has neither a test nor a reason, and
when something is cited that does not exist.
";

pub(super) fn text(demands: &Demands, found: &Found) -> String {
    let mut page = HEAD.to_owned();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut rows = String::new();
    for row in &demands.requirements {
        let none = Evidence::default();
        let evidence = evidence(found, row).unwrap_or(&none);
        let reason = demands.reasons.get(&row.name);
        let status = reason.map_or("done", |reason| word(reason.status));
        *counts.entry(status).or_default() += 1;
        let _ = writeln!(
            rows,
            "| {} | {} | {} | {status} | {} | {} |",
            row.name,
            row.section,
            cell(&row.what),
            links(&evidence.code),
            shown(evidence, reason),
        );
    }
    let counts: Vec<_> = counts
        .iter()
        .map(|(status, n)| format!("{n} {status}"))
        .collect();
    let _ = writeln!(
        page,
        "\n{} requirements: {}.\n",
        demands.requirements.len(),
        counts.join(", ")
    );
    page.push_str("| requirement | section | what | status | where | tests, or the reason |\n");
    page.push_str("|---|---|---|---|---|---|\n");
    page + &rows
}

fn evidence<'a>(found: &'a Found, row: &Requirement) -> Option<&'a Evidence> {
    found.get(&Citation::Requirement(row.name.clone()))
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Deviation => "deviation",
        Status::NotDone => "not done",
        Status::Planned => "planned",
        Status::NotOurs => "not ours",
        Status::ByDesign => "by design",
    }
}

fn shown(evidence: &Evidence, reason: Option<&Reason>) -> String {
    let reason = reason.map(|reason| cell(&reason.reason));
    let tests = Some(links(&evidence.tests)).filter(|tests| !tests.is_empty());
    [reason, tests]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("<br>")
}

pub(super) fn faults(demands: &Demands, found: &Found) -> Vec<String> {
    let mut faults = Vec::new();
    for row in &demands.requirements {
        let evidence = evidence(found, row);
        let cited = evidence.is_some();
        let tested = evidence.is_some_and(|evidence| !evidence.tests.is_empty());
        match demands.reasons.get(&row.name) {
            None if !cited => faults.push(format!("{}: nothing cites it: {}", row.name, row.what)),
            None if !tested => {
                faults.push(format!("{}: no test cites it: {}", row.name, row.what));
            }
            Some(Reason { status, .. }) if cited && *status == Status::NotDone => {
                faults.push(format!("{}: cited although it is not done", row.name));
            }
            _ => {}
        }
    }
    for name in demands.reasons.keys() {
        if !demands.requirements.iter().any(|row| row.name == *name) {
            faults.push(format!("docs/ledger/reasons.toml: no requirement {name}"));
        }
    }
    faults
}
