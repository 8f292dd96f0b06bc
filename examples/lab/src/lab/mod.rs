//! Two hosts on virtual time, their link, and the record of all events.
//!
//! Each host is a [`Stack`](millstream_engine::Stack) with applications that always wait: they
//! accept every connection and read all data at the earliest moment. A scenario makes the other
//! calls: connect, write, close, wait.

mod applications;
mod machine;
mod settle;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use millstream_engine::{Config, ConnectionId, Instant, RxChecksum, State};
use millstream_wire::SeqNum;

use self::machine::Machine;
use crate::link::{Link, Script};
use crate::segment::Decoder;
use crate::trace::{Change, Host, Trace, What};

/// The host on the left.
pub const LEFT: usize = 0;
/// The host on the right.
pub const RIGHT: usize = 1;

/// A connection of one of the hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// The host of the connection.
    pub host: usize,
    id: ConnectionId,
}

/// Two hosts and their link; see the module.
pub struct Lab {
    now: Duration,
    machines: Vec<Machine>,
    link: Link,
    /// Decodes packets for the script; the trace has a decoder of its own.
    decoder: Decoder,
    trace: Trace,
}

impl Lab {
    /// Two hosts with these `names`, each configured by its function, on a link controlled by
    /// `script`.
    #[must_use]
    pub fn new(names: [&str; 2], configure: [fn(&mut Config); 2], script: Script) -> Self {
        let addresses = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        let hosts = [LEFT, RIGHT].map(|host| Host {
            name: names[host].to_owned(),
            address: addresses[host],
        });
        let machines =
            [LEFT, RIGHT].map(|host| Machine::new(addresses[host], configure[host], host as u8));
        Self {
            now: Duration::ZERO,
            machines: machines.into(),
            link: Link::new(script),
            decoder: Decoder::default(),
            trace: Trace::new(hosts.into()),
        }
    }

    /// Virtual time since the start.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// The host's address with this port.
    #[must_use]
    pub fn addr(&self, host: usize, port: u16) -> SocketAddr {
        SocketAddr::new(self.machines[host].address, port)
    }

    /// The link, to change its script.
    pub fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    /// Ends the lab and returns its record, in the order of time.
    #[must_use]
    pub fn finish(mut self) -> Trace {
        self.trace.finish();
        self.trace
    }

    /// Records a remark.
    pub fn remark(&mut self, text: &str) {
        let text = text.to_owned();
        self.trace.push(self.now, What::Remark { text });
    }

    /// Sets the initial sequence number of the host's next connection.
    pub fn set_next_isn(&mut self, host: usize, isn: u32) {
        self.machines[host].stack.set_next_isn(SeqNum::new(isn));
    }

    /// Switches a host off and on: its tables are empty afterwards, and it sends no segment.
    pub fn reboot(&mut self, host: usize) {
        for socket in self.machines[host].stack.sockets() {
            let Some(peer) = socket.peer else { continue };
            // There is no stimulus: the state is lost with the memory.
            let lost = Change {
                host,
                local: socket.local,
                peer,
                from: socket.state,
                to: State::Closed,
                stimulus: None,
            };
            self.trace.push(self.now, What::State(lost));
        }
        let old = &self.machines[host];
        let seed = 100 + host as u8;
        self.machines[host] = Machine::new(old.address, old.configure, seed);
    }

    /// Processes all events that are due by `until`.
    pub fn run_until(&mut self, until: Duration) {
        while self.step(until) {}
        self.now = self.now.max(until);
    }

    /// Lets `time` pass.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Waits until no packet is in flight.
    pub fn quiet(&mut self) {
        while let Some(next) = self.link.next() {
            self.run_until(next);
        }
    }

    /// Advances to the next event by `until`; returns `false` if there is none.
    fn step(&mut self, until: Duration) -> bool {
        let timers = self.machines.iter().map(|m| m.stack.poll_timeout());
        let timer = timers.flatten().min().map(|at| at - Instant::ZERO);
        let next = [timer, self.link.next()].into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next <= until) else {
            return false;
        };
        self.now = self.now.max(next);
        let now = self.instant();
        while let Some((host, packet)) = self.link.arrived(self.now) {
            let stack = &mut self.machines[host].stack;
            stack.handle_packet(now, packet, RxChecksum::Unverified);
            self.settle(host);
        }
        for host in 0..self.machines.len() {
            self.machines[host].stack.handle_timeout(now);
            self.settle(host);
        }
        true
    }

    fn instant(&self) -> Instant {
        Instant::ZERO + self.now
    }
}
