//! The ledger is complete and its pages are current.

use std::path::Path;

use millstream_ledger::page::{self, Pages};

#[test]
fn the_ledger_has_no_faults_and_its_pages_are_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let Pages { texts, mut faults } = page::make(&root).expect("tables and sources");
    for (name, text) in texts {
        faults.extend(page::stale(&root, name, &text));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
