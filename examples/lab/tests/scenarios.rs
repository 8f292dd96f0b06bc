//! Every scenario over memory: each segment, the states of both ends in order, what the applications were told, and
//! the times where they are the point. What is expected is written from the document and RFC 9293, not from a run.

use std::time::Duration;

use millstream_engine::State;
use millstream_lab::scenarios;
use millstream_lab::trace::{Trace, What};

/// Plays a scenario and compares everything that it came to.
fn check(id: &str, segments: &[&str], paths: &[&str], calls: &[&str]) -> Trace {
    let [scenario] = scenarios::named(id)[..] else {
        panic!("{id} is not one scenario");
    };
    let trace = (scenario.memory)().expect("it goes as the scenario wants it");
    assert_eq!(trace.segment_lines(), segments, "the segments");
    assert_eq!(trace.path_lines(), paths, "the states");
    assert_eq!(trace.call_lines(), calls, "the calls");
    trace
}

/// When the segments passed, in milliseconds.
fn segment_times(trace: &Trace) -> Vec<u128> {
    trace.segments().map(|(at, _)| at.as_millis()).collect()
}

/// When an end of that host came to that state, each time.
fn times_of(trace: &Trace, host: usize, state: State) -> Vec<Duration> {
    let entries = trace.entries.iter();
    entries
        .filter(|entry| match &entry.what {
            What::State(change) => change.host == host && change.to == state,
            _ => false,
        })
        .map(|entry| entry.at)
        .collect()
}

/// When a call of that text returned.
fn time_of_call(trace: &Trace, text: &str) -> Duration {
    let entry = trace.entries.iter().find(|entry| match &entry.what {
        What::Call(call) => call.to_string() == text,
        _ => false,
    });
    entry.expect("the call returned").at
}

/// The lines as the document has them, character by character.
fn check_print(id: &str, trace: &Trace) {
    let scenario = scenarios::named(id)[0];
    let printed = scenario.printed.expect("the document prints it");
    assert_eq!(printed.lines_as_printed(trace), printed.lines);
}

#[test]
fn s1a_a_life() {
    let trace = check(
        "S1a",
        &[
            "client.1099 > server.7: S 0:0(0) win 64240 <mss 1460,sackOK,TS,nop,wscale 10>",
            "server.7 > client.1099: S 0:0(0) ack 1 win 64240 <mss 1460,sackOK,TS,nop,wscale 10>",
            "client.1099 > server.7: . 1:1(0) ack 1 win 512 <nop,nop,TS>",
            "client.1099 > server.7: P 1:14(13) ack 1 win 512 <nop,nop,TS>",
            "server.7 > client.1099: . 1:1(0) ack 14 win 512 <nop,nop,TS>",
            "client.1099 > server.7: F 14:14(0) ack 1 win 512 <nop,nop,TS>",
            "server.7 > client.1099: . 1:1(0) ack 15 win 512 <nop,nop,TS>",
            "server.7 > client.1099: P 1:15(14) ack 15 win 512 <nop,nop,TS>",
            "client.1099 > server.7: . 15:15(0) ack 15 win 512 <nop,nop,TS>",
            "server.7 > client.1099: F 15:15(0) ack 15 win 512 <nop,nop,TS>",
            "client.1099 > server.7: . 15:15(0) ack 16 win 512 <nop,nop,TS>",
        ],
        &[
            "client.1099 with server.7: CLOSED -> SYN-SENT -> ESTABLISHED -> FIN-WAIT-1 -> FIN-WAIT-2 -> TIME-WAIT -> CLOSED",
            "server.7 with client.1099: LISTEN -> SYN-RECEIVED -> ESTABLISHED -> CLOSE-WAIT -> LAST-ACK -> CLOSED",
        ],
        &[
            "server: listen(7) = ok",
            "client: connect(server.7) = ok",
            "server: accept() = client.1099",
            "server: close(listener) = ok",
            "client: write(13 bytes) = 13",
            "server: read() = 13 \"hello, world\\n\"",
            "client: shutdown(SHUT_WR) = ok",
            "server: read() = 0, the end",
            "server: write(14 bytes) = 14",
            "client: read() = 14 \"hello, client\\n\"",
            "server: shutdown(SHUT_WR) = ok",
            "client: read() = 0, the end",
        ],
    );
    // 2MSL, with an MSL of 30 seconds.
    let waits = times_of(&trace, 0, State::TimeWait)[0];
    assert_eq!(
        times_of(&trace, 0, State::Closed),
        [waits + Duration::from_secs(60)]
    );
}

