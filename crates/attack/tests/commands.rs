//! The program from outside: the attacks that it lists, plays and refuses.

use std::process::{Command, Output};

fn attack(args: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_millstream-attack");
    let output = Command::new(program).args(args).output();
    output.expect("the program starts")
}

#[test]
fn an_attack_that_is_not_there_is_refused() {
    let output = attack(&["run", "syn-food"]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("there is no attack \"syn-food\""), "{said}");
}

#[test]
fn every_listed_attack_can_be_played() {
    let listed = attack(&["list"]);
    let listed = String::from_utf8(listed.stdout).expect("text");
    assert!(listed.lines().count() > 30, "{listed}");
    let names = ["bad-headers", "duplicate-acks", "cookie-guess"];
    assert!(names.iter().all(|name| listed.contains(name)));
    let played = attack(&["run", "--short", "--json", names[0], names[1], names[2]]);
    let reports: serde_json::Value = serde_json::from_slice(&played.stdout).expect("JSON");
    let told: Vec<_> = reports
        .as_array()
        .expect("a list")
        .iter()
        .map(|report| report["attack"].as_str().expect("a name"))
        .collect();
    assert_eq!(told, names);
    // Each attack is within its limits, or the program's exit status reports a failure.
    assert!(played.status.success(), "{reports:#}");
}
