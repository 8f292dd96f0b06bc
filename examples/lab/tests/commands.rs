//! The program, run from the command line.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use millstream_testbed::capture::Reader;
use serde_json::Value;

fn lab(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_millstream-lab"))
        .args(arguments)
        .output()
        .expect("the program was built")
}

fn stdout(arguments: &[&str]) -> String {
    let output = lab(arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("it prints text")
}

/// The times of a capture's packets, and their first bytes.
fn packets(path: &Path) -> Vec<(Duration, u8)> {
    Reader::open(path)
        .expect("a capture")
        .map(|record| record.expect("a packet"))
        .map(|record| (record.time, record.bytes[0]))
        .collect()
}

#[test]
fn list_names_every_section() {
    let list = stdout(&["list"]);
    assert_eq!(list.lines().count(), 16);
    for section in ["S1a ", "S2a ", "S3a ", "S4a ", "S5 ", "S6 ", "S7 ", "S8a "] {
        assert!(list.contains(section), "no {section} in\n{list}");
    }
}

#[test]
fn without_a_terminal_the_output_is_plain() {
    let told = stdout(&["run", "S5"]);
    assert!(told.contains("S 0:0(0) win 8192 <mss 512> ─"), "{told}");
    assert!(
        told.contains("^ the classic trace leaves out \"win 4096\""),
        "{told}"
    );
    assert!(!told.contains('\u{1b}'), "there are escape sequences");
}

#[test]
fn capture_files_contain_every_segment() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (capture, picture) = (directory.join("s3b.pcapng"), directory.join("s3b.svg"));
    let path = |path: &Path| path.to_str().expect("a path of text").to_owned();
    let (pcap, svg) = (path(&capture), path(&picture));
    let told = stdout(&["run", "s3b", "--json", "--pcap", &pcap, "--svg", &svg]);

    let told: Value = serde_json::from_str(&told).expect("one object");
    let entries = told["entries"].as_array().expect("a list");
    let segments: Vec<_> = entries.iter().filter(|e| e["kind"] == "segment").collect();
    assert_eq!(segments.len(), 6);
    assert_eq!(segments[0]["raw_seq"], 671_112_193);
    assert_eq!(segments[5]["flags"], "R.");

    let packets = packets(&capture);
    assert_eq!(packets.len(), 6);
    // A capture starts at one second: some programs treat a time of zero as missing.
    assert_eq!(packets[0], (Duration::from_secs(1), 0x45));
    assert_eq!(packets[5], (Duration::from_micros(10_527_634), 0x45));

    let picture = std::fs::read_to_string(&picture).expect("a picture");
    assert_eq!(picture.matches("class=\"segment\"").count(), 6);
    assert!(picture.contains("R 14:14(0) ack 1 win 0"));
    for words in [
        "S3b: abortive release",
        "svr4: read() fails: Connection reset by peer",
    ] {
        assert!(picture.contains(words), "no {words:?} in the picture");
    }
}

#[test]
fn each_of_several_scenarios_has_its_own_file() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let capture = directory.join("several.pcapng");
    let told = stdout(&[
        "run",
        "S3",
        "--json",
        "--pcap",
        capture.to_str().expect("text"),
    ]);
    assert_eq!(told.lines().count(), 2);
    assert_eq!(packets(&directory.join("several-S3a.pcapng")).len(), 6);
    assert_eq!(packets(&directory.join("several-S3b.pcapng")).len(), 6);
}

#[test]
fn all_selects_every_scenario() {
    assert_eq!(stdout(&["run", "all", "--json"]).lines().count(), 16);
}

#[test]
fn unknown_names_are_reported() {
    let output = lab(&["run", "S9"]);
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("there is no scenario S9"), "{told}");
}

/// A path in the tests' temporary directory, as text.
fn scratch(name: &str) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    path.to_str().expect("a path of text").to_owned()
}

/// A capture of a scenario.
fn capture_of(id: &str, name: &str) -> String {
    let file = scratch(name);
    stdout(&["run", id, "--json", "--pcap", &file]);
    file
}

fn refused(arguments: &[&str]) -> String {
    let output = lab(arguments);
    assert!(!output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stderr).expect("it prints text");
    assert!(!told.contains("backtrace"), "{told}");
    told
}

/// The program's output for this input.
fn fed(arguments: &[&str], input: &[u8]) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_millstream-lab"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program was built");
    let mut stdin = program.stdin.take().expect("a pipe");
    stdin.write_all(input).expect("it reads");
    drop(stdin);
    let output = program.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("it prints text")
}

#[test]
fn output_is_coloured_on_request() {
    let output = Command::new(env!("CARGO_BIN_EXE_millstream-lab"))
        .args(["run", "S3b"])
        .env("CLICOLOR_FORCE", "1")
        .env_remove("NO_COLOR")
        .output()
        .expect("the program was built");
    let told = String::from_utf8(output.stdout).expect("it prints text");
    let green_syn = "\u{1b}[32m─ S 0:0(0) win 4096";
    let red_reset = "\u{1b}[31m─ R 14:14(0)";
    let red_error = "\u{1b}[31m! svr4: read() fails: Connection reset by peer\u{1b}[0m";
    for coloured in [green_syn, red_reset, red_error, "\u{1b}[36mCLOSED\u{1b}[0m"] {
        assert!(told.contains(coloured), "no {coloured:?} in {told:?}");
    }
}

