//! Hosts, routers and links on virtual time.
//!
//! This file drives them; `node` says what hosts and routers are and where they send a packet, `capture` writes down what they see. Time moves only in
//! [`Network::step`], from one event to the next.

mod capture;
mod node;

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use millstream_engine::{Cidr, Config, Instant, RxChecksum, Stack, Transmit};
use pcap_file::PcapError;

use self::capture::Capture;
use self::node::Node;
use crate::model::{Link, LinkConfig, Schedule};
use crate::seed::Seed;

pub use self::node::{HostId, LinkId, NodeId, RouterId};

/// Called for every packet; see [`Network::on_packet`].
type Observer = Box<dyn FnMut(Passing<'_>)>;

/// Hosts with a [`Stack`] each, joined by links and routers, on a clock of their own.
///
/// All that happens by chance, in the links and in the stacks, follows from one seed, which is printed if the thread panics
/// while the network is alive (see [`Seed`]). The same seed and the same calls give the same packets at the same times.
///
/// A command is given to a host by [`on`](Self::on). [`step`](Self::step) then goes to the next thing that happens: a packet
/// arrives, a timer fires. A packet arrives at the engine with the time of its arrival as the present.
#[derive(Debug)]
pub struct Network {
    seed: Seed,
    seeds: Rng,
    now: Instant,
    nodes: Vec<Node>,
    lines: Vec<Line>,
    unrouted: u64,
    observer: Hook,
    captures: Vec<Capture>,
}

/// One direction of a link, and where it leads.
#[derive(Debug)]
struct Line {
    from: NodeId,
    to: NodeId,
    link: Link,
}

/// A packet that enters or leaves a link. What a link tells its sender itself, that a packet is too big, only leaves it.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    /// When.
    pub at: Instant,
    /// Who sends on the link.
    pub from: NodeId,
    /// Who is at its other end.
    pub to: NodeId,
    /// Whether it arrives at `to`; otherwise it is sent by `from`.
    pub arrives: bool,
    /// The IP packet.
    pub packet: &'a [u8],
}

impl Network {
    /// An empty network at the origin of time.
    #[must_use]
    pub fn new(seed: impl Into<Seed>) -> Self {
        let seed = seed.into();
        Self {
            seeds: Rng::with_seed(seed.value()),
            seed,
            now: Instant::ZERO,
            nodes: Vec::new(),
            lines: Vec::new(),
            unrouted: 0,
            observer: Hook(None),
            captures: Vec::new(),
        }
    }

    // ---- building ----

    /// Adds a host with a stack of this configuration, which needs the host's addresses. The stack's seed comes from the
    /// network's.
    ///
    /// # Panics
    /// If the configuration leaves something to the device: links carry finished packets.
    pub fn host(&mut self, config: Config) -> HostId {
        assert!(
            config.offload.max_segment == 0 && !config.offload.transmit_checksum,
            "a simulated link has no offloads"
        );
        let mut seed = [0; 32];
        self.seeds.fill(&mut seed);
        HostId(self.add(Node::host(Stack::new(config, seed))))
    }

    /// Adds a router. It forwards without delay and leaves hop limits alone.
    pub fn router(&mut self) -> RouterId {
        RouterId(self.add(Node::router()))
    }

    /// Joins two nodes, with a link of its own for each direction: from `a` to `b` and back.
    ///
    /// Each learns the addresses of a host at the other end. The first link of a host is where it sends whatever it knows
    /// no other way for; everything else is up to [`route`](Self::route).
    pub fn connect(
        &mut self,
        a: impl Into<NodeId>,
        b: impl Into<NodeId>,
        there: impl Into<Schedule>,
        back: impl Into<Schedule>,
    ) -> (LinkId, LinkId) {
        let (a, b) = (a.into(), b.into());
        let there = self.add_line(a, b, there.into());
        let back = self.add_line(b, a, back.into());
        (there, back)
    }

    /// Has `node` send packets for `network` on its link to `via`. The longest prefix counts.
    ///
    /// # Panics
    /// If the two are not connected.
    pub fn route(&mut self, node: impl Into<NodeId>, network: Cidr, via: impl Into<NodeId>) {
        let (node, via) = (node.into(), via.into());
        let line = self
            .lines
            .iter()
            .position(|line| (line.from, line.to) == (node, via))
            .expect("a route leads over a link");
        self.nodes[node.0].add_route(network, LinkId(line));
    }

    /// Writes every packet that `node` sends, and every one that arrives there, to a pcapng file, which Wireshark and tcpdump
    /// read. Each of the node's links is an interface of the file; times count from the network's origin. What a link does to
    /// packets is seen by capturing at both of its ends.
    ///
    /// `writer` should be buffered. It is dropped with the network, also when a test panics, so that the file is whole then.
    ///
    /// ```no_run
    /// # use millstream_netsim::Network;
    /// # use millstream_engine::Config;
    /// # fn main() -> std::io::Result<()> {
    /// use std::fs::File;
    /// use std::io::BufWriter;
    ///
    /// let mut network = Network::new(1);
    /// let client = network.host(Config::default());
    /// network.capture(client, BufWriter::new(File::create("client.pcapng")?))?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The file's header could not be written.
    ///
    /// # Panics
    /// The network does, as soon as a packet cannot be written.
    pub fn capture(
        &mut self,
        node: impl Into<NodeId>,
        writer: impl Write + 'static,
    ) -> io::Result<()> {
        let capture = Capture::new(node.into(), writer).map_err(|error| match error {
            PcapError::IoError(error) => error,
            other => io::Error::other(other),
        })?;
        self.captures.push(capture);
        Ok(())
    }

