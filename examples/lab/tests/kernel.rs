//! Every scenario over TUN, with the Linux kernel as one host: each segment, the states of both
//! ends in order, and the results of the applications' calls.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use millstream_lab::scenarios;
use millstream_lab::segment::Segment;
use millstream_lab::trace::{Entry, Fate, Trace, What};
use millstream_testbed::cases;
use millstream_testbed::harness;
use millstream_testbed::lab::Lab;

mod over_tun {
    //! The expected results of each scenario. The ports are omitted from the lines if there is only
    //! one connection.

    use anyhow::ensure;
    use millstream_wire::tcp::Flags;

    use super::{
        Lab, Result, check, ensure_lines, ensure_segments, is_lost, lines, play, sorted_pairs,
    };

    /// The three-way handshake that the millstream stack begins.
    const HANDSHAKE: [&str; 3] = [
        "millstream > linux: S 0:0(0) <mss 1460,sackOK,TS,nop,wscale>",
        "linux > millstream: S 0:0(0) ack 1 <mss 1460,sackOK,TS,nop,wscale>",
        "millstream > linux: . 1:1(0) ack 1 <nop,nop,TS>",
    ];

    pub(super) async fn s1a(lab: &Lab) -> Result<()> {
        let trace = play("S1a", lab).await?;
        let rest = [
            "millstream > linux: P 1:14(13) ack 1 <nop,nop,TS>",
            "linux > millstream: . 1:1(0) ack 14 <nop,nop,TS>",
            "millstream > linux: F 14:14(0) ack 1 <nop,nop,TS>",
            "linux > millstream: . 1:1(0) ack 15 <nop,nop,TS>",
            "linux > millstream: P 1:15(14) ack 15 <nop,nop,TS>",
            "millstream > linux: . 15:15(0) ack 15 <nop,nop,TS>",
            "linux > millstream: F 15:15(0) ack 15 <nop,nop,TS>",
            "millstream > linux: . 15:15(0) ack 16 <nop,nop,TS>",
        ];
        ensure_segments(&trace, &[&HANDSHAKE[..], &rest].concat())?;
        check(
            &trace,
            &[
                "millstream.1099 with linux.7: CLOSED -> SYN-SENT -> ESTABLISHED -> FIN-WAIT-1 -> FIN-WAIT-2 -> TIME-WAIT -> CLOSED",
                "linux.7 with millstream.1099: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED -> CLOSE-WAIT -> LAST-ACK -> CLOSED",
            ],
            &[
                "linux: listen(7) = ok",
                "linux: accept() = millstream.1099",
                "linux: read() = 13 \"hello, world\\n\"",
                "linux: read() = 0, the end",
                "linux: write(14 bytes) = 14",
                "linux: shutdown(SHUT_WR) = ok",
                "millstream: connect(linux.7) = ok",
                "millstream: write(13 bytes) = 13",
                "millstream: shutdown(SHUT_WR) = ok",
                "millstream: read() = 14 \"hello, client\\n\"",
                "millstream: read() = 0, the end",
            ],
        )
    }

    pub(super) async fn s1b(lab: &Lab) -> Result<()> {
        const SYN: &str = "millstream > linux: S 0:0(0) <mss 1460,sackOK,TS,nop,wscale> lost";
        let trace = play("S1b", lab).await?;
        ensure_segments(&trace, &[SYN; 3])?;
        check(
            &trace,
            &["millstream.1099 with linux.7: CLOSED -> SYN-SENT -> CLOSED"],
            &["millstream: connect(linux.7) fails: Connection timed out"],
        )
    }

    pub(super) async fn s1c(lab: &Lab) -> Result<()> {
        let mut trace = play("S1c", lab).await?;
        // The kernel may not have sent the ACK that is to be lost: it may delay it until its FIN.
        trace.entries.retain(|entry| !is_lost(entry));
        let rest = [
            "millstream > linux: F 1:1(0) ack 1 <nop,nop,TS>",
            "linux > millstream: F 1:1(0) ack 2 <nop,nop,TS>",
            "millstream > linux: . 2:2(0) ack 2 <nop,nop,TS>",
        ];
        ensure_segments(&trace, &[&HANDSHAKE[..], &rest].concat())?;
        check(
            &trace,
            &[
                "millstream.1099 with linux.7: CLOSED -> SYN-SENT -> ESTABLISHED -> FIN-WAIT-1 -> TIME-WAIT -> CLOSED",
                "linux.7 with millstream.1099: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED -> CLOSE-WAIT -> LAST-ACK -> CLOSED",
            ],
            &[
                "linux: listen(7) = ok",
                "linux: accept() = millstream.1099",
                "linux: read() = 0, the end",
                "linux: shutdown(SHUT_WR) = ok",
                "millstream: connect(linux.7) = ok",
                "millstream: shutdown(SHUT_WR) = ok",
                "millstream: read() = 0, the end",
            ],
        )
    }

