//! The task of a peer stack, and its completion.

use std::any::Any;
use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context as _, Result};
use tokio::sync::oneshot;

use crate::closing::Turn;

/// The peer's role in opening the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    /// The peer listens on this port.
    Serves(u16),
    /// The peer connects to this address.
    Connects(SocketAddrV4),
}

/// The time at which the peer sends its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// At once, while it receives.
    AtOnce,
    /// After it has received all data.
    AfterReceiving,
}

/// A connection of the peer, with the pattern sent in both directions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    /// The peer's address, in a network with a 24-bit prefix.
    pub(crate) address: Ipv4Addr,
    /// Its role in opening.
    pub(crate) role: Role,
    /// Its turn to close.
    pub(crate) turn: Turn,
    /// The time of sending.
    pub(crate) sending: Sending,
    /// Bytes in each direction.
    pub(crate) bytes: u64,
}

/// The prefix length of the network from the peer's point of view.
pub(crate) const PREFIX: u8 = 24;

/// The size in bytes of the largest IP packet on the peer's link.
pub(crate) const MTU: u16 = 1500;

/// A peer stack with its task. It processes packets until it is dropped.
pub(crate) struct Peer {
    done: oneshot::Receiver<Result<()>>,
    _running: Box<dyn Any>,
}

impl Peer {
    /// A stack that reports the result of its task through `done` and runs as long as `running`
    /// lives.
    pub(crate) fn new(done: oneshot::Receiver<Result<()>>, running: impl Any) -> Self {
        Self {
            done,
            _running: Box::new(running),
        }
    }

    /// Waits until the peer has sent all its data, has received and checked all data, and has
    /// closed.
    ///
    /// # Errors
    /// The reason for a failure.
    pub(crate) async fn done(&mut self) -> Result<()> {
        (&mut self.done)
            .await
            .context("the other stack ended")?
            .context("the other stack")
    }
}
