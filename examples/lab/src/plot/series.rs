//! The contents of a time-sequence graph: the marks of one direction of a connection.

use std::net::SocketAddr;

use millstream_wire::tcp::{Flags, Options, SackBlock, View};
use millstream_wire::{SeqNum, WindowScale};

use super::ranges::Ranges;

/// A time, and a sequence number relative to the first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Seconds since the capture's first packet.
    pub time: f64,
    /// Bytes since the SYN, or since the first sequence number seen.
    pub seq: i64,
}

/// A segment with data, SYN or FIN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// The time, and its first sequence number.
    pub at: Point,
    /// The sequence number after its last.
    pub end: i64,
    /// Whether any part of it had been seen before. A segment that arrives late for the first time
    /// is not a retransmission.
    pub retransmission: bool,
}

/// A block of a SACK option.
#[derive(Clone, Debug, PartialEq)]
pub struct Sack {
    /// The time, and its first sequence number.
    pub at: Point,
    /// The sequence number after its last.
    pub end: i64,
    /// Whether it reports a duplicate (D-SACK, RFC 2883).
    pub duplicate: bool,
    /// The parts of it that no earlier block reported.
    pub news: Vec<(i64, i64)>,
}

/// A captured segment of a connection.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    /// Seconds since the capture's first packet.
    pub(super) time: f64,
    /// The header.
    pub(super) segment: &'a View<'a>,
    /// The length of its data, which may be missing from the capture.
    pub(super) data: usize,
    /// The scale of its window, if known.
    pub(super) scale: Option<WindowScale>,
    /// The sender's congestion window in bytes, if the capture has it.
    pub(super) cwnd: Option<u32>,
}

/// One direction of a connection.
#[derive(Clone, Debug)]
pub struct Series {
    /// The sender of the data.
    pub from: SocketAddr,
    /// The receiver of the data, which sends the acknowledgments.
    pub to: SocketAddr,
    /// Data segments, in order.
    pub data: Vec<Bar>,
    /// The acknowledgments of the data.
    pub acks: Vec<Point>,
    /// The right edge of the receiver's window at each acknowledgment; empty if the SYNs, and so
    /// the scale, were not seen.
    pub window: Vec<Point>,
    /// The blocks of SACK options.
    pub sacks: Vec<Sack>,
    /// Resets from the sender.
    pub resets: Vec<Point>,
    /// The last acknowledgment plus the sender's congestion window, if the capture has it.
    pub cwnd: Vec<Point>,
    numbers: Numbers,
    sent: Ranges,
    sacked: Ranges,
    bytes: u64,
}

/// Converts sequence numbers to numbers that do not wrap.
#[derive(Clone, Copy, Debug, Default)]
struct Numbers {
    /// The sequence number that is mapped to zero; `None` before the first.
    first: Option<SeqNum>,
    /// The latest sequence number and its converted form.
    latest: (SeqNum, i64),
}

impl Numbers {
    fn unwrapped(&mut self, number: SeqNum) -> i64 {
        if self.first.is_none() {
            self.first = Some(number);
            self.latest = (number, 0);
        }
        let (seq, place) = self.latest;
        let place = place + i64::from(number.distance_from(seq));
        self.latest = (number, place);
        place
    }
}

impl Series {
    fn new(from: SocketAddr, to: SocketAddr) -> Self {
        Self {
            from,
            to,
            data: Vec::new(),
            acks: Vec::new(),
            window: Vec::new(),
            sacks: Vec::new(),
            resets: Vec::new(),
            cwnd: Vec::new(),
            numbers: Numbers::default(),
            sent: Ranges::default(),
            sacked: Ranges::default(),
            bytes: 0,
        }
    }

    /// The number of data bytes sent, without repetitions.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.bytes
    }

    /// Processes a segment from the sender.
    fn sends(&mut self, seen: Seen<'_>) {
        let (time, flags) = (seen.time, seen.segment.flags());
        let seq = self.numbers.unwrapped(seen.segment.seq());
        let at = Point { time, seq };
        if flags.contains(Flags::RST) {
            self.resets.push(at);
            return;
        }
        // SYN and FIN occupy a sequence number each but are not data.
        let start = seq + i64::from(flags.contains(Flags::SYN));
        let data_end = start + seen.data as i64;
        let end = data_end + i64::from(flags.contains(Flags::FIN));
        if end > seq {
            let news = self.sent.insert(seq, end);
            let retransmission = news != [(seq, end)];
            let data = news
                .into_iter()
                .map(|(from, to)| to.min(data_end) - from.max(start));
            self.bytes += data.map(|part| part.max(0) as u64).sum::<u64>();
            self.data.push(Bar {
                at,
                end,
                retransmission,
            });
        }
        if let Some(cwnd) = seen.cwnd {
            let acked = self.acks.last().map_or(0, |ack| ack.seq);
            self.cwnd.push(Point {
                time,
                seq: acked + i64::from(cwnd),
            });
        }
    }

    /// Processes a segment from the receiver.
    fn acknowledged(&mut self, seen: Seen<'_>) {
        let (time, segment) = (seen.time, seen.segment);
        // A reset's window has no meaning, and the acknowledgment number of a refusing reset is not
        // the receiver's.
        if !segment.flags().contains(Flags::ACK) || segment.flags().contains(Flags::RST) {
            return;
        }
        let ack = self.numbers.unwrapped(segment.ack());
        self.acks.push(Point { time, seq: ack });
        if let Some(scale) = seen.scale {
            let seq = ack + i64::from(scale.widen(segment.window()));
            self.window.push(Point { time, seq });
        }
        let options = Options::parse(segment.options_bytes());
        let blocks = options.sack.as_slice();
        for (number, block) in blocks.iter().enumerate() {
            let duplicate = number == 0 && is_duplicate(segment.ack(), blocks);
            let left = self.numbers.unwrapped(block.left);
            let end = left + i64::from(block.right.distance_from(block.left));
            self.sacks.push(Sack {
                at: Point { time, seq: left },
                end,
                duplicate,
                news: self.sacked.insert(left, end),
            });
        }
    }
}

/// RFC 2883 4: the first block is a D-SACK if it is below the acknowledgment number or within the
/// second block.
fn is_duplicate(ack: SeqNum, blocks: &[SackBlock]) -> bool {
    match blocks {
        [first, ..] if first.right.le(ack) => true,
        [first, second, ..] => second.left.le(first.left) && first.right.le(second.right),
        _ => false,
    }
}

/// A connection in a capture.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its directions; the first is that of the end whose segment was seen first.
    pub directions: [Series; 2],
}

impl Connection {
    pub(super) fn new(from: SocketAddr, to: SocketAddr) -> Self {
        Self {
            directions: [Series::new(from, to), Series::new(to, from)],
        }
    }

    /// The number of data bytes sent by both ends.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.directions.iter().map(Series::sent).sum()
    }

    /// Whether `segment` opens a new connection between the same ends: a SYN with another sequence
    /// number.
    pub(super) fn is_over(&self, from: SocketAddr, segment: &View<'_>) -> bool {
        let flags = segment.flags();
        let first = self.directions[self.direction(from)].numbers.first;
        flags.contains(Flags::SYN)
            && !flags.contains(Flags::ACK)
            && first.is_some_and(|first| first != segment.seq())
    }

    pub(super) fn take(&mut self, from: SocketAddr, seen: Seen<'_>) {
        let sender = self.direction(from);
        self.directions[sender].sends(seen);
        self.directions[1 - sender].acknowledged(seen);
    }

    fn direction(&self, from: SocketAddr) -> usize {
        usize::from(self.directions[0].from != from)
    }
}
