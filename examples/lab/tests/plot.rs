//! The marks of a time-sequence graph.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use millstream_lab::lab::{LEFT, Lab, RIGHT};
use millstream_lab::link::{losing, steady};
use millstream_lab::plot::{self, Connection, Series};
use millstream_lab::scenarios;
use millstream_testbed::capture::Writer;
use millstream_testbed::packet;
use millstream_wire::SeqNum;
use millstream_wire::tcp::{self, Flags, SackBlock};

/// A packet, its time of capture, and its comment.
type Seen = (Duration, Vec<u8>, Option<&'static str>);

fn capture(packets: &[Seen]) -> Vec<u8> {
    let mut file = Writer::new(Vec::new()).expect("a file");
    for (at, packet, comment) in packets {
        file.write(*at, packet, comment.as_slice())
            .expect("written");
    }
    file.finish().expect("complete")
}

fn on_disk(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("written");
    file
}

fn read(packets: &[Seen]) -> Vec<Connection> {
    let read = plot::read(on_disk(&capture(packets)).path()).expect("a capture");
    assert!(read.damage.is_none());
    read.connections
}

/// The number of bytes in the transfer below, and the relative sequence number of the segment that
/// is lost once.
const SENT: usize = 12_000;

/// A transfer in which the third data segment is lost once: the packets on the sender's link.
fn transfer_with_a_loss() -> (Vec<Seen>, (i64, i64)) {
    let lost = std::rc::Rc::new(std::cell::Cell::new((0, 0)));
    let note = std::rc::Rc::clone(&lost);
    let mut number = 0;
    let script = losing(steady(Duration::from_millis(20)), move |from, segment| {
        if from == LEFT && segment.length > 0 {
            number += 1;
        }
        let doomed = from == LEFT && segment.length > 0 && number == 3;
        if doomed {
            note.set((segment.seq, segment.end()));
        }
        doomed
    });
    let mut lab = Lab::new(["left", "right"], [|_| {}, |_| {}], script);
    lab.listen(RIGHT, 80).expect("a port");
    let to = lab.addr(RIGHT, 80);
    let (near, _) = lab.establish(LEFT, 1000, to).expect("established");
    lab.write(near, &[7; SENT]).expect("written");
    lab.run_for(Duration::from_secs(5));
    let packets = lab
        .finish()
        .segments()
        .map(|(at, segment)| (at, segment.packet.clone(), None))
        .collect();
    (packets, lost.get())
}

#[test]
fn a_loss_its_sack_blocks_and_its_retransmission_are_marked() {
    let (packets, lost) = transfer_with_a_loss();
    assert!(lost.1 > lost.0, "nothing was lost");
    let connections = read(&packets);
    assert_eq!(connections.len(), 1);
    let [there, back] = &connections[0].directions;
    // A SYN occupies a sequence number but is not data.
    assert_eq!((there.sent(), back.sent()), (SENT as u64, 0));

    let again: Vec<_> = there.data.iter().filter(|bar| bar.retransmission).collect();
    let again: Vec<_> = again.iter().map(|bar| (bar.at.seq, bar.end)).collect();
    assert_eq!(again, [lost]);

    // While the hole is open, every block begins after it, and no acknowledgment passes it.
    assert!(!there.sacks.is_empty());
    assert!(
        there
            .sacks
            .iter()
            .all(|sack| sack.at.seq >= lost.1 && !sack.duplicate)
    );
    let at_the_hole = there.acks.iter().filter(|ack| ack.seq == lost.0).count();
    assert_eq!(at_the_hole, 1 + there.sacks.len());
    let within = |ack: &plot::Point| lost.0 < ack.seq && ack.seq < lost.1;
    assert!(!there.acks.iter().any(within));
    assert_eq!(
        there.acks.last().expect("acknowledged").seq,
        1 + SENT as i64
    );
    assert_eq!(there.window.len(), there.acks.len());
    // The windows are scaled: they exceed the range of the field.
    let widest = there
        .window
        .iter()
        .zip(&there.acks)
        .map(|(end, ack)| end.seq - ack.seq);
    assert!(widest.max().expect("a window") > i64::from(u16::MAX));
    assert!(there.cwnd.is_empty() && there.resets.is_empty());
}

#[test]
fn the_picture_contains_all_marks_of_the_series() {
    let (packets, _) = transfer_with_a_loss();
    let connection = &read(&packets)[0];
    let svg = plot::svg(connection).expect("drawn");
    for word in [
        "10.0.0.1:1000 ",
        "retransmission",
        "SACK",
        "acknowledged",
        "window",
    ] {
        assert!(svg.contains(word), "{word}");
    }
    assert!(!svg.contains("cwnd") && !svg.contains("reset") && !svg.contains("D-SACK"));
    let png = plot::png(&svg).expect("a bitmap");
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
    let side = |at: usize| u32::from_be_bytes([png[at], png[at + 1], png[at + 2], png[at + 3]]);
    assert_eq!((side(16), side(20)), (1000, 520));
}

/// A packet between 10.0.0.1:1000 and 10.0.0.2:2000.
fn packet(back: bool, mut segment: tcp::Header, data: usize) -> Vec<u8> {
    let ends: [SocketAddr; 2] = [([10, 0, 0, 1], 1000).into(), ([10, 0, 0, 2], 2000).into()];
    let (from, to) = if back {
        (ends[1], ends[0])
    } else {
        (ends[0], ends[1])
    };
    segment.src_port = from.port();
    segment.dst_port = to.port();
    packet::tcp(from.ip(), to.ip(), &segment, &vec![0; data])
}

fn segment(seq: u32, ack: u32, flags: Flags) -> tcp::Header {
    tcp::Header {
        seq: SeqNum::new(seq),
        ack: SeqNum::new(ack),
        flags,
        window: 1000,
        ..tcp::Header::default()
    }
}

/// An acknowledgment with SACK blocks.
fn sack(ack: u32, blocks: &[(u32, u32)]) -> tcp::Header {
    let mut header = segment(500, ack, Flags::ACK);
    for (left, right) in blocks {
        let block = SackBlock {
            left: SeqNum::new(*left),
            right: SeqNum::new(*right),
        };
        assert!(header.options.sack.push(block));
    }
    header
}

fn at(millis: u64, packet: Vec<u8>) -> Seen {
    (Duration::from_millis(millis), packet, None)
}

fn duplicates(series: &Series) -> Vec<bool> {
    series.sacks.iter().map(|sack| sack.duplicate).collect()
}

#[test]
fn duplicates_resets_and_the_congestion_window_are_marked() {
    // Sequence numbers that wrap within the data.
    let first = u32::MAX - 99;
    let number = |offset: u32| first.wrapping_add(offset);
    let mut with_cwnd = at(10, packet(false, segment(number(0), 500, Flags::ACK), 200));
    with_cwnd.2 = Some("sent by hand, cwnd=3000");
    let packets = [
        at(0, packet(true, sack(number(0), &[]), 0)),
        with_cwnd,
        // Below the acknowledgment number; then a duplicate within the second block; then an
        // ordinary block.
        at(
            20,
            packet(true, sack(number(200), &[(number(0), number(100))]), 0),
        ),
        at(
            30,
            packet(
                true,
                sack(
                    number(200),
                    &[(number(300), number(400)), (number(300), number(500))],
                ),
                0,
            ),
        ),
        at(
            40,
            packet(true, sack(number(200), &[(number(300), number(500))]), 0),
        ),
        at(50, packet(false, segment(number(200), 0, Flags::RST), 0)),
    ];
    let connections = read(&packets);
    let series = &connections[0].directions[1];
    assert_eq!(series.from.port(), 1000);
    assert_eq!((series.data[0].at.seq, series.data[0].end), (0, 200));
    assert_eq!(duplicates(series), [true, true, false, false]);
    assert_eq!(series.sacks[1].at.seq, 300);
    assert_eq!(
        series.cwnd,
        [plot::Point {
            time: 0.01,
            seq: 3000
        }]
    );
    assert_eq!(
        series.resets,
        [plot::Point {
            time: 0.05,
            seq: 200
        }]
    );
    // The SYNs were not captured, so the scale is unknown.
    assert!(series.window.is_empty());
    let svg = plot::svg(&connections[0]).expect("drawn");
    for word in ["cwnd", "reset", "D-SACK"] {
        assert!(svg.contains(word), "{word}");
    }
}

#[test]
fn the_congestion_window_is_read_from_a_comment() {
    assert_eq!(plot::cwnd_of("cwnd=14600"), Some(14_600));
    assert_eq!(plot::cwnd_of("ssthresh=3,cwnd=2920 rto=1"), Some(2920));
    for none in ["", "cwnd=", "cwnd=-1", "cwnd=99999999999", "mycwnd=3"] {
        assert_eq!(plot::cwnd_of(none), None, "{none}");
    }
}

#[test]
fn reused_ports_are_another_connection() {
    let syn = |seq| packet(false, segment(seq, 0, Flags::SYN), 0);
    let connections = read(&[at(0, syn(1)), at(1000, syn(1)), at(2000, syn(70_000))]);
    let counts: Vec<_> = connections
        .iter()
        .map(|c| c.directions[0].data.len())
        .collect();
    assert_eq!(counts, [2, 1]);
    assert!(connections[0].directions[0].data[1].retransmission);
}

#[test]
fn a_late_segment_is_not_a_retransmission() {
    let data = |number: u32| packet(false, segment(number, 500, Flags::ACK), 100);
    let packets = [
        at(0, data(0)),
        at(1, data(200)),
        // A reordered segment, seen for the first time.
        at(2, data(100)),
        at(3, data(200)),
        // Half of its data was seen before.
        at(4, packet(false, segment(250, 500, Flags::ACK), 100)),
    ];
    let connections = read(&packets);
    let series = &connections[0].directions[0];
    let again: Vec<_> = series.data.iter().map(|bar| bar.retransmission).collect();
    assert_eq!(again, [false, false, false, true, true]);
    assert_eq!(series.sent(), 350);
}

#[test]
fn ticks_are_whole_numbers() {
    let syn = packet(false, segment(1, 0, Flags::SYN), 0);
    let svg = plot::svg(&read(&[at(0, syn)])[0]).expect("drawn");
    // Only the labels of sequence numbers; times have a decimal point.
    let mut ticks: Vec<_> = svg
        .lines()
        .filter_map(|line| line.parse::<i64>().ok())
        .collect();
    let count = ticks.len();
    ticks.dedup();
    assert!(count > 0);
    assert_eq!(ticks.len(), count, "{ticks:?}");
}

#[test]
fn values_far_above_the_data_are_mentioned_but_not_drawn() {
    let trace = (scenarios::named("S1a")[0].memory)().expect("it goes as the scenario wants it");
    let packets: Vec<_> = trace
        .segments()
        .map(|(at, segment)| (at, segment.packet.clone(), Some("cwnd=14600")))
        .collect();
    let svg = plot::svg(&read(&packets)[0]).expect("drawn");
    // In both panels: with 13 and 14 bytes of data the windows are far outside.
    for line in ["s window", "acknowledged + cwnd"] {
        let said = format!("{line} (far above)");
        assert_eq!(svg.matches(&said).count(), 2, "{said}");
    }
    // The window's blue appears only in the legend.
    assert_eq!(svg.matches("#1F5FBF").count(), 2);
}

#[test]
fn data_that_was_not_captured_is_drawn() {
    let whole = packet(false, segment(0, 500, Flags::ACK), 1400);
    let connections = read(&[at(0, whole[..60].to_vec())]);
    let series = &connections[0].directions[0];
    assert_eq!((series.data[0].end, series.sent()), (1400, 1400));
}

#[test]
fn packets_before_the_damage_are_drawn() {
    let (packets, _) = transfer_with_a_loss();
    let whole = capture(&packets);
    let read = plot::read(on_disk(&whole[..whole.len() - 7]).path()).expect("most of it");
    let damage = read.damage.expect("the end is missing");
    assert!(format!("{damage:#}").contains("after packet"), "{damage:#}");
    assert_eq!(read.connections[0].sent(), SENT as u64);
    let header = &whole[..40];
    assert!(plot::read(on_disk(header).path()).is_err());
}

#[test]
fn the_congestion_window_of_a_transfer_is_drawn() {
    let scenario = scenarios::named("bulk")[0];
    let trace = (scenario.memory)().expect("it goes as the scenario wants it");
    let file = tempfile::NamedTempFile::new().expect("a file");
    millstream_lab::capture::write(&trace, file.path()).expect("written");
    let read = plot::read(file.path()).expect("a capture");
    let [there, _] = &read.connections[0].directions;
    assert_eq!(there.sent(), 200_000);
    let again: Vec<_> = there.data.iter().filter(|bar| bar.retransmission).collect();
    let [again] = again[..] else {
        panic!("{again:?}");
    };
    // The window was larger than ten segments before the loss was detected, and smaller afterwards.
    let window = |time: f64| {
        let seen = there.cwnd.iter().rfind(|point| point.time <= time);
        let acked = there.acks.iter().rfind(|point| point.time <= time);
        seen.expect("a window").seq - acked.expect("an acknowledgment").seq
    };
    let before = window(again.at.time - 0.001);
    assert!(before > 14_600, "{before}");
    let last = there.cwnd.last().expect("a window");
    let acked = there.acks.iter().rfind(|point| point.time <= last.time);
    let after = last.seq - acked.expect("an acknowledgment").seq;
    assert!(after < before, "{after} after {before}");
}

#[test]
fn damaged_files_never_panic() {
    let (packets, _) = transfer_with_a_loss();
    let whole = capture(&packets);
    let mut random = fastrand::Rng::with_seed(6);
    let (mut drawn, mut refused) = (0, 0);
    for _ in 0..200 {
        let mut bytes = whole.clone();
        for _ in 0..random.usize(1..8) {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
        }
        match plot::read(on_disk(&bytes).path()) {
            Ok(read) => {
                let connections = read.connections.iter();
                drawn += connections.filter(|c| plot::svg(c).is_ok()).count();
            }
            Err(_) => refused += 1,
        }
    }
    assert!(drawn > 0 && refused > 0, "{drawn} drawn, {refused} refused");
}
