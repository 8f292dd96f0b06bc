//! Checks that the pages about the scripts are correct.

use std::fs;
use std::path::Path;

use millstream_conformance::{heading, page, suite};

fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_list_of_behaviours_is_current() {
    let written = fs::read_to_string(home().join(page::PATH)).expect("docs/conformance.md");
    let wanted = page::text(&home().join("scripts")).expect("scripts that say what they show");
    assert!(
        written == wanted,
        "docs/conformance.md is stale: cargo run -p millstream-conformance -- page"
    );
}

#[test]
fn every_difference_from_linux_is_among_the_deviations() {
    let deviations =
        fs::read_to_string(home().join("../../docs/deviations.md")).expect("docs/deviations.md");
    let scripts = home().join("scripts");
    for path in suite::find(std::slice::from_ref(&scripts)).expect("scripts") {
        let source = fs::read_to_string(&path).expect("a script");
        let name = path
            .strip_prefix(&scripts)
            .expect("below")
            .with_extension("");
        let named = deviations.contains(&format!("`{}`", name.display()));
        let differs = heading::linux_differs(&source).is_some();
        assert_eq!(named, differs, "{} in docs/deviations.md", name.display());
    }
}

#[test]
fn there_are_at_least_250_scripts() {
    let scripts = suite::find(&[home().join("scripts")]).expect("scripts");
    assert!(scripts.len() >= 250, "{}", scripts.len());
}
