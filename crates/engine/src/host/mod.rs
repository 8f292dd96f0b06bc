//! The stack: the state shared by all connections, and the path of a packet through it.
//!
//! - this file: the type, its contract and its output;
//! - `input`: from a packet to the record of its four-tuple; `icmp`: messages of routers and hosts;
//! - `open`, `listeners`, `attempts`, `commands`, `queries`: what an application may ask for;
//! - `passive_open`, `cookies`: from a SYN to a connection; `time_wait`: the rest of a connection;
//! - `addresses`, `routes`: the packets that are for this stack, and those that it can send;
//! - `demux`: the tables of records;
//! - `ports`: choosing and checking local ports;
//! - `bypass`: payload that a reader takes directly from the device;
//! - `timers`: due times and the actions of timers;
//! - `share`: several stacks that act as one host;
//! - `udp`: UDP sockets and multicast membership;
//! - `effects`: a step on a connection and its consequences;
//! - `scheduler`: which connection sends next;
//! - `stalled`: what gives way when memory runs short.
//!
//! A connection is accessed only through [`Stack::with_connection`], which afterwards settles the
//! consequences for the tables, the timers and the application.

mod addresses;
mod attempts;
mod bypass;
mod commands;
mod cookies;
mod demux;
mod effects;
mod icmp;
mod input;
mod listeners;
mod open;
mod passive_open;
mod ports;
mod queries;
mod receive_queue;
mod routes;
mod scheduler;
mod share;
mod stalled;
mod time_wait;
mod timers;
mod udp;

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;

use self::demux::{Connection, Demux};
use self::ports::{Hold, PortTable};
use self::receive_queue::ReceiveQueue;
use self::scheduler::Turns;
use self::share::Sharing;
use self::stalled::Standings;
use self::udp::Datagrams;
use crate::config::Config;
use crate::event::Event;
use crate::id::ConnectionId;
use crate::ip::address::Source;
use crate::ip::icmp_limits::IcmpLimits;
use crate::ip::path_mtu::PathMtus;
use crate::ip::reassembly::Reassembly;
use crate::ip::replies::Replies;
use crate::ip::route_table::RouteTable;
use crate::memory::Budget;
use crate::stats::{Counters, count};
use crate::table::place::Place;
use crate::tcp::connection::{Outcome, Tcb};
use crate::tcp::isn::IsnGenerator;
use crate::tcp::listen::attempt::Attempts;
use crate::tcp::listen::listener::Listeners;
use crate::tcp::observer::{Observer, OnTransition};
use crate::tcp::time_wait::Records;
use crate::time::Instant;
use crate::timer::wheel::Wheel;
use crate::transmit::Transmit;

pub use self::input::RxChecksum;
pub use self::open::Binding;
pub use self::queries::SocketSummary;
pub use self::share::Misdirected;
pub use crate::tcp::listen::attempt::{Admission, Attempt};
pub use crate::tcp::listen::listener::Accepted;

