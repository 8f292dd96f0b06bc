//! An engine alone: packets enter by function calls, and the packets that it sends are counted.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use millstream_engine::{
    Cidr, Config, ConnectionId, Instant, ListenOptions, ListenerId, RxChecksum, Stack, Transmit,
};

use crate::puppet::Puppet;
use crate::scene::{PORT, VICTIM};

/// The engine and its counts.
pub(crate) struct Bare {
    pub(crate) stack: Stack,
    pub(crate) now: Instant,
    pub(crate) listener: ListenerId,
    out: Transmit,
    scratch: Vec<u8>,
    /// Packets that the engine has sent.
    pub(crate) sent: u64,
    /// Bytes of those packets.
    pub(crate) sent_bytes: u64,
}

impl Bare {
    /// An engine that listens with the given backlog.
    pub(crate) fn new(backlog: usize, change: impl FnOnce(&mut Config)) -> Result<Self> {
        let mut config = Config::default().addresses(vec![Cidr::new(VICTIM, 24)]);
        change(&mut config);
        let options = ListenOptions::default()
            .backlog(backlog)
            .socket(config.socket.clone());
        let mut stack = Stack::new(config, [7; 32]);
        let binding = stack.bind(SocketAddr::new(VICTIM, PORT), true)?;
        let listener = stack.listen(binding, options)?;
        Ok(Self {
            stack,
            now: Instant::from_millis(1000),
            listener,
            out: Transmit::new(),
            scratch: Vec::new(),
            sent: 0,
            sent_bytes: 0,
        })
    }

    /// Passes a packet to the engine.
    pub(crate) fn take(&mut self, packet: Bytes) {
        self.stack
            .handle_packet(self.now, packet, RxChecksum::Unverified);
    }

    /// Takes all packets and events from the engine.
    pub(crate) fn drain(&mut self) {
        while self.poll() {}
        while self.stack.poll_event().is_some() {}
    }

    fn poll(&mut self) -> bool {
        let more = self.stack.poll_transmit(self.now, &mut self.out);
        if more {
            self.sent += 1;
            self.sent_bytes += self.out.len() as u64;
        }
        more
    }

    /// Lets time pass, and shows each packet that timers send meanwhile.
    pub(crate) fn wait_seeing(&mut self, time: Duration, mut see: impl FnMut(&[u8])) {
        let until = self.now + time;
        while let Some(next) = self.stack.poll_timeout().filter(|&next| next <= until) {
            self.now = self.now.max(next);
            self.stack.handle_timeout(self.now);
            self.drain_to(&mut see);
        }
        self.now = until;
    }

    /// Takes the packets that the engine has to send, and shows each.
    pub(crate) fn drain_to(&mut self, mut see: impl FnMut(&[u8])) {
        while self.poll() {
            self.scratch.clear();
            self.out.write_to(&mut self.scratch);
            see(&self.scratch);
        }
        while self.stack.poll_event().is_some() {}
    }

    /// Lets time pass, and fires the timers that are due meanwhile.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.wait_seeing(time, |_| {});
    }

    /// Opens and accepts the puppet's connection.
    ///
    /// # Errors
    /// The stack did not answer.
    pub(crate) fn establish(&mut self, puppet: &mut Puppet) -> Result<ConnectionId> {
        self.take(puppet.syn());
        let mut heard = 0;
        self.drain_to(|packet| heard += usize::from(puppet.hear(packet).is_ok()));
        ensure!(heard > 0, "the SYN was not answered");
        self.take(puppet.ack());
        self.drain();
        let accepted = self.stack.accept(self.listener);
        Ok(accepted.context("no connection to accept")?.id)
    }
}
