//! The input of loss recovery.

use std::time::Duration;

use super::heard::Heard;
use super::scoreboard::Delivered;
use crate::time::Instant;

/// The facts about one acknowledgment that loss recovery needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AckFacts {
    pub(crate) now: Instant,
    pub(crate) heard: Heard,
    pub(crate) una: u64,
    pub(crate) nxt: u64,
    pub(crate) mss: u32,
    /// Whether the acknowledgment advanced SND.UNA.
    pub(crate) advanced: bool,
    /// Whether it is a duplicate as defined by RFC 5681.
    pub(crate) duplicate: bool,
    /// Whether the connection negotiated SACK.
    pub(crate) sack: bool,
    /// Whether the congestion window limited sending in the last round trip.
    pub(crate) cwnd_limited: bool,
    pub(crate) delivered: Delivered,
    /// Whether loss is detected by time (RFC 8985).
    pub(crate) rack: bool,
    pub(crate) min_rtt: Option<Duration>,
    pub(crate) srtt: Option<Duration>,
    /// The round-trip time that the acknowledgment measured.
    pub(crate) rtt: Option<Duration>,
    /// The timestamp that it echoes.
    pub(crate) echo: Option<u32>,
    /// The data that the peer reports to have received twice.
    pub(crate) duplicated: Option<Duplicated>,
    /// Whether it carries ECN-Echo.
    pub(crate) ecn_echo: bool,
    /// Whether that is new information: the window was not reduced in the round trip before.
    pub(crate) marked: bool,
    /// Whether segments are paced.
    pub(crate) paced: bool,
    /// The positions of a probe of the path MTU in flight, whose loss does not indicate congestion.
    pub(crate) mtu_probe: Option<(u64, u64)>,
    /// Whether there is data that was never sent, and room for it in the peer's window.
    pub(crate) has_new_data: bool,
}

/// A D-SACK (RFC 2883).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Duplicated {
    /// The end of the reported range.
    pub(crate) end: u64,
    /// Number of segments in the reported range.
    pub(crate) segments: u32,
}
