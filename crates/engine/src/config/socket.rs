//! The options of one socket: those of a connection, and those that the handshake settles.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use crate::config::ConnectionOptions;

/// The options that an application may choose for a socket before it connects or listens; an
/// accepted connection starts with the options of its listener.
///
/// The fields here matter in the handshake and not afterwards. The fields of [`ConnectionOptions`],
/// which also apply to an open connection, are accessible through this structure as if they were
/// its own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketOptions {
    /// The options that can also change while the connection is open.
    pub connection: ConnectionOptions,
    /// Upper bound of the segment size, offered and used (`TCP_MAXSEG`).
    pub max_segment_size: Option<u16>,
    /// SYN retransmissions before connecting fails (Linux's `tcp_syn_retries`; RFC 9293 MUST-23).
    pub syn_retries: u8,
    /// SYN-ACK retransmissions before a half-open connection is removed.
    pub syn_ack_retries: u8,
    /// Retransmission timeout before the first measurement (RFC 6298 2.1).
    pub initial_rto: Duration,
    /// Offer and use timestamps (RFC 7323).
    pub timestamps: bool,
    /// Explicit congestion notification (RFC 3168).
    pub ecn: EcnMode,
    /// Offer and use selective acknowledgments (RFC 2018).
    pub sack: bool,
    /// Offer and use window scaling (RFC 7323).
    pub window_scaling: bool,
    /// Segments in the initial window (RFC 6928).
    pub initial_window: u8,
}

impl SocketOptions {
    /// As a number of retransmissions: unlimited.
    pub const FOR_EVER: u8 = u8::MAX;

    setters! {
        max_segment_size: Option<u16>,
        syn_retries: u8,
        syn_ack_retries: u8,
        initial_rto: Duration,
        timestamps: bool,
        ecn: EcnMode,
        sack: bool,
        window_scaling: bool,
        initial_window: u8,
    }
}

impl Deref for SocketOptions {
    type Target = ConnectionOptions;

    fn deref(&self) -> &ConnectionOptions {
        &self.connection
    }
}

impl DerefMut for SocketOptions {
    fn deref_mut(&mut self) -> &mut ConnectionOptions {
        &mut self.connection
    }
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            connection: ConnectionOptions::default(),
            max_segment_size: None,
            syn_retries: 6,
            syn_ack_retries: 5,
            initial_rto: Duration::from_secs(1),
            timestamps: true,
            ecn: EcnMode::default(),
            sack: true,
            window_scaling: true,
            initial_window: 10,
        }
    }
}

/// Whether a connection uses explicit congestion notification (RFC 3168), with which routers mark
/// packets instead of dropping them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EcnMode {
    /// Never.
    Off,
    /// If the peer requests it (Linux's default).
    #[default]
    Passive,
    /// The local SYN requests it too. A SYN that is not answered is retransmitted without the
    /// request, in case the path drops packets with unknown bits (RFC 3168 6.1.1.1).
    Active,
}
