//! The options of one connection that may change at any time.

use std::time::Duration;

use crate::config::SocketOptions;
use crate::congestion::{CongestionControl, PacingWish};

/// The options of a connection that take effect whenever they are set: before the connection is
/// made, as a part of [`SocketOptions`](crate::SocketOptions), and while it is open, by
/// [`Stack::set_options`](crate::Stack::set_options).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionOptions {
    /// Sends small segments at once (`TCP_NODELAY`): disables Nagle's algorithm (RFC 9293 3.7.4,
    /// MUST-17).
    pub nodelay: bool,
    /// Holds back segments that are not full until this is cleared or 200 ms pass (`TCP_CORK`).
    pub cork: bool,
    /// Probing of idle connections; `None`, the default, disables it (RFC 9293 3.8.4, MUST-24,
    /// MUST-25, MAY-5).
    pub keepalive: Option<Keepalive>,
    /// Time for which data may stay unacknowledged before the connection is aborted (RFC 5482,
    /// RFC 9293 3.8.3 R2, MUST-21). It also applies while the peer's window is closed and the peer
    /// answers every window probe, for which there is no other limit (MUST-37) as long as the stack
    /// has memory. `None`: the limit is `retries2`.
    pub user_timeout: Option<Duration>,
    /// What happens to unsent data when a stream is dropped: `Some(ZERO)` discards it and resets
    /// the connection.
    pub linger: Option<Duration>,
    /// Initial size of the send buffer: bytes that the application may write ahead of the peer's
    /// acknowledgments.
    pub send_buffer: usize,
    /// Size up to which the send buffer grows when the congestion window requires it. The size is
    /// fixed if this is not larger than `send_buffer`.
    pub send_buffer_max: usize,
    /// Initial size of the receive buffer: maximum number of bytes received and not yet read. It
    /// bounds the offered window.
    pub receive_buffer: usize,
    /// Size up to which the receive buffer grows when the application reads as fast as the peer can
    /// send. It determines the window scale. The size is fixed if this is not larger than
    /// `receive_buffer`.
    pub receive_buffer_max: usize,
    /// Number of bytes that must wait for the reader before the connection counts as readable
    /// (`SO_RCVLOWAT`). At the end of the stream, after a failure, and when there is no room for
    /// more, fewer bytes suffice; a read returns the bytes available.
    pub receive_low_water: usize,
    /// The traffic class or type-of-service byte without its two ECN bits (RFC 9293 3.9.1.9,
    /// MUST-48, SHLD-21).
    pub tos: u8,
    /// Time to live, or hop limit (RFC 9293 3.9.2, MUST-49).
    pub hop_limit: u8,
    /// Number of retransmissions after which a soft error is reported (RFC 9293 3.8.3 R1, SHLD-10).
    pub retries1: u8,
    /// Number of retransmissions after which the connection is aborted (RFC 9293 3.8.3 R2, MUST-21,
    /// SHLD-11); never with [`FOR_EVER`](crate::SocketOptions::FOR_EVER).
    pub retries2: u8,
    /// Lower bound of the term that the variance of the round-trip time adds to the smoothed
    /// round-trip time: the retransmission timeout is never below their sum (`TCP_RTO_MIN_US`;
    /// RFC 6298 2.4 requires one second, Linux uses 200 ms, as does this stack).
    /// [`Route::min_rto`](crate::Route::min_rto) sets it by destination.
    pub min_rto: Duration,
    /// Upper bound of the retransmission timeout (RFC 6298 2.5; `TCP_RTO_MAX_MS`).
    pub max_rto: Duration,
    /// Reports duplicate data if SACK is used (D-SACK, RFC 2883; Linux's `tcp_dsack`).
    pub dsack: bool,
    /// Time for which an acknowledgment may be delayed (RFC 9293 3.8.6.3, MUST-40); below 500 ms.
    pub delayed_ack: Duration,
    /// Reduces the congestion window after an idle period, down to the initial one (RFC 5681 4.1,
    /// RFC 2861; Linux's `tcp_slow_start_after_idle`).
    pub slow_start_after_idle: bool,
    /// Smallest movement in bytes of the right edge of the offered window. `None`: a full segment
    /// or half of the buffer (RFC 9293 3.8.6.2.2, MAY-8). `Some(1)`: each segment states the exact
    /// free space, as on BSD; no segment is sent for that purpose alone. More than half of the
    /// buffer, or of the largest window, counts as that half.
    pub window_step: Option<u32>,
    /// Detects loss by time (RACK, RFC 8985; Linux's `tcp_recovery`). Otherwise, by the amount of
    /// data that the peer holds out of order (RFC 6675). Without SACK, three duplicate
    /// acknowledgments indicate loss in either case.
    pub rack: bool,
    /// Probes the end of an unacknowledged flight before the retransmission timer fires (TLP,
    /// RFC 8985 7; Linux's `tcp_early_retrans`).
    pub tail_loss_probe: bool,
    /// Detects spurious timeouts (F-RTO, RFC 5682; Linux's `tcp_frto`).
    pub frto: bool,
    /// The congestion control algorithm.
    pub congestion: CongestionControl,
    /// Spaces segments by the rate that congestion control determines (Linux's `fq`), instead of
    /// sending bursts as acknowledgments arrive. BBR always does so.
    pub pacing: bool,
    /// Maximum rate in bytes per second (`SO_MAX_PACING_RATE`), at least one. This also limits a
    /// peer that acknowledges data before it has arrived: the congestion window, here as on Linux,
    /// accepts such acknowledgments as long as the data was sent.
    pub max_pacing_rate: Option<u64>,
}

/// The methods that set the options of a connection. Those of a socket have them too.
macro_rules! connection_setters {
    ($options:ty) => {
        impl $options {
            setters! {
                of "crate::ConnectionOptions";
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
        }
    };
}

connection_setters!(ConnectionOptions);
connection_setters!(SocketOptions);

impl ConnectionOptions {
    /// Fixes the size of the receive buffer in bytes, whatever the path could use (`SO_RCVBUF`).
    pub fn fix_receive_buffer(&mut self, bytes: usize) {
        self.receive_buffer = bytes;
        self.receive_buffer_max = bytes;
    }

    /// Fixes the size of the send buffer in bytes, whatever the path could use (`SO_SNDBUF`).
    pub fn fix_send_buffer(&mut self, bytes: usize) {
        self.send_buffer = bytes;
        self.send_buffer_max = bytes;
    }

    pub(crate) fn pacing_wish(&self) -> PacingWish {
        PacingWish {
            pacing: self.pacing,
            most: self.max_pacing_rate.unwrap_or(PacingWish::UNLIMITED),
        }
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

/// The three parameters of keepalive (`TCP_KEEPIDLE`, `TCP_KEEPINTVL`, `TCP_KEEPCNT`; RFC 9293
/// MUST-27, MUST-28).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Keepalive {
    /// Idle time before the first probe.
    pub idle: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Number of unanswered probes after which the connection is aborted.
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
    /// Linux's values: 2 hours, 75 seconds, 9 probes.
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(7200),
            interval: Duration::from_secs(75),
            count: 9,
        }
    }
}