    pub(super) async fn s2a(lab: &Lab) -> Result<()> {
        let rest = [
            "millstream > linux: F 1:1(0) ack 1 <nop,nop,TS>",
            "linux > millstream: . 1:1(0) ack 2 <nop,nop,TS>",
            "linux > millstream: F 1:1(0) ack 2 <nop,nop,TS>",
            "millstream > linux: . 2:2(0) ack 2 <nop,nop,TS> lost",
            "linux > millstream: F 1:1(0) ack 2 <nop,nop,TS>",
            "millstream > linux: . 2:2(0) ack 2 <nop,nop,TS>",
        ];
        let trace = play("S2a", lab).await?;
        ensure_segments(&trace, &[&HANDSHAKE[..], &rest].concat())?;
        check(
            &trace,
            &[
                "millstream.1099 with linux.7: CLOSED -> SYN-SENT -> ESTABLISHED -> FIN-WAIT-1 -> FIN-WAIT-2 -> TIME-WAIT -> CLOSED",
                "linux.7 with millstream.1099: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED -> CLOSE-WAIT -> LAST-ACK -> CLOSED",
            ],
            &[
                "linux: listen(7) = ok",
                "linux: accept() = millstream.1099",
                "linux: read() = 0, the end",
                "linux: shutdown(SHUT_WR) = ok",
                "millstream: connect(linux.7) = ok",
                "millstream: shutdown(SHUT_WR) = ok",
                "millstream: read() = 0, the end",
            ],
        )
    }

    pub(super) async fn s2b(lab: &Lab) -> Result<()> {
        let first = [
            "linux > millstream: S 0:0(0) <mss 1460,sackOK,TS,nop,wscale>",
            "millstream > linux: S 0:0(0) ack 1 <mss 1460,sackOK,TS,nop,wscale>",
            "linux > millstream: . 1:1(0) ack 1 <nop,nop,TS>",
            "millstream > linux: F 1:1(0) ack 1 <nop,nop,TS>",
            "linux > millstream: . 1:1(0) ack 2 <nop,nop,TS>",
            "linux > millstream: F 1:1(0) ack 2 <nop,nop,TS>",
            "millstream > linux: . 2:2(0) ack 2 <nop,nop,TS>",
        ];
        let trace = play("S2b", lab).await?;
        ensure_segments(&trace, &[&first[..], &HANDSHAKE, &HANDSHAKE].concat())?;
        check(
            &trace,
            &[
                "linux.1098 with millstream.6666: CLOSED -> SYN-SENT -> ESTABLISHED -> CLOSE-WAIT -> LAST-ACK -> CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED",
                "millstream.6666 with linux.1098: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED -> FIN-WAIT-1 -> FIN-WAIT-2 -> TIME-WAIT -> CLOSED -> SYN-SENT -> ESTABLISHED",
                "millstream.6666 with linux.1099: CLOSED -> SYN-SENT -> ESTABLISHED",
                "linux.1099 with millstream.6666: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED",
            ],
            &[
                "linux: connect(millstream.6666) = ok",
                "linux: read() = 0, the end",
                "linux: shutdown(SHUT_WR) = ok",
                "linux: listen(1099) = ok",
                "linux: listen(1098) = ok",
                "millstream: listen(6666) = ok",
                "millstream: shutdown(SHUT_WR) = ok",
                "millstream: read() = 0, the end",
                "millstream: bind(6666) fails: Address already in use",
                "millstream: bind(6666, SO_REUSEADDR) = ok",
                "millstream: connect(linux.1098) fails: Cannot assign requested address",
                "millstream: bind(6666, SO_REUSEADDR) = ok",
                "millstream: connect(linux.1099) = ok",
                "millstream: bind(6666, SO_REUSEADDR) = ok",
                "millstream: connect(linux.1098) = ok",
            ],
        )
    }

