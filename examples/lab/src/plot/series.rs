//! What a time-sequence graph shows: the marks of one direction of a connection.

use std::net::SocketAddr;

use millstream_wire::tcp::{Flags, Options, SackBlock, View};
use millstream_wire::{SeqNum, WindowScale};

use super::ranges::Ranges;

/// Something at a moment: seconds since the capture began, and a sequence number relative to the first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Seconds since the capture's first packet.
    pub time: f64,
    /// Bytes since the SYN, or since the first number seen.
    pub seq: i64,
}

/// A segment with data, SYN or FIN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// When it was seen, and its first number.
    pub at: Point,
    /// The number after its last.
    pub end: i64,
    /// Whether any of it had been seen before. What comes late for the first time is none.
    pub retransmission: bool,
}

/// A block of a SACK option.
#[derive(Clone, Debug, PartialEq)]
pub struct Sack {
    /// When it was seen, and its first number.
    pub at: Point,
    /// The number after its last.
    pub end: i64,
    /// Whether it tells of a duplicate (D-SACK, RFC 2883).
    pub duplicate: bool,
    /// The parts of it that no block before it told.
    pub news: Vec<(i64, i64)>,
}

/// A segment of a connection, as the capture has it.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    /// Seconds since the capture's first packet.
    pub(super) time: f64,
    /// The header.
    pub(super) segment: &'a View<'a>,
    /// Bytes of data, whether or not they are in the capture.
    pub(super) data: usize,
    /// The scale of its window, where that is known.
    pub(super) scale: Option<WindowScale>,
    /// The sender's congestion window in bytes, where the capture tells it.
    pub(super) cwnd: Option<u32>,
}

/// One direction of a connection.
#[derive(Clone, Debug)]
pub struct Series {
    /// The sender of the data.
    pub from: SocketAddr,
    /// Its receiver, who acknowledges.
    pub to: SocketAddr,
    /// What was sent, in order.
    pub data: Vec<Bar>,
    /// The acknowledgments of it.
    pub acks: Vec<Point>,
    /// The end of the receiver's window with each of them; none where the SYNs, and so the scale, were not seen.
    pub window: Vec<Point>,
    /// The blocks of SACK options.
    pub sacks: Vec<Sack>,
    /// Resets that the sender sent.
    pub resets: Vec<Point>,
    /// The last acknowledgment plus the sender's congestion window, where the capture tells it.
    pub cwnd: Vec<Point>,
    numbers: Numbers,
    sent: Ranges,
    sacked: Ranges,
    bytes: u64,
}

/// Sequence numbers without wrapping around.
#[derive(Clone, Copy, Debug, Default)]
struct Numbers {
    /// The number that counts as zero; `None` before any was seen.
    first: Option<SeqNum>,
    /// The latest number, wrapped and not.
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

    /// Bytes of data that were sent, each counted once.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.bytes
    }

    /// Takes a segment of the sender.
    fn sends(&mut self, seen: Seen<'_>) {
        let (time, flags) = (seen.time, seen.segment.flags());
        let seq = self.numbers.unwrapped(seen.segment.seq());
        let at = Point { time, seq };
        if flags.contains(Flags::RST) {
            self.resets.push(at);
            return;
        }
        // SYN and FIN take a number each and are no data.
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

    /// Takes a segment of the receiver.
    fn acknowledged(&mut self, seen: Seen<'_>) {
        let (time, segment) = (seen.time, seen.segment);
        // A reset's window says nothing, and the acknowledgment of one that refuses a connection is no receiver's.
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

/// RFC 2883 4: the first block is a D-SACK when it lies below the acknowledgment, or within the second block.
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
    /// Its directions: first that of the side that was seen to send first.
    pub directions: [Series; 2],
}

impl Connection {
    pub(super) fn new(from: SocketAddr, to: SocketAddr) -> Self {
        Self {
            directions: [Series::new(from, to), Series::new(to, from)],
        }
    }

    /// Bytes of data that both sides sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.directions.iter().map(Series::sent).sum()
    }

    /// Whether `segment` opens another connection between the same ends: a SYN with another number.
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
