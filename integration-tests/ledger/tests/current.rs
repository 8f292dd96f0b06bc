//! The ledger is complete and its pages are current.

use std::path::Path;

use millstream_ledger::page::{self, Pages};

#[test]
fn every_demand_is_met_or_explained_and_the_pages_say_so() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let Pages { texts, mut faults } = page::make(&root).expect("tables and sources");
    for (name, text) in texts {
        faults.extend(page::stale(&root, name, &text));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
