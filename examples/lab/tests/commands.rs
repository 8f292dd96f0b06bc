//! The program as one runs it.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use pcap_file::pcapng::{Block, PcapNgReader};
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
    let file = std::fs::File::open(path).expect("a capture");
    let mut reader = PcapNgReader::new(file).expect("pcapng");
    let mut packets = Vec::new();
    while let Some(block) = reader.next_block() {
        if let Block::EnhancedPacket(packet) = block.expect("a block") {
            packets.push((packet.timestamp, packet.data[0]));
        }
    }
    packets
}

#[test]
fn list_names_every_section() {
    let list = stdout(&["list"]);
    assert_eq!(list.lines().count(), 11);
    for section in ["S1a ", "S2a ", "S3a ", "S4a ", "S5 ", "S6 "] {
        assert!(list.contains(section), "no {section} in\n{list}");
    }
}

#[test]
fn without_a_terminal_it_is_plain() {
    let told = stdout(&["run", "S5"]);
    assert!(
        told.contains("◀────────── S 0:0(0) win 8192 <mss 512> ─"),
        "{told}"
    );
    assert!(
        told.contains("^ the document leaves out \"win 4096\""),
        "{told}"
    );
    assert!(!told.contains('\u{1b}'), "there are escape sequences");
}

#[test]
fn files_have_every_segment() {
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
    assert_eq!(packets[5], (Duration::from_micros(9_527_634), 0x45));

    let picture = std::fs::read_to_string(&picture).expect("a picture");
    assert_eq!(picture.matches("class=\"segment\"").count(), 6);
    assert!(picture.contains("R 14:14(0) ack 1 win 0"));
}

#[test]
fn several_scenarios_have_a_file_each() {
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
fn all_is_every_scenario() {
    assert_eq!(stdout(&["run", "all", "--json"]).lines().count(), 11);
}

#[test]
fn what_there_is_not_is_said() {
    let output = lab(&["run", "S9"]);
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("there is no scenario S9"), "{told}");
}