/// A TCP/IP stack without input or output.
///
/// # The contract
///
/// Methods are of four kinds:
///
/// - **input**, `handle_*`: [`handle_packet`](Self::handle_packet),
///   [`handle_timeout`](Self::handle_timeout), [`handle_standstill`](Self::handle_standstill) after
///   the process was suspended, and [`handle_misdirected`](Self::handle_misdirected) if several
///   stacks act as one host;
/// - **commands**: [`connect`](Self::connect), [`listen`](Self::listen), [`accept`](Self::accept),
///   [`read`](Self::read), [`write`](Self::write), [`close`](Self::close) and so on;
/// - **output**, `poll_*`: [`poll_transmit`](Self::poll_transmit) returns packets,
///   [`poll_event`](Self::poll_event) events for the applications,
///   [`poll_timeout`](Self::poll_timeout) the time at which to call `handle_timeout`, and
///   [`poll_misdirected`](Self::poll_misdirected) packets for another stack of the same host;
/// - **getters**, `&self`, which change nothing.
///
/// A driver repeats four steps, in this order:
///
/// 1. It hands in the packets that have arrived, preferably in batches: a batch is answered with
///    one acknowledgment. Then it calls `handle_timeout` if the time returned by `poll_timeout` has
///    come.
/// 2. It lets the applications issue their commands.
/// 3. It drains `poll_transmit` and `poll_event`.
/// 4. It waits until a packet arrives, a command is issued, or the time returned by `poll_timeout`
///    comes.
///
/// `now` must never decrease. All times are read from one clock that the driver owns.
///
/// ```
/// use bytes::Bytes;
/// use millstream_engine::{Cidr, Config, Event, Instant, RxChecksum, Stack, Transmit};
///
/// # fn receive() -> Option<Bytes> { None }
/// # fn send(_: &[u8]) {}
/// # fn tell(_: Event) {}
/// # fn wait_until(_: Option<Instant>) -> Option<Instant> { None }
/// let address = Cidr::new([10, 0, 0, 1].into(), 24);
/// let mut stack = Stack::new(Config::default().addresses(vec![address]), [7; 32]);
/// let (mut transmit, mut packet) = (Transmit::new(), Vec::new());
/// let mut now = Instant::ZERO;
/// loop {
///     while let Some(packet) = receive() {
///         stack.handle_packet(now, packet, RxChecksum::Unverified);
///     }
///     stack.handle_timeout(now);
///     while stack.poll_transmit(now, &mut transmit) {
///         packet.clear();
///         transmit.write_to(&mut packet);
///         send(&packet);
///     }
///     while let Some(event) = stack.poll_event() {
///         tell(event);
///     }
///     match wait_until(stack.poll_timeout()) {
///         Some(later) => now = later,
///         None => break,
///     }
/// }
/// ```
///
/// Input never fails: faults of packets are counted in [`Counters`]. No input makes the work or the
/// memory grow without bound, and the work per packet does not depend on the number of connections.
#[derive(Debug)]
pub struct Stack {
    pub(crate) config: Config,
    pub(crate) demux: Demux,
    pub(crate) listeners: Listeners,
    pub(crate) attempts: Attempts,
    pub(crate) udp: Datagrams,
    pub(crate) ports: PortTable,
    pub(crate) isn: IsnGenerator,
    pub(crate) wheel: Wheel,
    pub(crate) replies: Replies,
    /// Packets from the stack to one of its own addresses.
    pub(crate) loopback: VecDeque<Bytes>,
    /// Connections that may have data to send.
    pub(crate) turns: Turns,
    /// Connections with news for the application.
    pub(crate) news: VecDeque<u32>,
    pub(crate) events: VecDeque<Event>,
    pub(crate) observer: Option<Observer>,
    pub(crate) icmp_limits: IcmpLimits,
    pub(crate) reassembly: Reassembly,
    pub(crate) sharing: Sharing,
    /// Positions in the list of the configuration.
    pub(crate) routes: RouteTable,
    pub(crate) paths: PathMtus,
    pub(crate) records: Records,
    pub(crate) standings: Standings,
    pub(crate) orphans: usize,
    pub(crate) memory: Budget,
    /// Connections that may hold more memory than they need.
    pub(crate) loose: Vec<u32>,
    pub(crate) counters: Counters,
    /// Time at which the last standstill ended, initially the clock's beginning.
    pub(crate) resumed: Instant,
    pub(crate) receive_queue: ReceiveQueue,
}