    /// Shows every packet to `observer`, when it is sent and when it arrives; for a trace, or to judge what is said. There is one
    /// observer.
    pub fn on_packet(&mut self, observer: impl FnMut(Passing<'_>) + 'static) {
        self.observer = Hook(Some(Box::new(observer)));
    }

    // ---- driving ----

    /// Gives a host's stack commands, and sends what follows from them at once.
    pub fn on<R>(&mut self, host: HostId, command: impl FnOnce(&mut Stack, Instant) -> R) -> R {
        let now = self.now;
        let result = command(self.nodes[host.0.0].stack_mut(), now);
        self.flush(host.0);
        result
    }

    /// Puts a packet on the way from `node`, as if it had sent it.
    pub fn inject(&mut self, node: impl Into<NodeId>, packet: Bytes) {
        let node = node.into();
        self.forward(node, packet);
        self.flush(node);
    }

    /// Changes a link now; see [`Link::configure`].
    pub fn configure(&mut self, link: LinkId, change: impl FnOnce(LinkConfig) -> LinkConfig) {
        self.lines[link.0].link.configure(self.now, change);
    }

    /// Goes to the next event if it is not after `until`, and lets everything happen that happens then. `false` if there is
    /// none; then it is `until`.
    pub fn step(&mut self, until: Instant) -> bool {
        let Some(next) = self.next_at().filter(|&next| next <= until) else {
            self.now = self.now.max(until);
            return false;
        };
        self.now = self.now.max(next);
        for index in 0..self.lines.len() {
            while let Some(packet) = self.lines[index].link.poll(self.now) {
                self.arrive(LinkId(index), packet);
            }
        }
        for index in 0..self.nodes.len() {
            self.nodes[index].handle_timeout(self.now);
            self.flush(NodeId(index));
        }
        true
    }

    /// Runs until that time.
    pub fn run_until(&mut self, time: Instant) {
        while self.step(time) {}
    }

    /// Runs for that long.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Runs until `done`, which is asked before every step and may give commands. `false` if that takes longer than `limit`.
    #[must_use]
    pub fn drive(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let until = self.now + limit;
        loop {
            if done(self) {
                return true;
            }
            if !self.step(until) {
                return false;
            }
        }
    }

    // ---- looking ----

    /// The present.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// When the next thing happens, or may happen. `None` if nothing will before a command is given.
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        let arrivals = self.lines.iter().filter_map(|line| line.link.next_at());
        let timers = self.nodes.iter().filter_map(Node::poll_timeout);
        arrivals.chain(timers).min()
    }

    /// A host's stack, to be asked. Commands are given by [`on`](Self::on).
    #[must_use]
    pub fn stack(&self, host: HostId) -> &Stack {
        self.nodes[host.0.0].stack()
    }

    /// One direction of a link, with its counters.
    #[must_use]
    pub fn link(&self, link: LinkId) -> &Link {
        &self.lines[link.0].link
    }

    /// Packets that were dropped because a router or a host knew no way for them, or could not read their header.
    #[must_use]
    pub fn unrouted(&self) -> u64 {
        self.unrouted
    }

    /// What all that happens by chance follows from.
    #[must_use]
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    // ---- the way of a packet ----

    /// Sends what a host has to send.
    fn flush(&mut self, node: NodeId) {
        let mut out = Transmit::new();
        while self.nodes[node.0].poll_transmit(self.now, &mut out) {
            let mut packet = Vec::with_capacity(out.len());
            out.write_to(&mut packet);
            self.forward(node, packet.into());
        }
    }

    /// Puts a packet on the link that leads to its destination. What the link answers is `node`'s to handle.
    fn forward(&mut self, node: NodeId, packet: Bytes) {
        let Some(line) = self.nodes[node.0].way_of(&packet) else {
            self.unrouted += 1;
            return;
        };
        let to = self.lines[line.0].to;
        self.show(node, to, false, &packet);
        self.lines[line.0].link.send(self.now, packet);
        // Never about another reply, so this ends.
        while let Some(reply) = self.lines[line.0].link.poll_reply() {
            self.show(to, node, true, &reply);
            self.take(node, reply);
        }
    }

    fn arrive(&mut self, line: LinkId, packet: Bytes) {
        let Line { from, to, .. } = self.lines[line.0];
        self.show(from, to, true, &packet);
        self.take(to, packet);
    }

    fn take(&mut self, node: NodeId, packet: Bytes) {
        match &mut self.nodes[node.0] {
            Node::Host { stack, .. } => {
                stack.handle_packet(self.now, packet, RxChecksum::Unverified);
            }
            Node::Router { .. } => self.forward(node, packet),
        }
    }

    fn show(&mut self, from: NodeId, to: NodeId, arrives: bool, packet: &[u8]) {
        let passing = Passing {
            at: self.now,
            from,
            to,
            arrives,
            packet,
        };
        for capture in &mut self.captures {
            let written = capture.see(&passing);
            written.expect("a captured packet can be written");
        }
        if let Hook(Some(observer)) = &mut self.observer {
            observer(passing);
        }
    }

    // ---- building blocks ----

    fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }

    fn add_line(&mut self, from: NodeId, to: NodeId, schedule: Schedule) -> LinkId {
        let id = LinkId(self.lines.len());
        let link = Link::new(schedule, self.seeds.u64(..));
        self.lines.push(Line { from, to, link });
        let there = self.nodes[to.0].addresses();
        self.nodes[from.0].add_neighbour(&there, id);
        id
    }
}

/// The observer; a closure has no `Debug`.
struct Hook(Option<Observer>);

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "set" } else { "none" })
    }
}