    pub(super) async fn s2c(lab: &Lab) -> Result<()> {
        let trace = play("S2c", lab).await?;
        // The stack chooses the ports: the first one, and a different one.
        let mut syns = trace.segments().filter(|(_, s)| s.flags == Flags::SYN);
        let mut port = || syns.next().map_or(0, |(_, syn)| syn.from.port());
        let (first, second) = (port(), port());
        ensure!(first != second, "twice {first}");
        let closing = [
            "millstream > linux: F 1:1(0) ack 1 <nop,nop,TS>",
            "linux > millstream: . 1:1(0) ack 2 <nop,nop,TS>",
            "linux > millstream: F 1:1(0) ack 2 <nop,nop,TS>",
            "millstream > linux: . 2:2(0) ack 2 <nop,nop,TS>",
        ];
        ensure_segments(&trace, &[&HANDSHAKE[..], &closing, &HANDSHAKE].concat())?;
        check(
            &trace,
            &[
                &format!(
                    "millstream.{first} with linux.7: CLOSED -> SYN-SENT -> ESTABLISHED -> FIN-WAIT-1 -> FIN-WAIT-2 -> TIME-WAIT -> CLOSED"
                ),
                &format!(
                    "linux.7 with millstream.{first}: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED -> CLOSE-WAIT -> LAST-ACK -> CLOSED"
                ),
                &format!("millstream.{second} with linux.7: CLOSED -> SYN-SENT -> ESTABLISHED"),
                &format!(
                    "linux.7 with millstream.{second}: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED"
                ),
            ],
            &[
                "linux: listen(7) = ok",
                "linux: read() = 0, the end",
                "linux: shutdown(SHUT_WR) = ok",
                "millstream: connect(linux.7) = ok",
                "millstream: shutdown(SHUT_WR) = ok",
                "millstream: read() = 0, the end",
                "millstream: connect(linux.7) = ok",
            ],
        )
    }

    pub(super) async fn s3a(lab: &Lab) -> Result<()> {
        let tried = [
            "millstream > linux: S 0:0(0) <mss 1460,sackOK,TS,nop,wscale>",
            "linux > millstream: R 0:0(0) ack 1",
        ];
        let back = [
            "linux > millstream: S 0:0(0) <mss 1460,sackOK,TS,nop,wscale>",
            "millstream > linux: R 0:0(0) ack 1",
        ];
        let trace = play("S3a", lab).await?;
        ensure_segments(&trace, &[tried, tried, tried, back].concat())?;
        check(
            &trace,
            &[
                "millstream.61383 with linux.5001: CLOSED -> SYN-SENT -> CLOSED -> SYN-SENT -> CLOSED -> SYN-SENT -> CLOSED",
                "linux.61383 with millstream.5001: CLOSED -> SYN-SENT -> CLOSED",
            ],
            &[
                "linux: connect(millstream.5001) fails: Connection refused",
                "millstream: connect(linux.5001) fails: Connection refused",
                "millstream: connect(linux.5001) fails: Connection refused",
                "millstream: connect(linux.5001) fails: Connection refused",
            ],
        )
    }

    pub(super) async fn s3b(lab: &Lab) -> Result<()> {
        let rest = [
            "millstream > linux: P 1:14(13) ack 1 <nop,nop,TS>",
            "linux > millstream: . 1:1(0) ack 14 <nop,nop,TS>",
            "millstream > linux: R 14:14(0) ack 1 <nop,nop,TS>",
        ];
        let trace = play("S3b", lab).await?;
        ensure_segments(&trace, &[&HANDSHAKE[..], &rest].concat())?;
        check(
            &trace,
            &[
                "millstream.1099 with linux.8888: CLOSED -> SYN-SENT -> ESTABLISHED -> CLOSED",
                "linux.8888 with millstream.1099: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED -> CLOSED",
            ],
            &[
                "linux: listen(8888) = ok",
                "linux: accept() = millstream.1099",
                "linux: read() = 13 \"hello, world\\n\"",
                "linux: read() fails: Connection reset by peer",
                "millstream: connect(linux.8888) = ok",
                "millstream: write(13 bytes) = 13",
                "millstream: close() = ok",
            ],
        )
    }

    pub(super) async fn s4a(lab: &Lab) -> Result<()> {
        let rest = [
            "linux > millstream: R 1:1(0) ack 1 <nop,nop,TS> lost",
            "millstream > linux: P 1:45(44) ack 1 <nop,nop,TS>",
            "linux > millstream: R 1:1(0)",
        ];
        let trace = play("S4a", lab).await?;
        ensure_segments(&trace, &[&HANDSHAKE[..], &rest, &HANDSHAKE].concat())?;
        check(
            &trace,
            &[
                "millstream.40000 with linux.22: CLOSED -> SYN-SENT -> ESTABLISHED -> CLOSED",
                "linux.22 with millstream.40000: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED -> CLOSED",
                "millstream.40001 with linux.22: CLOSED -> SYN-SENT -> ESTABLISHED",
                "linux.22 with millstream.40001: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED",
            ],
            &[
                "linux: listen(22) = ok",
                "linux: accept() = millstream.40000",
                "linux: listen(22) = ok",
                "linux: accept() = millstream.40001",
                "millstream: connect(linux.22) = ok",
                "millstream: write(44 bytes) = 44",
                "millstream: read() fails: Connection reset by peer",
                "millstream: connect(linux.22) = ok",
            ],
        )
    }

