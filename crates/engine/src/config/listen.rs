//! The options of a listener.

use crate::config::SocketOptions;

/// How to listen.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListenOptions {
    /// Bound on the connections not yet accepted, and separately on the half-open ones, which take
    /// about 160 bytes each. From half of it on half-open connections whose SYN-ACK is not answered
    /// are kept for a shorter time, down to two retransmissions (as Linux has it); as many again
    /// are kept of peers that were in TIME-WAIT.
    pub backlog: usize,
    /// An unspecified IPv6 address takes no IPv4 connections (`IPV6_V6ONLY`).
    pub v6_only: bool,
    /// What accepted connections start with.
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
