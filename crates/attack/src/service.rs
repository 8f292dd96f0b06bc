//! The victim's application: it answers each request and closes.

use std::net::SocketAddr;

use anyhow::Result;
use bytes::Bytes;
use millstream_engine::{
    Accepted, Admission, AttemptId, ConnectionId, Event, Instant, ListenOptions, ListenerId, Read,
    Readiness, Stack,
};
use millstream_netsim::{HostId, Network};

/// Bytes of a request.
pub(crate) const REQUEST: usize = 100;
/// Bytes of an answer.
pub(crate) const ANSWER: usize = 1000;

/// The treatment of attempts at a listener on every address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    /// There is no such listener.
    None,
    /// Each attempt is admitted at once.
    Admit,
    /// Attempts to one of the ports of honest clients are admitted; all others stay undecided.
    HonestOnly,
}

/// The victim's application.
#[derive(Debug)]
pub(crate) struct Service {
    listener: ListenerId,
    policy: Policy,
    attempts: Vec<AttemptId>,
    /// Whether the service neither reads from accepted connections nor answers them.
    pub(crate) idle: bool,
    /// Connections that were accepted and not served.
    pub(crate) accepted: Vec<ConnectionId>,
}

impl Service {
    pub(crate) fn listen(
        network: &mut Network,
        host: HostId,
        port: u16,
        backlog: usize,
    ) -> Result<Self> {
        let address = network.stack(host).config().addresses[0].address;
        let options = ListenOptions::default()
            .backlog(backlog)
            .socket(network.stack(host).config().socket.clone());
        let binding = network.on(host, |stack, _| {
            stack.bind(SocketAddr::new(address, port), true)
        })?;
        let listener = network.on(host, |stack, _| stack.listen(binding, options))?;
        Ok(Self::with(listener, Policy::None))
    }

    pub(crate) fn listen_any(network: &mut Network, host: HostId, admits: bool) -> Result<Self> {
        let listener = network.on(host, |stack, _| stack.listen_any(ListenOptions::default()))?;
        let policy = if admits {
            Policy::Admit
        } else {
            Policy::HonestOnly
        };
        Ok(Self::with(listener, policy))
    }

    fn with(listener: ListenerId, policy: Policy) -> Self {
        Self {
            listener,
            policy,
            attempts: Vec::new(),
            idle: false,
            accepted: Vec::new(),
        }
    }

    /// Does all pending work.
    pub(crate) fn work(&mut self, network: &mut Network, host: HostId) {
        network.on(host, |stack, now| {
            while let Some(event) = stack.poll_event() {
                match event {
                    Event::Incoming(_) if self.policy == Policy::None => self.accept(stack, now),
                    Event::Incoming(_) => self.decide(stack, now),
                    Event::Attempt(id) => self.look(stack, now, id),
                    Event::Udp(..) => {}
                    Event::Connection(id, readiness) => self.serve(stack, now, id, readiness),
                }
            }
        });
    }

    fn accept(&mut self, stack: &mut Stack, now: Instant) {
        while let Some(accepted) = stack.accept(self.listener) {
            self.begin(stack, now, accepted);
        }
    }

    fn begin(&mut self, stack: &mut Stack, now: Instant, accepted: Accepted) {
        self.accepted.push(accepted.id);
        self.serve(stack, now, accepted.id, Readiness::READABLE);
    }

    fn decide(&mut self, stack: &mut Stack, now: Instant) {
        while let Some(attempt) = stack.next_attempt(self.listener) {
            let honest = attempt.peer.ip() == crate::scene::HONEST;
            if self.policy == Policy::Admit || honest {
                stack.admit(now, attempt.id);
                self.attempts.push(attempt.id);
            }
        }
    }

    fn look(&mut self, stack: &mut Stack, now: Instant, id: AttemptId) {
        match stack.admission(id) {
            Admission::Established(accepted) => self.begin(stack, now, accepted),
            Admission::Pending => return,
            Admission::Gone => {}
        }
        self.attempts.retain(|&other| other != id);
    }

    fn serve(&mut self, stack: &mut Stack, now: Instant, id: ConnectionId, readiness: Readiness) {
        if self.idle || !readiness.contains(Readiness::READABLE) {
            return;
        }
        // A request is complete when this many bytes of it wait.
        if stack.readable_bytes(id) < REQUEST && !stack.is_read_closed(id) {
            return;
        }
        let mut data: Vec<Bytes> = Vec::new();
        let served = match stack.read(now, id, usize::MAX, &mut data) {
            Ok(Read::Data(_)) => stack.write(now, id, &[b'a'; ANSWER]).is_ok(),
            Ok(Read::WouldBlock) => return,
            Ok(Read::Eof) | Err(_) => false,
        };
        let _ = served;
        stack.close(now, id);
        self.accepted.retain(|&other| other != id);
    }
}
