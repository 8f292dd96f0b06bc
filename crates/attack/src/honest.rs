//! Honest clients: each connects, sends a request, reads the answer to its end and closes.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use millstream_engine::{ConnectionId, Event, Instant, Read, SocketOptions, Stack};
use millstream_netsim::{HostId, Network};

use crate::service::{ANSWER, REQUEST};

/// The time after which a client gives up.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Client {
    id: ConnectionId,
    began: Instant,
    asked: bool,
    received: usize,
}

/// The honest clients and their results.
#[derive(Debug)]
pub(crate) struct Clients {
    due: VecDeque<(Instant, SocketAddr)>,
    open: Vec<Client>,
    /// The number of clients that have come.
    pub(crate) tried: usize,
    /// The time that each successful client took to receive its whole answer.
    pub(crate) served: Vec<Duration>,
}

impl Clients {
    pub(crate) fn new() -> Self {
        Self {
            due: VecDeque::new(),
            open: Vec::new(),
            tried: 0,
            served: Vec::new(),
        }
    }

    pub(crate) fn invite(
        &mut self,
        now: Instant,
        count: usize,
        interval: Duration,
        to: SocketAddr,
    ) {
        let times = (0..count).map(|n| (now + interval * n as u32, to));
        self.due.extend(times);
    }

    /// The time at which the next client comes or gives up.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        let coming = self.due.front().map(|(at, _)| *at);
        let going = self.open.first().map(|client| client.began + PATIENCE);
        coming.into_iter().chain(going).min()
    }

    /// The longest time of a successful client, in milliseconds.
    pub(crate) fn slowest_ms(&self) -> f64 {
        let slowest = self.served.iter().max();
        slowest.map_or(0.0, |time| time.as_secs_f64() * 1e3)
    }

    /// Does all pending work.
    pub(crate) fn work(&mut self, network: &mut Network, host: HostId) {
        let now = network.now();
        while let Some((_, to)) = self.due.pop_front_if(|(at, _)| *at <= now) {
            let connected = network.on(host, |stack, now| {
                stack.connect(now, None, to, SocketOptions::default())
            });
            self.tried += 1;
            if let Ok(id) = connected {
                self.open.push(Client {
                    id,
                    began: now,
                    asked: false,
                    received: 0,
                });
            }
        }
        network.on(host, |stack, now| {
            while let Some(event) = stack.poll_event() {
                if let Event::Connection(id, _) = event {
                    self.on_event(stack, now, id);
                }
            }
        });
        let given_up = |client: &mut Client| now >= client.began + PATIENCE;
        for client in self.open.extract_if(.., given_up) {
            network.on(host, |stack, now| stack.abort(now, client.id));
        }
    }

    fn on_event(&mut self, stack: &mut Stack, now: Instant, id: ConnectionId) {
        let Some(at) = self.open.iter().position(|client| client.id == id) else {
            return;
        };
        let client = &mut self.open[at];
        if !client.asked && stack.write_capacity(id) > 0 {
            client.asked = stack.write(now, id, &[b'q'; REQUEST]).is_ok();
        }
        let mut data: Vec<Bytes> = Vec::new();
        let over = loop {
            match stack.read(now, id, usize::MAX, &mut data) {
                Ok(Read::Data(length)) => client.received += length,
                Ok(Read::WouldBlock) => break false,
                Ok(Read::Eof) | Err(_) => break true,
            }
        };
        if over {
            if client.received == ANSWER {
                self.served.push(now.saturating_since(client.began));
            }
            self.open.remove(at);
            stack.close(now, id);
        }
    }
}
