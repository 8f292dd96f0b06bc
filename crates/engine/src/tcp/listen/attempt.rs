//! The listener for every address and port, as a gateway needs it: the application decides for each
//! connection attempt whether it is answered, and the SYN waits for the decision.
//!
//! An attempt is a half-open connection for which nothing was sent. Once admitted, it is handled
//! like any other half-open connection, except that its outcome is not put into the listener's
//! queue but kept for the application that decided.
//!
//! When there is no room for another attempt, an old one of the network with the most attempts is
//! removed (RFC 4987 3.5). Once half of the room is used, admitted attempts are answered by
//! cookies: a removed attempt can then still become a connection.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::listener::Accepted;
use crate::id::{AttemptId, ConnectionId};

/// An attempt to connect to an address that need not belong to the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// The name of the attempt.
    pub id: AttemptId,
    /// The address to which the peer wants to connect.
    pub local: SocketAddr,
    /// The address of the peer.
    pub peer: SocketAddr,
    /// Whether the attempt is already a connection. It was admitted before under another name, and
    /// removed because there were too many attempts; then the peer answered. [`admit`](crate::Stack::admit)
    /// has no effect, [`refuse`](crate::Stack::refuse) resets the connection.
    pub answered: bool,
}

/// The outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The decision or the end of the handshake is still to come. [`Event::Attempt`](crate::Event::Attempt)
    /// reports the end.
    Pending,
    /// The attempt has become a connection, which is returned once.
    Established(Accepted),
    /// There is no connection: the peer gave up or was reset, the attempt was removed for lack of
    /// room, the listener was closed, or the connection was returned before.
    Gone,
}

/// The state of attempts beside the half-open connections.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    /// Whether a listener for every address exists or has existed: its connections may still exist.
    possible: bool,
    /// Connections that were not yet returned to the application.
    established: HashMap<AttemptId, ConnectionId>,
}

impl Attempts {
    /// Whether packets for foreign addresses may concern this stack.
    pub(crate) fn are_possible(&self) -> bool {
        self.possible
    }

    /// Records that a listener for every address exists.
    pub(crate) fn make_possible(&mut self) {
        self.possible = true;
    }

    /// The connection that an attempt has become.
    pub(crate) fn connection(&self, attempt: AttemptId) -> Option<ConnectionId> {
        self.established.get(&attempt).copied()
    }

    /// Returns the connection to the application.
    pub(crate) fn take(&mut self, attempt: AttemptId) -> Option<ConnectionId> {
        self.established.remove(&attempt)
    }

    /// Number of connections not yet returned to the application.
    pub(crate) fn established(&self) -> usize {
        self.established.len()
    }

    pub(crate) fn on_established(&mut self, attempt: AttemptId, connection: ConnectionId) {
        self.established.insert(attempt, connection);
    }
}