impl Stack {
    /// Creates a stack without connections. All random choices derive from `seed`, which must be
    /// unknown to outsiders (RFC 6528, RFC 6056). Equal seeds and equal calls give equal packets.
    #[must_use]
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        let (first, second) = seed.split_at(16);
        let key = |half: &[u8], domain: u8| {
            let mut key = [0; 16];
            key.copy_from_slice(half);
            key[0] ^= domain;
            key
        };
        Self {
            receive_queue: ReceiveQueue::new(&config),
            demux: Demux::new(key(first, 1)),
            listeners: Listeners::new(key(first, 5)),
            attempts: Attempts::default(),
            udp: Datagrams::new(config.ephemeral_ports.clone(), |use_| {
                key(second, 16 | use_)
            }),
            ports: PortTable::new(config.ephemeral_ports.clone(), key(second, 2)),
            isn: IsnGenerator::new(key(second, 3)),
            wheel: Wheel::new(),
            replies: Replies::default(),
            loopback: VecDeque::new(),
            turns: Turns::default(),
            news: VecDeque::new(),
            events: VecDeque::new(),
            observer: None,
            icmp_limits: IcmpLimits::new(config.icmp_rate),
            reassembly: Reassembly::new(key(second, 5)),
            sharing: Sharing::new(config.share, key(first, 4)),
            routes: RouteTable::new(config.routes.iter().map(|route| route.destination)),
            paths: PathMtus::new(key(second, 6)),
            records: Records::default(),
            standings: Standings::default(),
            orphans: 0,
            memory: Budget::new(config.memory, config.memory_pool.clone()),
            loose: Vec::new(),
            counters: Counters::default(),
            resumed: Instant::ZERO,
            config,
        }
    }

    /// Calls `observer` on every state change from now on; `None` removes the observer. It is
    /// called in the middle of processing and must be quick.
    pub fn set_observer(&mut self, observer: Option<OnTransition>) {
        self.observer = observer.map(Observer::new);
    }

    // ---- output ----

    /// Writes the next packet to send into `out`; returns `false` if there is none (RFC 9293
    /// MUST-59).
    #[must_use]
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Transmit) -> bool {
        loop {
            if !self.next_packet(now, out) {
                return false;
            }
            if !self.is_to_ourselves(out) {
                count(&mut self.counters.packets_sent);
                return true;
            }
            self.deliver_to_ourselves(out);
        }
    }

    /// Writes a packet as [`poll_transmit`](Self::poll_transmit) does, but only of one connection.
    /// Packets of other connections remain for `poll_transmit`, and so does the data that exceeds
    /// the connection's share of this round while others wait.
    #[must_use]
    pub fn poll_transmit_of(&mut self, now: Instant, id: ConnectionId, out: &mut Transmit) -> bool {
        let index = id.index;
        if id != self.demux.id(index) {
            return false;
        }
        while self.may_send_now(index) {
            if !self.transmit_of(now, index, out) {
                self.end_turn(index);
                return false;
            }
            if !self.is_to_ourselves(out) {
                count(&mut self.counters.packets_sent);
                return true;
            }
            self.deliver_to_ourselves(out);
        }
        false
    }

    /// The next event for an application, or `None`.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        while let Some(index) = self.news.pop_front() {
            let id = self.demux.id(index);
            let Some(connection) = self.demux.connections.at_mut(index) else {
                if let Some(event) = self.socket_event(index) {
                    return Some(event);
                }
                continue;
            };
            connection.has_news = false;
            let readiness = std::mem::take(&mut connection.tcb.app.readiness);
            if !readiness.is_empty() && !connection.tcb.app.orphan {
                return Some(Event::Connection(id, readiness));
            }
        }
        None
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) has work to do. It may still find no packet
    /// to send.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.turns.is_empty() || !self.replies.is_empty() || !self.loopback.is_empty()
    }

    /// Writes the next packet into `out`, also if the stack sends it to itself.
    fn next_packet(&mut self, now: Instant, out: &mut Transmit) -> bool {
        loop {
            while let Some(packet) = self.loopback.pop_front() {
                self.take_packet(now, now, packet, RxChecksum::Trusted, Source::Ourselves);
            }
            if self.replies.pop(out) {
                return true;
            }
            let Some(index) = self.next_turn() else {
                return false;
            };
            if self.transmit_of(now, index, out) || self.transmit_datagram(now, index, out) {
                return true;
            }
            self.end_turn(index);
        }
    }

    /// Writes the next packet of a connection into `out`, if it has one.
    fn transmit_of(&mut self, now: Instant, index: u32, out: &mut Transmit) -> bool {
        let mut sent = false;
        self.with_connection(now, index, |tcb, cx| {
            sent = tcb.poll_transmit(cx, out);
            Outcome::Alive
        });
        if sent {
            self.charge_turn(index, out.len());
        }
        sent
    }

    // ---- connections ----

    /// Puts a new connection into the tables.
    pub(crate) fn adopt(&mut self, tcb: Tcb) -> ConnectionId {
        self.ports.hold(tcb.tuple.local(), Hold::of(&tcb.app));
        let (index, generation) = self.demux.connections.insert(Connection::new(tcb));
        self.demux.link(Place::Connection(index));
        ConnectionId { index, generation }
    }

    /// Frees the connection's four-tuple.
    pub(crate) fn leave_wire(&mut self, index: u32) {
        let Some(connection) = self.demux.connections.at_mut(index) else {
            return;
        };
        if !std::mem::replace(&mut connection.on_wire, false) {
            return;
        }
        let tcb = &connection.tcb;
        self.ports.release(tcb.tuple.local(), Hold::of(&tcb.app));
        self.demux.unlink(Place::Connection(index));
    }
}

/// The addresses of a connection as its application sees them.
pub(crate) fn seen_addresses(tcb: &Tcb) -> (SocketAddr, SocketAddr) {
    let seen = |addr: SocketAddr| match addr {
        SocketAddr::V4(v4) if tcb.app.mapped => {
            SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port())
        }
        _ => addr,
    };
    (seen(tcb.tuple.local()), seen(tcb.tuple.remote()))
}
