//! The program, run from the command line.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream-conformance"));
    command
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

fn output(arguments: &[&str]) -> Output {
    program(arguments).output().expect("the program was built")
}

#[test]
fn arguments_without_an_effect_are_rejected() {
    for arguments in [
        &["differential", "--sequences", "0"][..],
        &["differential", "--jobs", "0"],
        &["differential", "--limit", "0"],
        &["run", "scripts/states", "--jobs", "0"],
    ] {
        let output = output(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    }
}

#[test]
fn an_empty_script_fails() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("empty.pkt");
    fs::write(&path, "").expect("is written");
    let output = output(&["run", path.to_str().expect("text")]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8(output.stdout).expect("text");
    assert!(told.contains("expected: at least one event"), "{told}");
}

#[test]
fn a_closed_output_is_not_an_error() {
    let mut child = program(&["run", "scripts/states"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program was built");
    drop(child.stdout.take());
    let mut told = String::new();
    let mut stderr = child.stderr.take().expect("a pipe");
    stderr.read_to_string(&mut told).expect("text");
    assert!(child.wait().expect("it ends").success(), "{told}");
    assert_eq!(told, "");
}
