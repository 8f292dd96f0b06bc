//! The ledger is complete, and all pages made by this package are current.

use std::path::Path;

use millstream_ledger::modules;
use millstream_ledger::page::{self, Pages};

#[test]
fn the_ledger_has_no_faults_and_its_pages_are_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let Pages { texts, mut faults } = page::make(&root).expect("tables and sources");
    for (name, text) in texts {
        faults.extend(page::stale(&root, name, &text, "write"));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_page_of_modules_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = modules::make(&root).expect("sources with descriptions");
    let fault = page::stale(&root, modules::PAGE, &text, "modules");
    assert_eq!(fault, None);
}

#[test]
fn no_modules_refer_to_each_other_in_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let faults = modules::circles(&root).expect("sources with descriptions");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
