//! Every scenario over memory: each segment, the states of both ends in order, the results of the
//! applications' calls, and the times where they matter. The expected values are written from the
//! classic traces and RFC 9293, not from a run.

use std::time::Duration;

use anstream::adapter::strip_str;
use millstream_engine::State;
use millstream_lab::trace::{Fate, Trace, What};
use millstream_lab::{ladder, picture, report, scenarios};
use millstream_wire::ip;
use millstream_wire::tcp::Flags;

/// Runs a scenario and compares all its results.
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

/// The capture times of the segments in milliseconds.
fn segment_times(trace: &Trace) -> Vec<u128> {
    trace.segments().map(|(at, _)| at.as_millis()).collect()
}

/// The times at which an end on this host entered the state.
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

/// The time at which the call with this text returned.
fn time_of_call(trace: &Trace, text: &str) -> Duration {
    let entry = trace.entries.iter().find(|entry| match &entry.what {
        What::Call(call) => call.to_string() == text,
        _ => false,
    });
    entry.expect("the call returned").at
}

/// Compares the lines with the classic trace, character by character.
fn check_print(id: &str, trace: &Trace) {
    let scenario = scenarios::named(id)[0];
    let printed = scenario.printed.expect("a classic trace");
    assert_eq!(printed.lines_as_printed(trace), printed.lines);
}