    pub(super) async fn s4b(lab: &Lab) -> Result<()> {
        let rest = [
            "linux > millstream: R 1:1(0) ack 1 <nop,nop,TS> lost",
            "millstream > linux: . 0:0(0) ack 1 <nop,nop,TS>",
            "linux > millstream: R 1:1(0)",
        ];
        let trace = play("S4b", lab).await?;
        ensure_segments(&trace, &[&HANDSHAKE[..], &rest].concat())?;
        check(
            &trace,
            &[
                "millstream.40000 with linux.22: CLOSED -> SYN-SENT -> ESTABLISHED -> CLOSED",
                "linux.22 with millstream.40000: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED -> CLOSED",
            ],
            &[
                "linux: listen(22) = ok",
                "linux: accept() = millstream.40000",
                "millstream: connect(linux.22) = ok",
                "millstream: read() fails: Connection reset by peer",
            ],
        )
    }

    pub(super) async fn s5(lab: &Lab) -> Result<()> {
        let trace = play("S5", lab).await?;
        let mut opening = lines(&trace);
        let rest = opening.split_off(opening.len().min(5));
        // The order of the two SYNs is not determined. The kernel treats the SYN in the SYN-ACK
        // that crossed its own as a duplicate, and reports it by a D-SACK.
        ensure_lines(
            &sorted_pairs(opening, &[0]),
            &[
                "linux > millstream: S 0:0(0) <mss 1460,sackOK,TS,nop,wscale> held",
                "millstream > linux: S 0:0(0) <mss 1460,sackOK,TS,nop,wscale> held",
                "millstream > linux: S 0:0(0) ack 1 <mss 1460,sackOK,TS,nop,wscale> held",
                "linux > millstream: S 0:0(0) ack 1 <mss 1460,sackOK,TS,nop,wscale>",
                "linux > millstream: . 1:1(0) ack 1 <nop,nop,TS,nop,nop,sack 0:1>",
            ],
        )?;
        // Bare acknowledgments may be delayed and combined, except for the last.
        let last = rest.last().cloned().unwrap_or_default();
        let bare = |line: &String| line.contains(" . ") && *line != last;
        let told: Vec<_> = rest.iter().filter(|line| !bare(line)).cloned().collect();
        ensure_lines(
            &told,
            &[
                "millstream > linux: P 1:14(13) ack 1 <nop,nop,TS>",
                "linux > millstream: P 1:14(13) ack 14 <nop,nop,TS>",
                "linux > millstream: F 14:14(0) ack 14 <nop,nop,TS>",
                "millstream > linux: F 14:14(0) ack 15 <nop,nop,TS>",
                "linux > millstream: . 15:15(0) ack 15 <nop,nop,TS>",
            ],
        )?;
        check(
            &trace,
            &[
                "millstream.8888 with linux.7777: CLOSED -> SYN-SENT -> SYN-RECEIVED -> ESTABLISHED -> CLOSE-WAIT -> LAST-ACK -> CLOSED",
                "linux.7777 with millstream.8888: CLOSED -> SYN-SENT -> SYN-RECEIVED -> ESTABLISHED -> FIN-WAIT-1 -> FIN-WAIT-2 -> TIME-WAIT",
            ],
            &[
                "linux: connect(millstream.8888) = ok",
                "linux: read() = 13 \"hello, world\\n\"",
                "linux: write(13 bytes) = 13",
                "linux: shutdown(SHUT_WR) = ok",
                "linux: read() = 0, the end",
                "millstream: connect(linux.7777) = ok",
                "millstream: write(13 bytes) = 13",
                "millstream: read() = 13 \"hello, world\\n\"",
                "millstream: read() = 0, the end",
                "millstream: shutdown(SHUT_WR) = ok",
            ],
        )
    }

