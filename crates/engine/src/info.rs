//! What can be asked about a connection: the fields of Linux's `TCP_INFO` that apply.

use std::time::Duration;

use crate::tcp::state::State;

/// Where loss recovery stands (Linux's `tcpi_ca_state`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaState {
    /// Nothing is amiss.
    Open,
    /// Duplicates, or selective acknowledgments, tell that something is missing, and not yet that it is lost.
    Disorder,
    /// The window shrinks for a mark (RFC 3168).
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
    /// Smallest round-trip time of the last minutes.
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
    /// Bytes of those that are taken for lost, whether or not they have been sent again.
    pub bytes_lost: u64,
    /// Bytes of those that are taken for lost and have been sent again.
    pub bytes_retrans_out: u64,
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
    /// Segments sent; a super-segment counts as what the device makes of it; wraps.
    pub segs_out: u32,
    /// Segments received; what the device has merged counts once; wraps.
    pub segs_in: u32,
    /// Segments of those sent that carried data; wraps.
    pub data_segs_out: u32,
    /// Segments of those received that carried data; wraps.
    pub data_segs_in: u32,
    /// Segments that the peer has told to have arrived, the SYN among them; a FIN behind a full segment counts apart; wraps.
    pub delivered: u32,
    /// Segments of those told of with ECN-Echo (RFC 3168); wraps.
    pub delivered_ce: u32,
    /// How long an acknowledgment may wait for company.
    pub ato: Duration,
    /// What is made of what the peer has acknowledged.
    pub ca_state: CaState,
    /// Segments by which one was overtaken by later ones, at the most; three where it was less, the threshold of
    /// duplicates (RFC 5681).
    pub reordering: u32,
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
    /// Bytes of those sent that were taken for lost over the connection's life, rightly or not.
    pub lost: u64,
    /// Segments that the peer reported to have received twice (RFC 2883): most of them were sent again for nothing.
    pub dsack_dups: u32,
    /// Acknowledgments that showed a segment to have been overtaken by later ones.
    pub reord_seen: u32,
    /// Bytes per second at which segments are spaced, if they are.
    pub pacing_rate: Option<u64>,
    /// The last delivery rate measured, in bytes per second; only where the congestion control asks for it.
    pub delivery_rate: Option<u64>,
    /// Name of the congestion control algorithm.
    pub congestion: &'static str,
}
