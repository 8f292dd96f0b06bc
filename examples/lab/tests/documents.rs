//! Checks that the generated documents in the repository are current.

use millstream_lab::{picture, scenarios, tutorial};

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");

fn check(name: &str, current: &str, command: &str) {
    let path = format!("{DOCS}/{name}");
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let first = kept
        .lines()
        .zip(current.lines())
        .find(|(kept, now)| kept != now);
    assert!(
        kept == current,
        "docs/{name} is not current, the first difference is {first:?}: run `cargo run -p millstream-lab -- {command}`"
    );
}

#[test]
fn tutorial_is_current() {
    let text = tutorial::text().expect("every scenario of it goes well");
    check("tutorial.md", &text, "tutorial -o docs/tutorial.md");
}

#[test]
fn ladder_is_current() {
    let scenario = scenarios::named("S5")[0];
    let trace = (scenario.memory)().expect("it goes as the scenario wants it");
    let mut svg = Vec::new();
    svg::write(&mut svg, &picture::svg(scenario, &trace)).expect("a Vec takes everything");
    let svg = String::from_utf8(svg).expect("it is text");
    check("ladder.svg", &svg, "run S5 --svg docs/ladder.svg");
}