    pub(super) async fn s6(lab: &Lab) -> Result<()> {
        let trace = play("S6", lab).await?;
        let rest = [
            "linux > millstream: F 1:1(0) ack 1 <nop,nop,TS> held",
            "millstream > linux: F 1:1(0) ack 1 <nop,nop,TS> held",
            "linux > millstream: . 2:2(0) ack 2 <nop,nop,TS>",
            "millstream > linux: . 2:2(0) ack 2 <nop,nop,TS>",
        ];
        // The order of the FINs is not determined, nor is that of their acknowledgments.
        let told = sorted_pairs(lines(&trace), &[3, 5]);
        ensure_lines(&told, &[&HANDSHAKE[..], &rest].concat())?;
        check(
            &trace,
            &[
                "millstream.1099 with linux.7: CLOSED -> SYN-SENT -> ESTABLISHED -> FIN-WAIT-1 -> CLOSING -> TIME-WAIT -> CLOSED",
                "linux.7 with millstream.1099: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED -> FIN-WAIT-1 -> CLOSING -> TIME-WAIT",
            ],
            &[
                "linux: listen(7) = ok",
                "linux: accept() = millstream.1099",
                "linux: shutdown(SHUT_WR) = ok",
                "linux: read() = 0, the end",
                "millstream: connect(linux.7) = ok",
                "millstream: shutdown(SHUT_WR) = ok",
                "millstream: read() = 0, the end",
            ],
        )
    }
}

async fn play(id: &str, lab: &Lab) -> Result<Trace> {
    let [scenario] = scenarios::named(id)[..] else {
        anyhow::bail!("{id} is not one scenario");
    };
    let over_tun = scenario.tun.as_ref().context("it runs only over memory")?;
    (over_tun.play)(lab).await
}

/// Compares the states of both ends in order, and for each host the results of its applications'
/// calls, in order.
fn check(trace: &Trace, paths: &[&str], calls: &[&str]) -> Result<()> {
    let told = trace.path_lines();
    ensure!(told == paths, "the states were\n{}", told.join("\n"));
    let told = trace.call_lines();
    for host in ["linux: ", "millstream: "] {
        let told: Vec<_> = told.iter().filter(|line| line.starts_with(host)).collect();
        let expected: Vec<_> = calls.iter().filter(|line| line.starts_with(host)).collect();
        ensure!(told == expected, "the calls were\n{told:#?}");
    }
    Ok(())
}

fn ensure_segments(trace: &Trace, expected: &[&str]) -> Result<()> {
    ensure_lines(&lines(trace), expected)
}

fn ensure_lines(lines: &[String], expected: &[&str]) -> Result<()> {
    ensure!(lines == expected, "the segments were\n{}", lines.join("\n"));
    Ok(())
}

/// The lines, with the pair of lines at each of these positions in an order that does not depend on
/// time.
fn sorted_pairs(mut lines: Vec<String>, places: &[usize]) -> Vec<String> {
    for place in places {
        if let Some(pair) = lines.get_mut(*place..place + 2) {
            pair.sort();
        }
    }
    lines
}

fn is_lost(entry: &Entry) -> bool {
    matches!(&entry.what, What::Segment(segment) if segment.fate == Fate::Lost)
}

/// One line for each segment, without windows and scales, which depend on the kernel's memory.
fn lines(trace: &Trace) -> Vec<String> {
    trace.segments().map(|(_, s)| line(trace, s)).collect()
}

fn line(trace: &Trace, segment: &Segment) -> String {
    let name = |host: Option<usize>| host.map_or("?", |host| &trace.hosts[host].name);
    let (from, to) = (
        trace.host_of(segment.from.ip()),
        trace.host_of(segment.to.ip()),
    );
    let (start, end, length) = (segment.seq, segment.end(), segment.length);
    let letters = segment.letters();
    let mut line = format!(
        "{} > {}: {letters} {start}:{end}({length})",
        name(from),
        name(to)
    );
    if let Some(ack) = segment.ack {
        line += &format!(" ack {ack}");
    }
    if !segment.options.is_empty() {
        let options = segment.options.iter();
        let options = options.map(|o| if o.starts_with("wscale") { "wscale" } else { o });
        line += &format!(" <{}>", options.collect::<Vec<_>>().join(","));
    }
    line + match segment.fate {
        Fate::Passed => "",
        Fate::Lost => " lost",
        Fate::Held => " held",
    }
}

fn main() -> ExitCode {
    let cases = cases![Duration::from_secs(20), &[], one_thread;
        over_tun::s1a,
        over_tun::s1b,
        over_tun::s1c,
        over_tun::s2a,
        over_tun::s2b,
        over_tun::s2c,
        over_tun::s3a,
        over_tun::s3b,
        over_tun::s4a,
        over_tun::s4b,
        over_tun::s5,
        over_tun::s6,
    ];
    harness::main(cases, Path::new(env!("CARGO_TARGET_TMPDIR")))
}
