//! What recovery is told.

use std::time::Duration;

use super::heard::Heard;
use super::scoreboard::Delivered;
use crate::time::Instant;

/// What recovery has to know of one acknowledgment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AckFacts {
    pub(crate) now: Instant,
    pub(crate) heard: Heard,
    pub(crate) una: u64,
    pub(crate) nxt: u64,
    pub(crate) mss: u32,
    /// The acknowledgment moved SND.UNA.
    pub(crate) advanced: bool,
    /// It is a duplicate by RFC 5681's definition.
    pub(crate) duplicate: bool,
    /// The connection negotiated SACK.
    pub(crate) sack: bool,
    /// The congestion window held sending back in the last round trip.
    pub(crate) cwnd_limited: bool,
    pub(crate) delivered: Delivered,
    /// Loss is judged by time (RFC 8985).
    pub(crate) rack: bool,
    pub(crate) min_rtt: Option<Duration>,
    pub(crate) srtt: Option<Duration>,
    /// The round-trip time that the acknowledgment measured.
    pub(crate) rtt: Option<Duration>,
    /// The timestamp that it echoes.
    pub(crate) echo: Option<u32>,
    /// What the peer reports to have received twice.
    pub(crate) duplicated: Option<Duplicated>,
    /// It carries ECN-Echo.
    pub(crate) ecn_echo: bool,
    /// That is news: the window was not reduced in the round trip before.
    pub(crate) marked: bool,
    /// What is sent is paced.
    pub(crate) paced: bool,
    /// A probe of the path's MTU under way, from here to there: that it is lost tells nothing of congestion.
    pub(crate) mtu_probe: Option<(u64, u64)>,
    /// There is data that was never sent, and room for it in the peer's window.
    pub(crate) has_new_data: bool,
}

/// A D-SACK (RFC 2883).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Duplicated {
    /// Where it ends.
    pub(crate) end: u64,
    /// Segments it is about.
    pub(crate) segments: u32,
}