#[test]
fn s1b_no_answer() {
    const SYN: &str =
        "client.1099 > nobody.7: S 0:0(0) win 64240 <mss 1460,sackOK,TS,nop,wscale 10> lost";
    let trace = check(
        "S1b",
        &[SYN; 7],
        &["client.1099 with nobody.7: CLOSED -> SYN-SENT -> CLOSED"],
        &["client: connect(nobody.7) fails: Connection timed out"],
    );
    // RFC 6298: the timeout begins at one second and doubles (2.1, 5.5).
    assert_eq!(
        segment_times(&trace),
        [0, 1000, 3000, 7000, 15_000, 31_000, 63_000]
    );
    let failed = time_of_call(&trace, "connect(nobody.7) fails: Connection timed out");
    assert_eq!(failed, Duration::from_secs(127));
}

#[test]
fn s1c_fin_with_the_ack_of_ours() {
    check(
        "S1c",
        &[
            "client.1099 > server.7: S 0:0(0) win 64240 <mss 1460,sackOK,TS,nop,wscale 10>",
            "server.7 > client.1099: S 0:0(0) ack 1 win 64240 <mss 1460,sackOK,TS,nop,wscale 10>",
            "client.1099 > server.7: . 1:1(0) ack 1 win 512 <nop,nop,TS>",
            "client.1099 > server.7: F 1:1(0) ack 1 win 512 <nop,nop,TS>",
            "server.7 > client.1099: . 1:1(0) ack 2 win 512 <nop,nop,TS> lost",
            "server.7 > client.1099: F 1:1(0) ack 2 win 512 <nop,nop,TS>",
            "client.1099 > server.7: . 2:2(0) ack 2 win 512 <nop,nop,TS>",
        ],
        &[
            "client.1099 with server.7: CLOSED -> SYN-SENT -> ESTABLISHED -> FIN-WAIT-1 -> TIME-WAIT -> CLOSED",
            "server.7 with client.1099: LISTEN -> SYN-RECEIVED -> ESTABLISHED -> CLOSE-WAIT -> LAST-ACK -> CLOSED",
        ],
        &[
            "server: listen(7) = ok",
            "client: connect(server.7) = ok",
            "server: accept() = client.1099",
            "server: close(listener) = ok",
            "client: shutdown(SHUT_WR) = ok",
            "server: read() = 0, the end",
            "server: shutdown(SHUT_WR) = ok",
            "client: read() = 0, the end",
        ],
    );
}

