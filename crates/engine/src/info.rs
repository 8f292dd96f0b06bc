//! What can be asked about a connection: the fields of Linux's `TCP_INFO` that apply.

use std::time::Duration;

use crate::tcb::state::State;

/// A snapshot of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpInfo {
    /// The connection's state.
    pub state: State,
    /// Timestamps were negotiated (RFC 7323).
    pub timestamps: bool,
    /// Selective acknowledgments were negotiated (RFC 2018).
    pub sack: bool,
    /// Explicit congestion notification was negotiated (RFC 3168).
    pub ecn: bool,
    /// A packet of the peer's came with an ECN codepoint.
    pub ecn_seen: bool,
    /// Shift count of the windows the peer sends, if scaling was negotiated.
    pub snd_wscale: u8,
    /// Shift count of the windows sent to the peer.
    pub rcv_wscale: u8,
    /// Current retransmission timeout, back-off included.
    pub rto: Duration,
    /// Smoothed round-trip time; `None` before the first measurement.
    pub rtt: Option<Duration>,
    /// Round-trip time variation.
    pub rtt_var: Duration,
    /// Smallest round-trip time seen.
    pub min_rtt: Option<Duration>,
    /// Payload bytes of a full segment sent.
    pub snd_mss: u32,
    /// The largest packet that the device and, as far as they have said, the routers forward; zero before the
    /// connection has sent data.
    pub pmtu: u32,
    /// Segment size offered to the peer.
    pub advmss: u32,
    /// Congestion window in bytes.
    pub cwnd: u32,
    /// Slow-start threshold in bytes; `u32::MAX` before the first loss.
    pub ssthresh: u32,
    /// The peer's receive window in bytes.
    pub snd_wnd: u32,
    /// The receive window offered to the peer, in bytes.
    pub rcv_wnd: u32,
    /// Bytes sent and not acknowledged.
    pub bytes_in_flight: u64,
    /// Bytes of those that the peer holds out of order.
    pub bytes_sacked: u64,
    /// Bytes of those that are taken for lost.
    pub bytes_lost: u64,
    /// Bytes written and not yet sent once.
    pub notsent_bytes: u64,
    /// Bytes of payload sent, retransmissions included.
    pub bytes_sent: u64,
    /// Bytes of payload sent again.
    pub bytes_retrans: u64,
    /// Bytes of payload acknowledged by the peer.
    pub bytes_acked: u64,
    /// Bytes of payload received in order.
    pub bytes_received: u64,
    /// Segments sent.
    pub segs_out: u64,
    /// Segments received.
    pub segs_in: u64,
    /// Segments sent again over the connection's life.
    pub total_retrans: u32,
    /// Retransmission timeouts in a row without progress.
    pub retransmits: u32,
    /// Zero-window or keepalive probes in a row without an answer.
    pub probes: u32,
    /// Bytes received and not yet read at the most, as tuned.
    pub rcv_space: usize,
    /// Bytes written and not yet acknowledged at the most, as tuned.
    pub snd_space: usize,
    /// In-order bytes that wait for the reader.
    pub readable_bytes: u64,
    /// Name of the congestion control algorithm.
    pub congestion: &'static str,
}
