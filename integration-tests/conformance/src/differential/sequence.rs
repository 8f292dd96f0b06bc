//! A sequence of calls and segments for two stacks, with numbers relative to each stack's own
//! segments.

use millstream_wire::tcp::Flags;

/// A conversation, from a new socket to the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The opening.
    pub opening: Opening,
    /// `TCP_NODELAY`
    pub nodelay: bool,
    /// The peer's initial sequence number.
    pub isn: u32,
    /// The steps after the opening, in order.
    pub steps: Vec<Step>,
}

/// The first action of the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// It listens; a new connection is accepted at once.
    Listen,
    /// It connects.
    Connect,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The peer's segment arrives.
    Segment(Spec),
    /// The application writes this many bytes.
    Write(usize),
    /// The application reads up to this many bytes.
    Read(usize),
    /// `shutdown(SHUT_WR)`
    ShutdownWrite,
    /// `close`
    Close,
    /// `close` with `SO_LINGER` of zero.
    Abort,
}

/// A segment from the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The control bits.
    pub flags: Flags,
    /// Its sequence number.
    pub seq: Seq,
    /// Its acknowledgment number, present if the ACK bit is set.
    pub ack: Ack,
    /// Bytes of data.
    pub len: u32,
    /// The window field.
    pub window: u16,
    /// The urgent pointer, measured from the end of the data, if the URG bit is set.
    pub urgent: u16,
    /// The timestamp option.
    pub timestamp: Timestamp,
    /// Offset from SND.UNA and length of the range reported by SACK; no SACK option if both are
    /// zero.
    pub sack: (u32, u32),
    /// Maximum segment size.
    pub mss: Option<u16>,
    /// Window scale.
    pub window_scale: Option<u8>,
    /// SACK permitted.
    pub sack_permitted: bool,
    /// Whether the segment carries an unknown option.
    pub unknown: bool,
}

/// A sequence number, relative to the stack's acknowledgments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seq {
    /// An offset from the next sequence number that the stack expects.
    Next(i32),
    /// An offset from the right edge of its window.
    Edge(i32),
}

/// An acknowledgment number, relative to the stack's sent data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// An offset from the end of all sent data.
    Next(i32),
    /// An offset from the data that the stack knows to have arrived.
    Una(i32),
}

/// The timestamp option of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timestamp {
    /// No option.
    None,
    /// A newer timestamp than the last.
    New,
    /// The last timestamp again.
    Same,
    /// An older timestamp.
    Old,
}

impl Spec {
    /// A segment with the expected sequence number that acknowledges everything.
    #[must_use]
    pub fn plain(flags: Flags) -> Self {
        Self {
            flags,
            seq: Seq::Next(0),
            ack: Ack::Next(0),
            len: 0,
            window: 50_000,
            urgent: 0,
            timestamp: Timestamp::None,
            sack: (0, 0),
            mss: None,
            window_scale: None,
            sack_permitted: false,
            unknown: false,
        }
    }
}