#[test]
fn s2a_the_last_ack_is_lost() {
    let trace = check(
        "S2a",
        &[
            "client.1099 > server.7: S 0:0(0) win 64240 <mss 1460,sackOK,TS,nop,wscale 10>",
            "server.7 > client.1099: S 0:0(0) ack 1 win 64240 <mss 1460,sackOK,TS,nop,wscale 10>",
            "client.1099 > server.7: . 1:1(0) ack 1 win 512 <nop,nop,TS>",
            "client.1099 > server.7: F 1:1(0) ack 1 win 512 <nop,nop,TS>",
            "server.7 > client.1099: . 1:1(0) ack 2 win 512 <nop,nop,TS>",
            "server.7 > client.1099: F 1:1(0) ack 2 win 512 <nop,nop,TS>",
            "client.1099 > server.7: . 2:2(0) ack 2 win 512 <nop,nop,TS> lost",
            "server.7 > client.1099: F 1:1(0) ack 2 win 512 <nop,nop,TS>",
            "client.1099 > server.7: . 2:2(0) ack 2 win 512 <nop,nop,TS>",
        ],
        &[
            "client.1099 with server.7: CLOSED -> SYN-SENT -> ESTABLISHED -> FIN-WAIT-1 -> FIN-WAIT-2 -> TIME-WAIT -> CLOSED",
            "server.7 with client.1099: LISTEN -> SYN-RECEIVED -> ESTABLISHED -> CLOSE-WAIT -> LAST-ACK -> CLOSED",
        ],
        &[
            "server: listen(7) = ok",
            "client: connect(server.7) = ok",
            "server: accept() = client.1099",
            "server: close(listener) = ok",
            "client: shutdown(SHUT_WR) = ok",
            "server: read() = 0, the end",
            "server: shutdown(SHUT_WR) = ok",
            "client: read() = 0, the end",
        ],
    );
    // The 2MSL begin anew with the FIN that came again, whose ACK is the last segment.
    let (answered, _) = trace.segments().last().expect("an ACK");
    assert!(times_of(&trace, 0, State::TimeWait)[0] < answered);
    assert_eq!(
        times_of(&trace, 0, State::Closed),
        [answered + Duration::from_secs(60)]
    );
}

#[test]
fn s2b_address_in_use() {
    check(
        "S2b",
        &[
            "pc2.1098 > pc1.6666: S 0:0(0) win 64240 <mss 1460,sackOK,TS,nop,wscale 10>",
            "pc1.6666 > pc2.1098: S 0:0(0) ack 1 win 64240 <mss 1460,sackOK,TS,nop,wscale 10>",
            "pc2.1098 > pc1.6666: . 1:1(0) ack 1 win 512 <nop,nop,TS>",
            "pc1.6666 > pc2.1098: F 1:1(0) ack 1 win 512 <nop,nop,TS>",
            "pc2.1098 > pc1.6666: . 1:1(0) ack 2 win 512 <nop,nop,TS>",
            "pc2.1098 > pc1.6666: F 1:1(0) ack 2 win 512 <nop,nop,TS>",
            "pc1.6666 > pc2.1098: . 2:2(0) ack 2 win 512 <nop,nop,TS>",
            "pc1.6666 > pc2.1099: S 0:0(0) win 64240 <mss 1460,sackOK,TS,nop,wscale 10>",
            "pc2.1099 > pc1.6666: S 0:0(0) ack 1 win 64240 <mss 1460,sackOK,TS,nop,wscale 10>",
            "pc1.6666 > pc2.1099: . 1:1(0) ack 1 win 512 <nop,nop,TS>",
            "pc1.6666 > pc2.1098: S 0:0(0) win 64240 <mss 1460,sackOK,TS,nop,wscale 10>",
            "pc2.1098 > pc1.6666: S 0:0(0) ack 1 win 64240 <mss 1460,sackOK,TS,nop,wscale 10>",
            "pc1.6666 > pc2.1098: . 1:1(0) ack 1 win 512 <nop,nop,TS>",
        ],
        &[
            "pc2.1098 with pc1.6666: CLOSED -> SYN-SENT -> ESTABLISHED -> CLOSE-WAIT -> LAST-ACK -> CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED",
            "pc1.6666 with pc2.1098: LISTEN -> SYN-RECEIVED -> ESTABLISHED -> FIN-WAIT-1 -> FIN-WAIT-2 -> TIME-WAIT -> CLOSED -> SYN-SENT -> ESTABLISHED",
            "pc1.6666 with pc2.1099: CLOSED -> SYN-SENT -> ESTABLISHED",
            "pc2.1099 with pc1.6666: LISTEN -> SYN-RECEIVED -> ESTABLISHED",
        ],
        &[
            "pc1: listen(6666) = ok",
            "pc2: connect(pc1.6666) = ok",
            "pc1: accept() = pc2.1098",
            "pc1: close(listener) = ok",
            "pc1: close() = ok",
            "pc2: read() = 0, the end",
            "pc2: close() = ok",
            "pc1: bind(6666) fails: Address already in use",
            "pc1: bind(6666, SO_REUSEADDR) = ok",
            "pc1: connect(pc2.1098) fails: Address already in use",
            "pc2: listen(1099) = ok",
            "pc1: bind(6666, SO_REUSEADDR) = ok",
            "pc1: connect(pc2.1099) = ok",
            "pc2: accept() = pc1.6666",
            "pc2: close(listener) = ok",
            "pc2: listen(1098) = ok",
            "pc1: bind(6666, SO_REUSEADDR) = ok",
            "pc1: connect(pc2.1098) = ok",
            "pc2: accept() = pc1.6666",
        ],
    );
}

