//! Information about a connection: the applicable fields of Linux's `TCP_INFO`.

use std::time::Duration;

use crate::tcp::state::State;

/// The state of loss recovery (Linux's `tcpi_ca_state`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaState {
    /// No loss is suspected.
    Open,
    /// Duplicate or selective acknowledgments indicate that data is missing, but it is not yet
    /// marked lost.
    Disorder,
    /// The window shrinks because of a mark (RFC 3168).
    Cwr,
    /// Fast recovery (RFC 5681, RFC 6675).
    Recovery,
    /// After a retransmission timeout.
    Loss,
}

/// A snapshot of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpInfo {
    /// The connection's state.
    pub state: State,
    /// Timestamps were negotiated (RFC 7323).
    pub timestamps: bool,
    /// Selective acknowledgments were negotiated (RFC 2018).
    pub sack: bool,
    /// Explicit congestion notification was negotiated (RFC 3168).
    pub ecn: bool,
    /// A packet of the peer carried an ECN codepoint.
    pub ecn_seen: bool,
    /// Shift count of the windows that the peer sends, if scaling was negotiated.
    pub snd_wscale: u8,
    /// Shift count of the windows sent to the peer.
    pub rcv_wscale: u8,
    /// Current retransmission timeout, including backoff.
    pub rto: Duration,
    /// Smoothed round-trip time; `None` before the first measurement.
    pub rtt: Option<Duration>,
    /// Round-trip time variation.
    pub rtt_var: Duration,
    /// Smallest round-trip time of the last minutes.
    pub min_rtt: Option<Duration>,
    /// Payload bytes of a full segment sent.
    pub snd_mss: u32,
    /// The largest packet that the device and, as far as they have reported, the routers forward;
    /// zero before the connection has sent data.
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
    /// Bytes sent but not acknowledged.
    pub bytes_in_flight: u64,
    /// Bytes in flight that the peer holds out of order.
    pub bytes_sacked: u64,
    /// Bytes in flight that are marked lost, whether or not they have been retransmitted.
    pub bytes_lost: u64,
    /// Bytes in flight that are marked lost and have been retransmitted.
    pub bytes_retrans_out: u64,
    /// Bytes written but never sent.
    pub notsent_bytes: u64,
    /// Bytes of payload sent, including retransmissions.
    pub bytes_sent: u64,
    /// Bytes of payload retransmitted.
    pub bytes_retrans: u64,
    /// Bytes of payload acknowledged by the peer.
    pub bytes_acked: u64,
    /// Bytes of payload received in order.
    pub bytes_received: u64,
    /// Segments sent; a super-segment counts as the number of segments that the device makes of it;
    /// wraps.
    pub segs_out: u32,
    /// Segments received; segments merged by the device count once; wraps.
    pub segs_in: u32,
    /// Segments sent that carried data; wraps.
    pub data_segs_out: u32,
    /// Segments received that carried data; wraps.
    pub data_segs_in: u32,
    /// Segments that the peer has acknowledged or reported by SACK, including the SYN; a FIN after
    /// a full segment counts separately; wraps.
    pub delivered: u32,
    /// Segments acknowledged or reported by SACK in acknowledgments with ECN-Echo (RFC 3168);
    /// wraps.
    pub delivered_ce: u32,
    /// Time for which an acknowledgment may be delayed.
    pub ato: Duration,
    /// The state of loss recovery.
    pub ca_state: CaState,
    /// Maximum number of later segments that overtook a segment; at least three, the threshold of
    /// duplicate acknowledgments (RFC 5681).
    pub reordering: u32,
    /// Segments retransmitted over the connection's life.
    pub total_retrans: u32,
    /// Consecutive retransmission timeouts without progress.
    pub retransmits: u32,
    /// Consecutive zero-window or keepalive probes without an answer.
    pub probes: u32,
    /// Maximum number of bytes received and not yet read, as tuned.
    pub rcv_space: usize,
    /// Maximum number of bytes written and not yet acknowledged, as tuned.
    pub snd_space: usize,
    /// In-order bytes available to the reader.
    pub readable_bytes: u64,
    /// Bytes marked lost over the connection's life, correctly or not.
    pub lost: u64,
    /// Segments that the peer reported to have received twice (RFC 2883): most of them were
    /// retransmitted unnecessarily.
    pub dsack_dups: u32,
    /// Acknowledgments that showed that a segment had been overtaken by later ones.
    pub reord_seen: u32,
    /// Bytes per second at which segments are paced; `None` without pacing.
    pub pacing_rate: Option<u64>,
    /// The last measured delivery rate, in bytes per second; only if the congestion control needs
    /// it.
    pub delivery_rate: Option<u64>,
    /// Name of the congestion control algorithm.
    pub congestion: &'static str,
}
