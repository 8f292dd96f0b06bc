//! A script's settings for the stack, in Linux's terms.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Addresses, limits and switches. The defaults are Linux's.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Whether scripts run over IPv6.
    pub ipv6: bool,
    /// The stack's address, if the script sets it.
    pub local: Option<IpAddr>,
    /// The peer's address, if the script sets it.
    pub peer: Option<IpAddr>,
    /// The port of `bind(3, ..., ...)`.
    pub bind_port: u16,
    /// The port of `connect(3, ..., ...)`.
    pub connect_port: u16,
    /// The device's MTU in bytes.
    pub mtu: usize,
    /// The seed of all random choices of a stack.
    pub seed: u8,
    /// `net.ipv4.tcp_timestamps`
    pub timestamps: bool,
    /// `net.ipv4.tcp_sack`
    pub sack: bool,
    /// `net.ipv4.tcp_dsack`
    pub dsack: bool,
    /// `net.ipv4.tcp_slow_start_after_idle`
    pub slow_start_after_idle: bool,
    /// `net.ipv4.tcp_ecn`: 0 disables it, 1 requests it, 2 accepts it.
    pub ecn: u8,
    /// `net.ipv4.tcp_mtu_probing`: 0 disables it, 1 enables it when full-sized segments are lost, 2
    /// enables it from the beginning.
    pub mtu_probing: u8,
    /// `net.ipv4.tcp_window_scaling`
    pub window_scaling: bool,
    /// `net.ipv4.tcp_syn_retries`
    pub syn_retries: u8,
    /// `net.ipv4.tcp_synack_retries`
    pub syn_ack_retries: u8,
    /// `net.ipv4.tcp_retries1`
    pub retries1: u8,
    /// `net.ipv4.tcp_retries2`
    pub retries2: u8,
    /// `net.ipv4.tcp_fin_timeout`
    pub fin_timeout: Duration,
    /// `net.ipv4.tcp_keepalive_time`
    pub keepalive_time: Duration,
    /// `net.ipv4.tcp_keepalive_intvl`
    pub keepalive_interval: Duration,
    /// `net.ipv4.tcp_keepalive_probes`
    pub keepalive_probes: u8,
    /// `net.ipv4.tcp_syncookies`: 0 never, 1 when too many connections are half-open, 2 always.
    pub syn_cookies: u8,
    /// `net.ipv4.tcp_rfc1337`: resets are ignored in TIME-WAIT.
    pub rfc1337: bool,
    /// `net.ipv4.tcp_invalid_ratelimit`
    pub challenge_interval: Duration,
    /// The largest value of `net.ipv4.tcp_rmem`, in bytes.
    pub receive_buffer: usize,
    /// The middle value, if the script sets it: the initial size of a buffer. Otherwise a stack may
    /// begin with the largest.
    pub first_receive_buffer: Option<usize>,
    /// The largest value of `net.ipv4.tcp_wmem`, in bytes.
    pub send_buffer: usize,
    /// The middle value, if the script sets it.
    pub first_send_buffer: Option<usize>,
    /// `net.ipv4.tcp_max_orphans`
    pub max_orphans: usize,
    /// `net.ipv4.tcp_max_tw_buckets`
    pub max_time_wait: usize,
    /// `net.ipv4.tcp_congestion_control`
    pub congestion: String,
    /// `net.ipv4.tcp_recovery`: loss is detected by time.
    pub rack: bool,
    /// `net.ipv4.tcp_early_retrans`: tail loss probes are sent.
    pub tail_loss_probe: bool,
    /// `net.ipv4.tcp_frto`: spurious timeouts are detected.
    pub frto: bool,
    /// The initial window in segments (`initcwnd` of a route).
    pub initial_window: u8,
    /// Whether acknowledgments are never delayed (`quickack` of a route).
    pub quick_acks: bool,
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            ipv6: false,
            local: None,
            peer: None,
            bind_port: 8080,
            connect_port: 8080,
            mtu: 1500,
            seed: 7,
            timestamps: true,
            sack: true,
            dsack: true,
            slow_start_after_idle: true,
            ecn: 0,
            mtu_probing: 0,
            window_scaling: true,
            syn_retries: 6,
            syn_ack_retries: 5,
            retries1: 3,
            retries2: 15,
            fin_timeout: Duration::from_secs(60),
            keepalive_time: Duration::from_secs(7200),
            keepalive_interval: Duration::from_secs(75),
            keepalive_probes: 9,
            syn_cookies: 1,
            rfc1337: false,
            challenge_interval: Duration::from_millis(500),
            receive_buffer: 6 << 20,
            first_receive_buffer: None,
            send_buffer: 4 << 20,
            first_send_buffer: None,
            max_orphans: 65_536,
            max_time_wait: 262_144,
            congestion: "cubic".to_owned(),
            rack: true,
            tail_loss_probe: true,
            frto: true,
            initial_window: 10,
            quick_acks: false,
        }
    }
}

impl Environment {
    /// The port of a peer that connects.
    pub const PEER_PORT: u16 = 33_333;

    /// The address of the stack under test.
    #[must_use]
    pub fn local_ip(&self) -> IpAddr {
        self.local.unwrap_or(if self.ipv6 {
            IpAddr::V6(Ipv6Addr::new(0xfd3d, 0xfa7b, 0xd17d, 0, 0, 0, 0, 1))
        } else {
            IpAddr::V4(Ipv4Addr::new(192, 168, 0, 1))
        })
    }

    /// The address of its peer.
    #[must_use]
    pub fn peer_ip(&self) -> IpAddr {
        self.peer.unwrap_or(if self.ipv6 {
            IpAddr::V6(Ipv6Addr::new(0xfd3d, 0xfa7b, 0xd17d, 0x8888, 0, 0, 0, 1))
        } else {
            IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))
        })
    }

    /// The address that `bind(3, ..., ...)` binds.
    #[must_use]
    pub fn bind_addr(&self) -> SocketAddr {
        SocketAddr::new(self.local_ip(), self.bind_port)
    }

    /// The address to which `connect(3, ..., ...)` connects.
    #[must_use]
    pub fn connect_addr(&self) -> SocketAddr {
        SocketAddr::new(self.peer_ip(), self.connect_port)
    }
}
