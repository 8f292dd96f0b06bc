//! `quickstart`, run from the command line.

use std::io::Read as _;
use std::process::{Command, Stdio};

fn quickstart(bytes: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quickstart"));
    command.args(["--bytes", bytes]).stderr(Stdio::piped());
    command
}

#[test]
fn the_output_describes_the_connection() {
    let output = quickstart("1000000")
        .output()
        .expect("the program was built");
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stdout).expect("it prints text");
    for words in [
        "every byte came back as it was sent",
        "retransmissions  ",
        "CLOSED -> SYN-SENT -> ESTABLISHED -> FIN-WAIT-1",
    ] {
        assert!(told.contains(words), "no {words:?} in\n{told}");
    }
}

#[test]
fn a_closed_output_is_not_an_error() {
    let mut child = quickstart("1000000")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program was built");
    drop(child.stdout.take());
    let mut told = String::new();
    let mut stderr = child.stderr.take().expect("a pipe");
    stderr.read_to_string(&mut told).expect("text");
    assert!(child.wait().expect("it ends").success(), "{told}");
    assert!(!told.contains("panicked"), "{told}");
}

#[test]
fn a_transfer_of_zero_bytes_is_rejected() {
    let output = quickstart("0").output().expect("the program was built");
    assert!(!output.status.success(), "{output:?}");
}
