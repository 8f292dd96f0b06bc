//! What another stack is asked to do, and how it is waited for.

use std::any::Any;
use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context as _, Result};
use tokio::sync::oneshot;

use crate::closing::Turn;

/// Who opens the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    /// The other stack listens on this port.
    Serves(u16),
    /// The other stack connects to this address.
    Connects(SocketAddrV4),
}

/// When the other stack sends what it has to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// At once, while it receives.
    AtOnce,
    /// When it has received everything.
    AfterReceiving,
}

/// One connection of the other stack's: over it goes the pattern, both ways.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    /// The other stack's address, in a network of 24 bits.
    pub(crate) address: Ipv4Addr,
    /// Who opens.
    pub(crate) role: Role,
    /// When it closes.
    pub(crate) turn: Turn,
    /// When it sends.
    pub(crate) sending: Sending,
    /// Bytes each way.
    pub(crate) bytes: u64,
}

/// The prefix of the network that the other stack believes to be on.
pub(crate) const PREFIX: u8 = 24;

/// Largest IP packet of the other stack's link, in bytes.
pub(crate) const MTU: u16 = 1500;

/// A stack at its task. It answers packets until it is dropped.
pub(crate) struct Peer {
    done: oneshot::Receiver<Result<()>>,
    _running: Box<dyn Any>,
}

impl Peer {
    /// A stack that tells over `done` how its task went and runs as long as `running` lives.
    pub(crate) fn new(done: oneshot::Receiver<Result<()>>, running: impl Any) -> Self {
        Self {
            done,
            _running: Box::new(running),
        }
    }

    /// Waits until it has sent everything, has received and checked everything, and has closed.
    ///
    /// # Errors
    /// Why it could not.
    pub(crate) async fn done(&mut self) -> Result<()> {
        (&mut self.done)
            .await
            .context("the other stack ended")?
            .context("the other stack")
    }
}
