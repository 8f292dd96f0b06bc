//! The options of a listener.

use crate::config::SocketOptions;

/// The options with which a socket listens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListenOptions {
    /// Maximum number of connections not yet accepted, and separately of half-open connections,
    /// which take about 160 bytes each. Once half of it is used, half-open connections whose
    /// SYN-ACK is not answered are kept for a shorter time, down to two retransmissions (as on
    /// Linux); as many again are kept for peers that were in TIME-WAIT.
    pub backlog: usize,
    /// Whether an unspecified IPv6 address accepts no IPv4 connections (`IPV6_V6ONLY`).
    pub v6_only: bool,
    /// The initial options of accepted connections.
    pub socket: SocketOptions,
}

impl ListenOptions {
    setters! {
        backlog: usize,
        v6_only: bool,
        socket: SocketOptions,
    }
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            backlog: 1024,
            v6_only: false,
            socket: SocketOptions::default(),
        }
    }
}
