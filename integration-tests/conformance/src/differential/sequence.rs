//! What is played to two stacks: calls, and segments whose numbers are relative to what each stack has sent.

use millstream_wire::tcp::Flags;

/// A conversation, from a fresh socket to the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// How it begins.
    pub opening: Opening,
    /// `TCP_NODELAY`
    pub nodelay: bool,
    /// The peer's initial sequence number.
    pub isn: u32,
    /// What happens then, one after the other.
    pub steps: Vec<Step>,
}

/// What the socket does first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// It listens; what comes is accepted at once.
    Listen,
    /// It connects.
    Connect,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The peer's segment arrives.
    Segment(Spec),
    /// So many bytes are written.
    Write(usize),
    /// Up to so many bytes are read.
    Read(usize),
    /// `shutdown(SHUT_WR)`
    ShutdownWrite,
    /// `close`
    Close,
    /// `close` with `SO_LINGER` of zero.
    Abort,
}

/// A segment of the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The control bits.
    pub flags: Flags,
    /// Its sequence number.
    pub seq: Seq,
    /// Its acknowledgment number, there if the ACK bit is set.
    pub ack: Ack,
    /// Bytes of data.
    pub len: u32,
    /// The window field.
    pub window: u16,
    /// Beyond the data's end, where the URG bit is set.
    pub urgent: u16,
    /// The timestamp option.
    pub timestamp: Timestamp,
    /// Bytes reported by SACK, beginning at so many after SND.UNA; none if zero.
    pub sack: (u32, u32),
    /// Maximum segment size.
    pub mss: Option<u16>,
    /// Window scale.
    pub window_scale: Option<u8>,
    /// SACK permitted.
    pub sack_permitted: bool,
    /// An option that nobody knows.
    pub unknown: bool,
}

/// A sequence number, by what the stack has told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seq {
    /// So many after what the stack expects next, or before it.
    Next(i32),
    /// So many after the right edge of its window.
    Edge(i32),
}

/// An acknowledgment number, by what the stack has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// So many after all that it has sent.
    Next(i32),
    /// So many after what it knows to have arrived.
    Una(i32),
}

/// The timestamp that a segment carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timestamp {
    /// None.
    None,
    /// A newer one than the last.
    New,
    /// The last one again.
    Same,
    /// An older one.
    Old,
}

impl Spec {
    /// A segment in its place that acknowledges everything.
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