#[test]
fn s1a_normal_life_of_a_connection() {
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
            "server.7 with client.1099: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED -> CLOSE-WAIT -> LAST-ACK -> CLOSED",
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
fn s1b_connect_without_a_reply() {
    const SYN: &str =
        "client.1099 > nobody.7: S 0:0(0) win 64240 <mss 1460,sackOK,TS,nop,wscale 10> lost";
    let trace = check(
        "S1b",
        &[SYN; 7],
        &["client.1099 with nobody.7: CLOSED -> SYN-SENT -> CLOSED"],
        &["client: connect(nobody.7) fails: Connection timed out"],
    );
    // RFC 6298: the timeout starts at one second and doubles (2.1, 5.5).
    assert_eq!(
        segment_times(&trace),
        [0, 1000, 3000, 7000, 15_000, 31_000, 63_000]
    );
    let failed = time_of_call(&trace, "connect(nobody.7) fails: Connection timed out");
    assert_eq!(failed, Duration::from_secs(127));
}

#[test]
fn s1c_fin_with_the_ack_of_the_first_fin() {
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
            "server.7 with client.1099: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED -> CLOSE-WAIT -> LAST-ACK -> CLOSED",
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
            "server.7 with client.1099: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED -> CLOSE-WAIT -> LAST-ACK -> CLOSED",
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
    // The 2MSL wait restarts with the retransmitted FIN, whose ACK is the last segment.
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
            "pc1.6666 with pc2.1098: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED -> FIN-WAIT-1 -> FIN-WAIT-2 -> TIME-WAIT -> CLOSED -> SYN-SENT -> ESTABLISHED",
            "pc1.6666 with pc2.1099: CLOSED -> SYN-SENT -> ESTABLISHED",
            "pc2.1099 with pc1.6666: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED",
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
            "pc1: connect(pc2.1098) fails: Cannot assign requested address",
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
fn s2b_has_seven_steps_and_their_results_in_the_ladder() {
    let scenario = scenarios::named("S2b")[0];
    let trace = (scenario.memory)().expect("it goes as the scenario wants it");
    let ladder = strip_str(&ladder::text(&trace, None)).to_string();
    let told: Vec<_> = ladder
        .lines()
        .filter_map(|line| line.split_once(['*', '!']))
        .map(|(_, told)| told.trim())
        .collect();
    let reuse = "pc1: bind(6666, SO_REUSEADDR) = ok";
    assert_eq!(
        told,
        [
            "1. PC1 serves port 6666.",
            "2. PC2 connects from port 1098.",
            "3. PC1 stops its server first: its end will wait for 2MSL.",
            "4. A client on PC1 wants port 6666 for itself.",
            "pc1: bind(6666) fails: Address already in use",
            "5. With SO_REUSEADDR it gets the port.",
            reuse,
            "6. Yet it cannot connect to PC2's port 1098: that very four-tuple waits.",
            "pc1: connect(pc2.1098) fails: Cannot assign requested address",
            "7. Any other port of PC2 makes another four-tuple, which is free.",
            reuse,
            "After 2MSL the four-tuple with port 1098 is free too.",
            reuse,
        ]
    );
    let picture = picture::svg(scenario, &trace).to_string();
    assert_eq!(picture.matches("Address already in use").count(), 2);
}

#[test]
fn s2c_another_port_each_time() {
    let scenario = scenarios::named("S2c")[0];
    let trace = (scenario.memory)().expect("it goes as the scenario wants it");
    let ports: Vec<_> = trace
        .segments()
        .filter(|(_, segment)| segment.flags == Flags::SYN)
        .map(|(_, segment)| segment.from.port())
        .collect();
    let [first, second] = ports[..] else {
        panic!("{ports:?}");
    };
    assert_ne!(first, second);
    assert_eq!(
        trace.path_lines(),
        [
            format!(
                "client.{first} with server.7: CLOSED -> SYN-SENT -> ESTABLISHED -> FIN-WAIT-1 -> FIN-WAIT-2 -> TIME-WAIT"
            ),
            format!(
                "server.7 with client.{first}: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED -> CLOSE-WAIT -> LAST-ACK -> CLOSED"
            ),
            format!("client.{second} with server.7: CLOSED -> SYN-SENT -> ESTABLISHED"),
            format!(
                "server.7 with client.{second}: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED"
            ),
        ]
    );
    let connected = "client: connect(server.7) = ok".to_owned();
    let calls = trace.call_lines();
    assert_eq!(calls.iter().filter(|call| **call == connected).count(), 2);
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
    // The sequence number in the header itself is zero, not only the relative one, for which there
    // is no SYN.
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
            "svr4.8888 with bsd1.1099: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED -> CLOSED",
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
            "server.22 with client.40000: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED -> CLOSED",
            "client.40001 with server.22: CLOSED -> SYN-SENT -> ESTABLISHED",
            "server.22 with client.40001: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED",
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
    // The rebooted host's end is lost with its memory, at once; the survivor's end remains for 8.5
    // minutes more.
    assert_eq!(times_of(&trace, 1, State::Closed), [Duration::from_secs(1)]);
    assert_eq!(
        times_of(&trace, 0, State::Closed),
        [Duration::from_millis(512_020)]
    );
    // No segment during 8.5 minutes and the two seconds of the crash.
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
            "server.22 with client.40000: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED -> CLOSED",
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
fn s5_notes_inconsistencies_of_the_classic_trace() {
    let scenario = scenarios::named("S5")[0];
    let trace = (scenario.memory)().expect("it goes as the scenario wants it");
    let printed = scenario.printed.expect("a classic trace");
    let lines = printed.lines_of(&trace);
    let about = |word: &str| -> Vec<usize> {
        let numbered = lines.iter().zip(1..);
        numbered
            .filter(|((_, sentences), _)| sentences.iter().any(|s| s.contains(word)))
            .map(|(_, number)| number)
            .collect()
    };
    // SYNs have no (0) after their range, FINs do; data and FINs have no window, bare ACKs and SYNs
    // do.
    assert_eq!(about("length"), [1, 2, 3, 4]);
    assert_eq!(about("\"win 4096\""), [5, 11]);
    assert_eq!(about("\"win 8192\""), [7, 9]);
    // The lines equal those of the classic trace.
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
            "server.7 with client.1099: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED -> FIN-WAIT-1 -> CLOSING -> TIME-WAIT -> CLOSED",
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
fn s7_congestion_reported_by_the_headers() {
    let trace = check(
        "S7",
        &[
            // RFC 3168 6.1.1: the SYN requests ECN with both flags, the SYN-ACK agrees with ECE
            // alone.
            "client.1099 > server.80: S 0:0(0) win 64240 <mss 1460,sackOK,TS,nop,wscale 10> ecn 00/11",
            "server.80 > client.1099: S 0:0(0) ack 1 win 64240 <mss 1460,sackOK,TS,nop,wscale 10> ecn 00/01",
            "client.1099 > server.80: . 1:1(0) ack 1 win 512 <nop,nop,TS>",
            "client.1099 > server.80: P 1:1001(1000) ack 1 win 512 <nop,nop,TS> ecn 10/00",
            "server.80 > client.1099: . 1:1(0) ack 1001 win 512 <nop,nop,TS>",
            // Marked by the router, and echoed until CWR arrives (6.1.2, 6.1.3).
            "client.1099 > server.80: P 1001:2001(1000) ack 1 win 512 <nop,nop,TS> ecn 11/00",
            "server.80 > client.1099: . 1:1(0) ack 2001 win 512 <nop,nop,TS> ecn 00/01",
            "client.1099 > server.80: P 2001:3001(1000) ack 1 win 512 <nop,nop,TS> ecn 10/10",
            "server.80 > client.1099: . 1:1(0) ack 3001 win 512 <nop,nop,TS>",
            "client.1099 > server.80: P 3001:4001(1000) ack 1 win 512 <nop,nop,TS> ecn 10/00",
            "server.80 > client.1099: . 1:1(0) ack 4001 win 512 <nop,nop,TS>",
        ],
        &[
            "client.1099 with server.80: CLOSED -> SYN-SENT -> ESTABLISHED",
            "server.80 with client.1099: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED",
        ],
        &[
            "server: listen(80) = ok",
            "client: connect(server.80) = ok",
            "server: accept() = client.1099",
            "client: write(1000 bytes) = 1000",
            "server: read() = 1000",
            "client: write(1000 bytes) = 1000",
            "server: read() = 1000",
            "client: write(1000 bytes) = 1000",
            "server: read() = 1000",
            "client: write(1000 bytes) = 1000",
            "server: read() = 1000",
        ],
    );
    // The router updated the IP header's checksum with the mark.
    for (_, segment) in trace.segments() {
        assert!(ip::Packet::parse(&segment.packet).is_ok());
    }
}

#[test]
fn s7_contains_the_tutorials_header() {
    let told = report::examples(scenarios::named("S7")[0]).expect("a header");
    for line in [
        "Source port: 22",
        "Destination port: 60775",
        "Header length: 20",
        "Flags: 0x010 (ACK)",
        "Window: 314",
        "Scaling factor: 128",
        "Calculated window: 40192",
        "Checksum: 0x29cf",
        "Urgent pointer: 0",
    ] {
        assert!(told.contains(line), "no {line:?} in\n{told}");
    }
}

#[test]
fn s8a_every_option_in_use() {
    let trace = check(
        "S8a",
        &[
            "client.1099 > server.80: S 0:0(0) win 64240 <mss 1460,sackOK,TS,nop,wscale 8>",
            "server.80 > client.1099: S 0:0(0) ack 1 win 64240 <mss 1460,sackOK,TS,nop,wscale 8>",
            "client.1099 > server.80: . 1:1(0) ack 1 win 2048 <nop,nop,TS>",
            // 1460 bytes less the 12 bytes of the timestamps and their padding.
            "client.1099 > server.80: . 1:1449(1448) ack 1 win 2048 <nop,nop,TS>",
            "client.1099 > server.80: . 1449:2897(1448) ack 1 win 2048 <nop,nop,TS> lost",
            "client.1099 > server.80: . 2897:4345(1448) ack 1 win 2048 <nop,nop,TS>",
            "client.1099 > server.80: P 4345:5001(656) ack 1 win 2048 <nop,nop,TS>",
            // No acknowledgment is delayed at the beginning, and out-of-order data is always
            // acknowledged at once (RFC 5681 4.2).
            "server.80 > client.1099: . 1:1(0) ack 1449 win 2048 <nop,nop,TS>",
            "server.80 > client.1099: . 1:1(0) ack 1449 win 2048 <nop,nop,TS,nop,nop,sack 2897:4345>",
            "server.80 > client.1099: . 1:1(0) ack 1449 win 2048 <nop,nop,TS,nop,nop,sack 2897:5001>",
            "client.1099 > server.80: . 1449:2897(1448) ack 1 win 2048 <nop,nop,TS>",
            "server.80 > client.1099: . 1:1(0) ack 5001 win 2048 <nop,nop,TS>",
        ],
        &[
            "client.1099 with server.80: CLOSED -> SYN-SENT -> ESTABLISHED",
            "server.80 with client.1099: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED",
        ],
        &[
            "server: listen(80) = ok",
            "client: connect(server.80) = ok",
            "server: accept() = client.1099",
            "client: write(5000 bytes) = 5000",
            "server: read() = 1448",
            "server: read() = 3552",
        ],
    );
    // RFC 7323 3.2: an ACK echoes the timestamp of the segment that it acknowledges.
    let syn = trace.segments().next().expect("a SYN").1.timestamps;
    let syn_ack = trace.segments().nth(1).expect("a SYN-ACK").1.timestamps;
    let (syn, syn_ack) = (syn.expect("offered"), syn_ack.expect("offered"));
    assert_eq!((syn.echo, syn_ack.echo), (0, syn.value));
    // Every header is a multiple of four bytes long.
    for (_, segment) in trace.segments() {
        let packet = ip::Packet::parse(&segment.packet).expect("a packet");
        assert_eq!((packet.payload().len() - segment.length) % 4, 0);
    }
}

#[test]
fn s8b_only_options_offered_by_both() {
    check(
        "S8b",
        &[
            "client.1099 > server.80: S 0:0(0) win 64240 <mss 1460,nop,nop,sackOK,nop,wscale 8>",
            // A whole number of segments.
            "server.80 > client.1099: S 0:0(0) ack 1 win 65024 <mss 512,nop,wscale 0>",
            "client.1099 > server.80: . 1:1(0) ack 1 win 2048",
            "client.1099 > server.80: . 1:513(512) ack 1 win 2048",
            "client.1099 > server.80: P 513:1001(488) ack 1 win 2048",
            "server.80 > client.1099: . 1:1(0) ack 513 win 65535",
            // The right edge of the window stays until it can advance by a full segment
            // (RFC 9293 3.8.6.2.2).
            "server.80 > client.1099: . 1:1(0) ack 1001 win 65047",
        ],
        &[
            "client.1099 with server.80: CLOSED -> SYN-SENT -> ESTABLISHED",
            "server.80 with client.1099: CLOSED -> LISTEN -> SYN-RECEIVED -> ESTABLISHED",
        ],
        &[
            "server: listen(80) = ok",
            "client: connect(server.80) = ok",
            "server: accept() = client.1099",
            "client: write(1000 bytes) = 1000",
            "server: read() = 512",
            "server: read() = 488",
        ],
    );
}

#[test]
fn s8_contains_both_option_lists_of_the_tutorial() {
    let told = report::examples(scenarios::named("S8a")[0]).expect("options");
    for line in [
        "Options: 20 bytes",
        "MSS: 512",
        "Shift count: 0 (multiply by 1)",
        "Timestamp value: 146647",
        "Timestamp echo reply: 0",
        "Options: 12 bytes",
        "MSS: 1460",
        "Shift count: 8 (multiply by 256)",
        "SACK permitted: bytes 10-11: 04 02",
    ] {
        assert!(told.contains(line), "no {line:?} in\n{told}");
    }
}

#[test]
fn the_arrival_of_a_held_segment_has_its_own_row() {
    let scenario = scenarios::named("S1b")[0];
    let mut trace = (scenario.memory)().expect("it goes as the scenario wants it");
    for entry in &mut trace.entries {
        if let What::Segment(segment) = &mut entry.what {
            segment.fate = Fate::Held;
        }
    }
    let ladder = ladder::text(&trace, None);
    assert_eq!(ladder.matches('‖').count(), 7);
    assert!(!ladder.contains('▶'), "{ladder}");
    let picture = picture::svg(scenario, &trace).to_string();
    assert_eq!(picture.matches('‖').count(), 7);
}

#[test]
fn a_ladder_fits_the_terminal() {
    let trace = (scenarios::named("S2b")[0].memory)().expect("it goes as the scenario wants it");
    let width = |columns| {
        let ladder = strip_str(&ladder::text(&trace, columns)).to_string();
        // The terminal may wrap sentences.
        let segments = ladder.lines().filter(|line| line.contains('─'));
        segments.map(|line| line.chars().count()).max()
    };
    assert!(width(None) > Some(100));
    assert!(width(Some(80)) <= Some(80));
}

#[test]
fn descriptions_over_tun_omit_facts_of_memory_only() {
    for scenario in scenarios::ALL {
        let Some(over_tun) = &scenario.tun else {
            continue;
        };
        let told = over_tun.about.unwrap_or(scenario.about);
        for words in [
            "127 seconds",
            "half a second",
            "8.5 minutes",
            "after two hours of silence its stack",
            "the classic trace's times",
            "PC1",
        ] {
            assert!(!told.contains(words), "{}: {words}", scenario.id);
        }
    }
}

#[test]
fn scenarios_are_found_by_name_and_section() {
    let ids = |name: &str| -> Vec<&str> {
        let found = scenarios::named(name).into_iter();
        found.map(|scenario| scenario.id).collect()
    };
    assert_eq!(ids("s3"), ["S3a", "S3b"]);
    assert_eq!(ids("S3B"), ["S3b"]);
    assert_eq!(ids("s8"), ["S8a", "S8b"]);
    assert_eq!(ids("bulk"), ["bulk"]);
    assert!(ids("").is_empty());
    assert_eq!(ids("all").len(), scenarios::ALL.len());
    assert!(ids("S9").is_empty());
}
