//! docs/rfcs.md: the RFCs of the design, section by section.

use std::fmt::Write as _;

use super::{cell, links};
use crate::citation::Citation;
use crate::demand::{Demands, Section};
use crate::evidence::{Evidence, Found};

const HEAD: &str = "\
# The RFCs of the design, section by section

Made by `cargo run -p millstream-ledger -- write`, as [rfc9293.md](rfc9293.md) is; a section that a comment cites must be here,
and a section that is here must be cited by a test, or say why none cites it.
";

pub(super) fn text(demands: &Demands, found: &Found) -> String {
    let mut page = HEAD.to_owned();
    let mut last = None;
    for row in &demands.sections {
        if last != Some(row.rfc) {
            last = Some(row.rfc);
            let _ = writeln!(page, "\n## RFC {}\n", row.rfc);
            page.push_str("| section | what | where | tests, or the reason |\n|---|---|---|---|\n");
        }
        let none = Evidence::default();
        let evidence = evidence(found, row).unwrap_or(&none);
        let reason = cell(&row.reason);
        let _ = writeln!(
            page,
            "| {} | {} | {} | {reason}{} |",
            row.section,
            cell(&row.what),
            links(&evidence.code),
            links(&evidence.tests),
        );
    }
    page
}

fn evidence<'a>(found: &'a Found, row: &Section) -> Option<&'a Evidence> {
    found.get(&Citation::Section {
        rfc: row.rfc,
        section: row.section.clone(),
    })
}

pub(super) fn faults(demands: &Demands, found: &Found) -> Vec<String> {
    let mut faults = Vec::new();
    for row in &demands.sections {
        let tested = evidence(found, row).is_some_and(|evidence| !evidence.tests.is_empty());
        if !tested && row.reason.is_empty() {
            faults.push(format!("RFC {} {}: no test cites it", row.rfc, row.section));
        }
        if tested && !row.reason.is_empty() {
            faults.push(format!(
                "RFC {} {}: a test cites it, so the reason in docs/ledger/rfcs.tsv is out of date",
                row.rfc, row.section
            ));
        }
    }
    faults
}