#[test]
fn s3a_refused() {
    const SYN: &str =
        "client.61383 > server.5001: S 0:0(0) win 64240 <mss 1460,sackOK,TS,nop,wscale 10>";
    const RST: &str = "server.5001 > client.61383: R 0:0(0) ack 1 win 0";
    const REFUSED: &str = "client: connect(server.5001) fails: Connection refused";
    let trace = check(
        "S3a",
        &[SYN, RST, SYN, RST, SYN, RST],
        &[
            "client.61383 with server.5001: CLOSED -> SYN-SENT -> CLOSED -> SYN-SENT -> CLOSED -> SYN-SENT -> CLOSED",
        ],
        &[REFUSED; 3],
    );
    assert_eq!(segment_times(&trace), [0, 10, 500, 510, 1000, 1010]);
    // Sequence number zero in the header itself, not only relative to a SYN that there is not.
    for (_, reset) in trace.segments().skip(1).step_by(2) {
        assert_eq!(reset.raw_seq, 0);
    }
}

#[test]
fn s3b_abortive_release() {
    let trace = check(
        "S3b",
        &[
            "bsd1.1099 > svr4.8888: S 0:0(0) win 4096 <mss 1024>",
            "svr4.8888 > bsd1.1099: S 0:0(0) ack 1 win 4096 <mss 1024>",
            "bsd1.1099 > svr4.8888: . 1:1(0) ack 1 win 4096",
            "bsd1.1099 > svr4.8888: P 1:14(13) ack 1 win 4096",
            "svr4.8888 > bsd1.1099: . 1:1(0) ack 14 win 4096",
            "bsd1.1099 > svr4.8888: R 14:14(0) ack 1 win 0",
        ],
        &[
            "bsd1.1099 with svr4.8888: CLOSED -> SYN-SENT -> ESTABLISHED -> CLOSED",
            "svr4.8888 with bsd1.1099: LISTEN -> SYN-RECEIVED -> ESTABLISHED -> CLOSED",
        ],
        &[
            "svr4: listen(8888) = ok",
            "bsd1: connect(svr4.8888) = ok",
            "svr4: accept() = bsd1.1099",
            "bsd1: write(13 bytes) = 13",
            "svr4: read() = 13 \"hello, world\\n\"",
            "bsd1: close() = ok",
            "svr4: read() fails: Connection reset by peer",
        ],
    );
    check_print("S3b", &trace);
}

