//! The options of one connection that may change at any time.

use std::time::Duration;

use crate::tcp::congestion::CongestionControl;

/// The options of a connection that take effect whenever they are set: before it is made, as a part
/// of [`SocketOptions`](crate::SocketOptions), and while it is open by
/// [`Stack::set_options`](crate::Stack::set_options).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionOptions {
    /// Send small segments at once (`TCP_NODELAY`): Nagle's algorithm off (RFC 9293 3.7.4,
    /// MUST-17).
    pub nodelay: bool,
    /// Hold back segments that are not full until this is cleared or 200 ms pass (`TCP_CORK`).
    pub cork: bool,
    /// Probing of idle connections; `None` is off, the default (RFC 9293 3.8.4,
    /// MUST-24, MUST-25, MAY-5).
    pub keepalive: Option<Keepalive>,
    /// How long data may stay unacknowledged before the connection is given up (RFC 5482, RFC 9293
    /// 3.8.3 R2, MUST-21), also while the peer's window is closed and it answers every probe of
    /// that, for which there is no other limit (MUST-37) as long as the stack has memory. `None`:
    /// by `retries`.
    pub user_timeout: Option<Duration>,
    /// What dropping a stream does with what is not sent: `Some(ZERO)` discards it and resets.
    pub linger: Option<Duration>,
    /// Bytes the application may write ahead of what the peer acknowledged, at first.
    pub send_buffer: usize,
    /// What that grows to where the congestion window calls for it. The size is fixed if this is not more.
    pub send_buffer_max: usize,
    /// Bytes received and not yet read at the most, at first; bounds the window offered.
    pub receive_buffer: usize,
    /// What that grows to where the application reads as fast as the peer can send. It
    /// decides on the window scale. The size is fixed if this is not more.
    pub receive_buffer_max: usize,
    /// Bytes that have to wait for the reader before the connection counts as readable (`SO_RCVLOWAT`). At the end of the
    /// stream, after a failure, and where no more has room, less is enough; a read takes what there is.
    pub receive_low_water: usize,
    /// The traffic class or type-of-service byte without its two ECN bits (RFC 9293 3.9.1.9,
    /// MUST-48, SHLD-21).
    pub tos: u8,
    /// Time to live, or hop limit (RFC 9293 3.9.2, MUST-49).
    pub hop_limit: u8,
    /// Retransmissions after which trouble is reported as a soft error (RFC 9293 3.8.3 R1,
    /// SHLD-10).
    pub retries1: u8,
    /// Retransmissions after which the connection is given up (RFC 9293 3.8.3 R2, MUST-21, SHLD-11);
    /// [`FOR_EVER`](Self::FOR_EVER) is never.
    pub retries2: u8,
    /// The least that the variance of the round-trip time adds to the smoothed round-trip time: the
    /// retransmission timeout is never below their sum (`TCP_RTO_MIN_US`; RFC 6298 2.4 asks for
    /// one second, Linux takes 200 ms as here). [`Route::min_rto`](crate::Route::min_rto) sets it
    /// by destination.
    pub min_rto: Duration,
    /// Upper bound of the retransmission timeout (RFC 6298 2.5; `TCP_RTO_MAX_MS`).
    pub max_rto: Duration,
    /// Report what arrives twice, where there is SACK (D-SACK, RFC 2883; Linux's `tcp_dsack`).
    pub dsack: bool,
    /// How long an acknowledgment may wait for company (RFC 9293 3.8.6.3, MUST-40); below 500 ms.
    pub delayed_ack: Duration,
    /// After a silence the congestion window counts for less, down to the initial one (RFC 5681 4.1, RFC 2861; Linux's
    /// `tcp_slow_start_after_idle`).
    pub slow_start_after_idle: bool,
    /// Bytes by which the right edge of the window offered moves at the least. `None`: a full segment or half
    /// of the buffer (RFC 9293 3.8.6.2.2, MAY-8). `Some(1)`: each segment tells exactly what is free, as BSD has
    /// it; no segment is sent for that alone. More than half of the buffer, or of the largest
    /// window, counts as that half.
    pub window_step: Option<u32>,
    /// Loss is judged by time (RACK, RFC 8985; Linux's `tcp_recovery`). If not, by how much the peer holds out of
    /// order (RFC 6675). Without SACK three duplicates tell, either way.
    pub rack: bool,
    /// The end of a flight that stays unacknowledged is probed before the retransmission timer fires
    /// (TLP, RFC 8985 7; Linux's `tcp_early_retrans`).
    pub tail_loss_probe: bool,
    /// After a timeout, find out whether it was needed (F-RTO, RFC 5682; Linux's `tcp_frto`).
    pub frto: bool,
    /// The congestion control algorithm.
    pub congestion: CongestionControl,
    /// Space what is sent by the rate that the congestion control says (Linux's `fq`), in place of bursts as
    /// acknowledgments come. BBR always is.
    pub pacing: bool,
    /// Send no faster than so many bytes per second (`SO_MAX_PACING_RATE`), at least one. It is
    /// also what bounds a peer that acknowledges data before it has come: the congestion window,
    /// here as on Linux, believes it as long as it was sent.
    pub max_pacing_rate: Option<u64>,
}