#[test]
fn decode_reads_digits_captures_and_standard_input() {
    let header = "0016 ed67 00000001 00000002 50 10 013a 29cf 0000";
    let told = stdout(&["decode", header, "--scale", "7"]);
    assert!(told.contains("Calculated window: 40192"), "{told}");
    assert_eq!(
        fed(&["decode", "-", "--scale", "7"], header.as_bytes()),
        told
    );

    let told = stdout(&["decode", "--options", "020405b4", "01030308", "01010402"]);
    assert!(told.contains("Shift count: 8 (multiply by 256)"), "{told}");

    let capture = capture_of("S1b", "decode.pcapng");
    let told = stdout(&["decode", &capture]);
    assert_eq!(told.matches("Packet ").count(), 7);
    assert_eq!(told.matches("Comment: lost on the link").count(), 7);
    assert!(told.contains("Packet 2 at 1.000000 s"), "{told}");
    let bytes = std::fs::read(&capture).expect("a capture");
    assert_eq!(fed(&["decode", "-"], &bytes), told);

    let second = stdout(&["decode", &capture, "--packet", "2", "--json"]);
    let second: Value = serde_json::from_str(&second).expect("one object");
    assert_eq!(second["packet"], 2);
    assert_eq!(second["comments"][0], "lost on the link");
}

#[test]
fn decode_reports_errors() {
    let capture = capture_of("S1b", "wrong.pcapng");
    let bytes = std::fs::read(&capture).expect("a capture");
    let (cut, empty) = (scratch("cut.pcapng"), scratch("empty.pcapng"));
    std::fs::write(&cut, &bytes[..20]).expect("written");
    // The packet's header alone.
    std::fs::write(&empty, &bytes[..28]).expect("written");
    let directory = scratch("");
    for (arguments, words) in [
        (vec!["decode", &capture, &capture], "one at a time"),
        (vec!["decode", &directory], "is a directory"),
        (vec!["decode", &cut], "cut short"),
        (vec!["decode", &empty], "no packets"),
        (vec!["decode", &capture, "--packet", "8"], "packets 1 to 7"),
        (vec!["decode", "no-such-file.pcap"], "no file of that name"),
        (vec!["run", "S7", "--over", "tun"], "only over memory"),
    ] {
        let told = refused(&arguments);
        assert!(told.contains(words), "{arguments:?}: {told}");
    }
}

#[test]
fn plot_keeps_the_ladder_and_draws_every_connection() {
    let (capture, ladder) = (scratch("plotted.pcapng"), scratch("plotted.svg"));
    stdout(&["run", "S2b", "--json", "--pcap", &capture, "--svg", &ladder]);
    let before = std::fs::read(&ladder).expect("a ladder");
    let told = stdout(&["plot", &capture]);
    assert!(told.ends_with("plotted-plot.svg\n"), "{told}");
    assert_eq!(std::fs::read(&ladder).expect("a ladder"), before);
    let drawn = std::fs::read_to_string(scratch("plotted-plot.svg")).expect("a plot");
    assert!(drawn.starts_with("<svg"));

    let told = stdout(&["plot", &capture, "--all", "-o", &scratch("each.png")]);
    // The port is used three times: once to listen, and twice to connect.
    for number in 1..=3 {
        let name = format!("each-{number}.png");
        assert!(told.contains(&name), "{told}");
        let png = std::fs::read(scratch(&name)).expect("a plot");
        assert!(png.starts_with(b"\x89PNG"));
    }

    let mut bytes = std::fs::read(&capture).expect("a capture");
    bytes.truncate(bytes.len() - 5);
    let cut = scratch("plotted-cut.pcapng");
    std::fs::write(&cut, bytes).expect("written");
    let output = lab(&["plot", &cut]);
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("is skipped"), "{told}");
}

#[test]
fn diagram_chooses_the_format_by_file_name() {
    for (name, beginning) in [
        ("d.svg", "<svg"),
        ("d.dot", "digraph"),
        ("d.GV", "digraph"),
        ("d.txt", " "),
    ] {
        let file = scratch(name);
        stdout(&["diagram", "-o", &file]);
        let drawn = std::fs::read_to_string(&file).expect("a diagram");
        assert!(drawn.starts_with(beginning), "{name}");
    }
    assert!(stdout(&["diagram", "--format", "dot"]).starts_with("digraph"));
    for name in ["d.foo", "d"] {
        let file = scratch(name);
        let told = refused(&["diagram", "-o", &file]);
        assert!(told.contains(".txt, .dot, .gv or .svg"), "{told}");
        assert!(!Path::new(&file).exists(), "{file}");
        stdout(&["diagram", "-o", &file, "--format", "svg"]);
        std::fs::remove_file(file).expect("was written");
    }
}

#[test]
fn a_closed_output_is_not_an_error() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_millstream-lab"))
        .args(["run", "all"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program was built");
    // The output is larger than a pipe's buffer.
    drop(program.stdout.take());
    let output = program.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn json_contains_the_classic_print_and_the_timestamps() {
    let told: Value = serde_json::from_str(&stdout(&["run", "S5", "--json"])).expect("one object");
    let printed = told["printed"].as_array().expect("a list");
    assert_eq!(printed.len(), 12);
    assert_eq!(
        printed[8]["line"],
        " 9 13.060395 vangogh.7777 > bsdi.8888: F 14:14(0) ack 14"
    );
    assert!(printed[8]["remarks"][0].to_string().contains("win 8192"));

    let told: Value = serde_json::from_str(&stdout(&["run", "S7", "--json"])).expect("one object");
    let entries = told["entries"].as_array().expect("a list");
    let segments: Vec<_> = entries.iter().filter(|e| e["kind"] == "segment").collect();
    assert_eq!(
        segments[1]["timestamps"]["echo"],
        segments[0]["timestamps"]["value"]
    );
    assert_eq!(segments[5]["ecn"], "11");
    assert!(told.get("printed").is_none());
}