#[test]
fn s4a_reboot() {
    let trace = check(
        "S4a",
        &[
            "client.40000 > server.22: S 0:0(0) win 64240 <mss 1460,sackOK,TS,nop,wscale 10>",
            "server.22 > client.40000: S 0:0(0) ack 1 win 64240 <mss 1460,sackOK,TS,nop,wscale 10>",
            "client.40000 > server.22: . 1:1(0) ack 1 win 512 <nop,nop,TS>",
            "client.40000 > server.22: P 1:45(44) ack 1 win 512 <nop,nop,TS>",
            "server.22 > client.40000: R 1:1(0) win 0",
            "client.40001 > server.22: S 0:0(0) win 64240 <mss 1460,sackOK,TS,nop,wscale 10>",
            "server.22 > client.40001: S 0:0(0) ack 1 win 64240 <mss 1460,sackOK,TS,nop,wscale 10>",
            "client.40001 > server.22: . 1:1(0) ack 1 win 512 <nop,nop,TS>",
        ],
        &[
            "client.40000 with server.22: CLOSED -> SYN-SENT -> ESTABLISHED -> CLOSED",
            "server.22 with client.40000: LISTEN -> SYN-RECEIVED -> ESTABLISHED",
            "client.40001 with server.22: CLOSED -> SYN-SENT -> ESTABLISHED",
            "server.22 with client.40001: LISTEN -> SYN-RECEIVED -> ESTABLISHED",
        ],
        &[
            "server: listen(22) = ok",
            "client: connect(server.22) = ok",
            "server: accept() = client.40000",
            "client: write(44 bytes) = 44",
            "client: read() fails: Connection reset by peer",
            "server: listen(22) = ok",
            "client: connect(server.22) = ok",
            "server: accept() = client.40001",
        ],
    );
    // Nothing for 8.5 minutes and the two seconds of the crash.
    assert_eq!(segment_times(&trace)[2..4], [20, 512_000]);
}

#[test]
fn s4b_keepalive() {
    let trace = check(
        "S4b",
        &[
            "client.40000 > server.22: S 0:0(0) win 64240 <mss 1460,sackOK,TS,nop,wscale 10>",
            "server.22 > client.40000: S 0:0(0) ack 1 win 64240 <mss 1460,sackOK,TS,nop,wscale 10>",
            "client.40000 > server.22: . 1:1(0) ack 1 win 512 <nop,nop,TS>",
            "client.40000 > server.22: . 0:0(0) ack 1 win 512 <nop,nop,TS>",
            "server.22 > client.40000: R 1:1(0) win 0",
        ],
        &[
            "client.40000 with server.22: CLOSED -> SYN-SENT -> ESTABLISHED -> CLOSED",
            "server.22 with client.40000: LISTEN -> SYN-RECEIVED -> ESTABLISHED",
        ],
        &[
            "server: listen(22) = ok",
            "client: connect(server.22) = ok",
            "server: accept() = client.40000",
            "client: read() fails: Connection reset by peer",
        ],
    );
    // RFC 9293 3.8.4: two hours without a segment (MUST-28).
    assert_eq!(segment_times(&trace)[3], 7_200_020);
}

#[test]
fn s5_simultaneous_open() {
    let trace = check(
        "S5",
        &[
            "bsdi.8888 > vangogh.7777: S 0:0(0) win 4096 <mss 512>",
            "vangogh.7777 > bsdi.8888: S 0:0(0) win 8192 <mss 512>",
            "bsdi.8888 > vangogh.7777: S 0:0(0) ack 1 win 4096 <mss 512>",
            "vangogh.7777 > bsdi.8888: S 0:0(0) ack 1 win 8192 <mss 512>",
            "bsdi.8888 > vangogh.7777: P 1:14(13) ack 1 win 4096",
            "vangogh.7777 > bsdi.8888: . 1:1(0) ack 14 win 8192",
            "vangogh.7777 > bsdi.8888: P 1:14(13) ack 14 win 8192",
            "bsdi.8888 > vangogh.7777: . 14:14(0) ack 14 win 4096",
            "vangogh.7777 > bsdi.8888: F 14:14(0) ack 14 win 8192",
            "bsdi.8888 > vangogh.7777: . 14:14(0) ack 15 win 4096",
            "bsdi.8888 > vangogh.7777: F 14:14(0) ack 15 win 4096",
            "vangogh.7777 > bsdi.8888: . 15:15(0) ack 15 win 8192",
        ],
        &[
            "bsdi.8888 with vangogh.7777: CLOSED -> SYN-SENT -> SYN-RECEIVED -> ESTABLISHED -> CLOSE-WAIT -> LAST-ACK -> CLOSED",
            "vangogh.7777 with bsdi.8888: CLOSED -> SYN-SENT -> SYN-RECEIVED -> ESTABLISHED -> FIN-WAIT-1 -> FIN-WAIT-2 -> TIME-WAIT -> CLOSED",
        ],
        &[
            "vangogh: connect(bsdi.8888) = ok",
            "bsdi: connect(vangogh.7777) = ok",
            "bsdi: write(13 bytes) = 13",
            "vangogh: read() = 13 \"hello, world\\n\"",
            "vangogh: write(13 bytes) = 13",
            "bsdi: read() = 13 \"hello, world\\n\"",
            "vangogh: shutdown(SHUT_WR) = ok",
            "bsdi: read() = 0, the end",
            "bsdi: shutdown(SHUT_WR) = ok",
            "vangogh: read() = 0, the end",
        ],
    );
    check_print("S5", &trace);
}