impl ConnectionOptions {
    setters! {
        nodelay: bool,
        cork: bool,
        keepalive: Option<Keepalive>,
        user_timeout: Option<Duration>,
        linger: Option<Duration>,
        send_buffer: usize,
        send_buffer_max: usize,
        receive_buffer: usize,
        receive_buffer_max: usize,
        receive_low_water: usize,
        tos: u8,
        hop_limit: u8,
        retries1: u8,
        retries2: u8,
        min_rto: Duration,
        max_rto: Duration,
        dsack: bool,
        delayed_ack: Duration,
        slow_start_after_idle: bool,
        window_step: Option<u32>,
        rack: bool,
        tail_loss_probe: bool,
        frto: bool,
        congestion: CongestionControl,
        pacing: bool,
        max_pacing_rate: Option<u64>,
    }

    /// Bytes of the receive buffer from now on, whatever the path could use (`SO_RCVBUF`).
    pub fn fix_receive_buffer(&mut self, bytes: usize) {
        self.receive_buffer = bytes;
        self.receive_buffer_max = bytes;
    }

    /// Bytes of the send buffer from now on, whatever the path could use (`SO_SNDBUF`).
    pub fn fix_send_buffer(&mut self, bytes: usize) {
        self.send_buffer = bytes;
        self.send_buffer_max = bytes;
    }
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            nodelay: false,
            cork: false,
            keepalive: None,
            user_timeout: None,
            linger: None,
            send_buffer: 1 << 20,
            send_buffer_max: 32 << 20,
            receive_buffer: 1 << 19,
            receive_buffer_max: 32 << 20,
            receive_low_water: 1,
            tos: 0,
            hop_limit: 64,
            retries1: 3,
            retries2: 15,
            min_rto: Duration::from_millis(200),
            max_rto: Duration::from_secs(120),
            dsack: true,
            delayed_ack: Duration::from_millis(40),
            slow_start_after_idle: true,
            window_step: None,
            rack: true,
            tail_loss_probe: true,
            frto: true,
            congestion: CongestionControl::default(),
            pacing: false,
            max_pacing_rate: None,
        }
    }
}

/// Keepalive's three numbers (`TCP_KEEPIDLE`, `TCP_KEEPINTVL`, `TCP_KEEPCNT`;
/// RFC 9293 MUST-27, MUST-28).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Keepalive {
    /// Silence before the first probe.
    pub idle: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Unanswered probes after which the connection is given up.
    pub count: u8,
}

impl Keepalive {
    setters! {
        idle: Duration,
        interval: Duration,
        count: u8,
    }
}

impl Default for Keepalive {
    /// Linux's: 2 hours, 75 seconds, 9 probes.
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(7200),
            interval: Duration::from_secs(75),
            count: 9,
        }
    }
}
