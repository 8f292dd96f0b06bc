//! Hosts, routers and links on virtual time.
//!
//! This file drives them; `node` has the hosts and routers and their routes, `capture` writes their
//! packets to files. Time advances only in [`Network::step`], from one event to the next.

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

/// Hosts with a [`Stack`] each, joined by links and routers, on a common virtual clock.
///
/// All random decisions, in the links and in the stacks, follow from one seed, which is printed if
/// the thread panics while the network is alive (see [`Seed`]). The same seed and the same calls
/// give the same packets at the same times.
///
/// [`on`](Self::on) gives a command to a host. [`step`](Self::step) then advances to the next
/// event: the arrival of a packet or the expiry of a timer. The engine handles each packet exactly
/// at its time of arrival.
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

/// One direction of a link, and the node at its end.
#[derive(Debug)]
struct Line {
    from: NodeId,
    to: NodeId,
    link: Link,
}

/// A packet that enters or leaves a link. A message from the link to its own sender, such as
/// "packet too big", only leaves it.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    /// The time of the event.
    pub at: Instant,
    /// The node that sends on the link.
    pub from: NodeId,
    /// The node at the other end.
    pub to: NodeId,
    /// Whether the packet arrives at `to`; otherwise `from` sends it.
    pub arrives: bool,
    /// The IP packet.
    pub packet: &'a [u8],
}

impl Network {
    /// An empty network at time zero.
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

    /// Adds a host whose stack has this configuration, which must contain the host's addresses. The
    /// stack's seed is derived from the network's.
    ///
    /// # Panics
    /// If the configuration relies on offloads of the device: links carry complete packets.
    pub fn host(&mut self, config: Config) -> HostId {
        assert!(
            config.offload.max_segment == 0 && !config.offload.transmit_checksum,
            "a simulated link has no offloads"
        );
        let mut seed = [0; 32];
        self.seeds.fill(&mut seed);
        HostId(self.add(Node::host(Stack::new(config, seed))))
    }

    /// Adds a router. It forwards without delay and does not decrement hop limits.
    pub fn router(&mut self) -> RouterId {
        RouterId(self.add(Node::router()))
    }

    /// Joins two nodes by two links, one for each direction: from `a` to `b` and back.
    ///
    /// Each node learns the addresses of a host at the other end. The first link of a host is its
    /// default route; all other routes are added by [`route`](Self::route).
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

    /// Makes `node` send packets for `network` on its link to `via`. The longest matching prefix
    /// applies.
    ///
    /// # Panics
    /// If the two nodes are not connected.
    pub fn route(&mut self, node: impl Into<NodeId>, network: Cidr, via: impl Into<NodeId>) {
        let (node, via) = (node.into(), via.into());
        let line = self
            .lines
            .iter()
            .position(|line| (line.from, line.to) == (node, via))
            .expect("a route leads over a link");
        self.nodes[node.0].add_route(network, LinkId(line));
    }

    /// Writes every packet that `node` sends or receives to a pcapng file, for Wireshark and
    /// tcpdump. Each of the node's links is an interface of the file; times count from the
    /// network's start. Captures at both ends of a link show its effect on packets.
    ///
    /// `writer` should be buffered. It is dropped with the network, also when a test panics, so
    /// that the file is complete.
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
    /// If the file's header cannot be written.
    ///
    /// # Panics
    /// The network panics as soon as a packet cannot be written.
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

    /// Passes every packet to `observer`, when it is sent and when it arrives, for a trace or for
    /// checks. A network has at most one observer.
    pub fn on_packet(&mut self, observer: impl FnMut(Passing<'_>) + 'static) {
        self.observer = Hook(Some(Box::new(observer)));
    }

    // ---- driving ----

    /// Runs a command on a host's stack, and sends the resulting packets at once.
    pub fn on<R>(&mut self, host: HostId, command: impl FnOnce(&mut Stack, Instant) -> R) -> R {
        let now = self.now;
        let result = command(self.nodes[host.0.0].stack_mut(), now);
        self.flush(host.0);
        result
    }

    /// Sends a packet from `node` as if the node had produced it.
    pub fn inject(&mut self, node: impl Into<NodeId>, packet: Bytes) {
        let node = node.into();
        self.forward(node, packet);
        self.flush(node);
    }

    /// Changes a link now; see [`Link::configure`].
    pub fn configure(&mut self, link: LinkId, change: impl FnOnce(LinkConfig) -> LinkConfig) {
        self.lines[link.0].link.configure(self.now, change);
    }

    /// Advances to the next event not later than `until`, and processes all events of that moment.
    /// Returns `false` if there is none; the time is then `until`.
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

    /// Runs until `time`.
    pub fn run_until(&mut self, time: Instant) {
        while self.step(time) {}
    }

    /// Runs for `time`.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Runs until `done` returns true. `done` is called before every step and may give commands.
    /// Returns `false` if that takes longer than `limit`.
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

    // ---- inspecting ----

    /// The current time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The time of the next event, or of a possible one. `None` if there is no event until a
    /// command is given.
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        let arrivals = self.lines.iter().filter_map(|line| line.link.next_at());
        let timers = self.nodes.iter().filter_map(Node::poll_timeout);
        arrivals.chain(timers).min()
    }

    /// A host's stack, for inspection. Commands are given with [`on`](Self::on).
    #[must_use]
    pub fn stack(&self, host: HostId) -> &Stack {
        self.nodes[host.0.0].stack()
    }

    /// One direction of a link, with its counters.
    #[must_use]
    pub fn link(&self, link: LinkId) -> &Link {
        &self.lines[link.0].link
    }

    /// The number of packets that were dropped because a router or host had no route for them or
    /// could not parse their header.
    #[must_use]
    pub fn unrouted(&self) -> u64 {
        self.unrouted
    }

    /// The seed of all random decisions.
    #[must_use]
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    // ---- forwarding ----

    /// Sends all pending packets of a host.
    fn flush(&mut self, node: NodeId) {
        let mut out = Transmit::new();
        while self.nodes[node.0].poll_transmit(self.now, &mut out) {
            let mut packet = Vec::with_capacity(out.len());
            out.write_to(&mut packet);
            self.forward(node, packet.into());
        }
    }

    /// Puts a packet on the link to its destination. `node` handles the link's replies.
    fn forward(&mut self, node: NodeId, packet: Bytes) {
        let Some(line) = self.nodes[node.0].way_of(&packet) else {
            self.unrouted += 1;
            return;
        };
        let to = self.lines[line.0].to;
        self.show(node, to, false, &packet);
        self.lines[line.0].link.send(self.now, packet);
        // A link never replies to a reply, so this ends.
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