#[test]
fn s5_says_where_the_document_is_inconsistent() {
    let scenario = scenarios::named("S5")[0];
    let trace = (scenario.memory)().expect("it goes as the scenario wants it");
    let printed = scenario.printed.expect("the document prints it");
    let lines = printed.lines_of(&trace);
    let about = |word: &str| -> Vec<usize> {
        let numbered = lines.iter().zip(1..);
        numbered
            .filter(|((_, sentences), _)| sentences.iter().any(|s| s.contains(word)))
            .map(|(_, number)| number)
            .collect()
    };
    // SYNs have no (0) after their range, FINs have; data and FINs have no window, bare ACKs and SYNs have.
    assert_eq!(about("length"), [1, 2, 3, 4]);
    assert_eq!(about("\"win 4096\""), [5, 11]);
    assert_eq!(about("\"win 8192\""), [7, 9]);
    // The lines are the document's own.
    assert_eq!(
        lines[8].0,
        " 9 13.060395 vangogh.7777 > bsdi.8888: F 14:14(0) ack 14"
    );
}

#[test]
fn s6_simultaneous_close() {
    let trace = check(
        "S6",
        &[
            "client.1099 > server.7: S 0:0(0) win 64240 <mss 1460,sackOK,TS,nop,wscale 10>",
            "server.7 > client.1099: S 0:0(0) ack 1 win 64240 <mss 1460,sackOK,TS,nop,wscale 10>",
            "client.1099 > server.7: . 1:1(0) ack 1 win 512 <nop,nop,TS>",
            "client.1099 > server.7: F 1:1(0) ack 1 win 512 <nop,nop,TS>",
            "server.7 > client.1099: F 1:1(0) ack 1 win 512 <nop,nop,TS>",
            "server.7 > client.1099: . 2:2(0) ack 2 win 512 <nop,nop,TS>",
            "client.1099 > server.7: . 2:2(0) ack 2 win 512 <nop,nop,TS>",
        ],
        &[
            "client.1099 with server.7: CLOSED -> SYN-SENT -> ESTABLISHED -> FIN-WAIT-1 -> CLOSING -> TIME-WAIT -> CLOSED",
            "server.7 with client.1099: LISTEN -> SYN-RECEIVED -> ESTABLISHED -> FIN-WAIT-1 -> CLOSING -> TIME-WAIT -> CLOSED",
        ],
        &[
            "server: listen(7) = ok",
            "client: connect(server.7) = ok",
            "server: accept() = client.1099",
            "server: close(listener) = ok",
            "client: shutdown(SHUT_WR) = ok",
            "server: shutdown(SHUT_WR) = ok",
            "server: read() = 0, the end",
            "client: read() = 0, the end",
        ],
    );
    for host in [0, 1] {
        let waits = times_of(&trace, host, State::TimeWait)[0];
        let closed = times_of(&trace, host, State::Closed);
        assert_eq!(closed, [waits + Duration::from_secs(60)]);
    }
}

#[test]
fn names_of_scenarios() {
    let ids = |name: &str| -> Vec<&str> {
        let found = scenarios::named(name).into_iter();
        found.map(|scenario| scenario.id).collect()
    };
    assert_eq!(ids("s3"), ["S3a", "S3b"]);
    assert_eq!(ids("S3B"), ["S3b"]);
    assert_eq!(ids("all").len(), scenarios::ALL.len());
    assert!(ids("S9").is_empty());
}
