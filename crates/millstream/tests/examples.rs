//! Runs every example: each checks its own result and fails if it is not the expected one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the built examples, beside that of this test.
fn built() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let profile = test.ancestors().nth(2).expect("target/PROFILE");
    profile.join("examples")
}

fn names() -> BTreeSet<String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files = sources.read_dir().expect("the examples");
    files
        .map(|file| file.expect("an example").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            path.file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect()
}

#[test]
fn every_example_succeeds() {
    let names = names();
    assert!(names.len() >= 11, "{names:?}");
    for name in names {
        let program = built().join(&name);
        let output = Command::new(&program)
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{name}: {}\n{errors}",
            output.status
        );
        assert!(!output.stdout.is_empty(), "{name} prints nothing");
    }
}
