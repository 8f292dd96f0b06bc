//! The stack: the state shared by all connections, and the path of a packet through it.
//!
//! - this file: the type, its contract, input and output;
//! - `open`, `commands`, `queries`: what an application may ask for;
//! - `demux`, `slab`, `list`: the tables;
//! - `ports`: choosing and checking local ports;
//! - `bypass`: payload that a reader takes directly from the device;
//! - `replies`: packets that belong to no connection;
//! - `timers`: due times and the actions of timers;
//! - `share`: several stacks that act as one host;
//! - `effects`: a step on a connection and its consequences;
//! - `scheduler`: which connection sends next;
//! - `memory`, `stalled`, `fair_shares`: memory in use, and what gives way when it runs short.
//!
//! A connection is accessed only through [`Stack::with_connection`], which afterwards settles the
//! consequences for the tables, the timers and the application.

mod bypass;
mod commands;
pub(crate) mod demux;
mod effects;
pub(crate) mod fair_shares;
pub(crate) mod list;
pub(crate) mod memory;
mod open;
pub(crate) mod ports;
mod queries;
pub(crate) mod replies;
mod scheduler;
mod share;
pub(crate) mod slab;
mod stalled;
mod timers;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use bytes::{Buf, Bytes};
use millstream_wire::{ip, tcp};

use self::demux::{Connection, Demux, Place};
use self::ports::{Hold, PortTable};
use self::scheduler::Turns;
use self::share::Sharing;
use self::stalled::Standings;
use crate::config::Config;
use crate::error::DropReason;
use crate::event::Event;
use crate::host::memory::Budget;
use crate::host::replies::Replies;
use crate::id::ConnectionId;
use crate::ip::address::Source;
use crate::ip::icmp_limits::IcmpLimits;
use crate::ip::path_mtu::PathMtus;
use crate::ip::reassembly::Reassembly;
use crate::observer::{Observer, OnTransition};
use crate::stats::{Counters, count};
use crate::tcp::connection::{Outcome, Tcb};
use crate::tcp::isn::IsnGenerator;
use crate::tcp::listen::attempt::Attempts;
use crate::tcp::listen::listener::Listeners;
use crate::tcp::recovery::heard::Heard;
use crate::tcp::segment::Segment;
use crate::tcp::time_wait::Records;
use crate::time::Instant;
use crate::timer::wheel::Wheel;
use crate::transmit::Transmit;
use crate::tuple::FourTuple;

pub use self::open::{Accepted, Binding};
pub(crate) use self::ports::BuildKeyed;
pub use self::queries::SocketSummary;
pub use self::share::Misdirected;
pub use crate::tcp::listen::attempt::{Admission, Attempt};

/// Maximum number of waiting packets from the stack to itself.
const LOOPBACK_CAPACITY: usize = 1024;

/// Whether the receiving device has verified the transport checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RxChecksum {
    /// Not verified: the stack verifies it.
    Unverified,
    /// Verified by the device, or the packet never left this machine.
    Trusted,
}

/// The datagram carried by an IP packet or by all fragments of one.
#[derive(Debug)]
pub(crate) struct Datagram {
    /// Arrival time of the packet, or of its last fragment.
    pub(crate) arrived: Instant,
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) protocol: u8,
    pub(crate) ecn: ip::Ecn,
    /// The packet with its IP header; after reassembly, the payload alone.
    pub(crate) packet: Bytes,
    /// The range of the payload in `packet`.
    pub(crate) body: Range<usize>,
}

impl Datagram {
    pub(crate) fn payload(&self) -> &[u8] {
        self.packet.get(self.body.clone()).unwrap_or_default()
    }
}

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
            demux: Demux::new(key(first, 1)),
            listeners: Listeners::new(key(first, 5)),
            attempts: Attempts::default(),
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
            paths: PathMtus::new(key(second, 6)),
            records: Records::default(),
            standings: Standings::default(),
            orphans: 0,
            memory: Budget::new(config.memory),
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

    // ---- input ----

    /// Takes an IP packet from the device at the time of its arrival.
    pub fn handle_packet(&mut self, now: Instant, packet: Bytes, checksum: RxChecksum) {
        self.handle_late_packet(now, now, packet, checksum);
    }

    /// Takes an IP packet that has waited since `arrived`. Round-trip times and reordering are
    /// judged by that time; timers that the packet starts run from `now`.
    pub fn handle_late_packet(
        &mut self,
        now: Instant,
        arrived: Instant,
        packet: Bytes,
        checksum: RxChecksum,
    ) {
        count(&mut self.counters.packets_received);
        let arrived = arrived.min(now);
        self.take_packet(now, arrived, packet, checksum, Source::Device);
    }

    /// States that no packets were read for a while until `now`, for example because the process
    /// was stopped. Packets handed in from now on may have waited during that time although they
    /// seem to arrive now or later. Data sent before is therefore used for no measurement, neither
    /// of the round-trip time (RFC 6298 3, RFC 8985 6.2) nor of the delivery rate.
    pub fn handle_standstill(&mut self, now: Instant) {
        self.resumed = self.resumed.max(now);
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
                continue;
            };
            connection.has_news = false;
            let readiness = std::mem::take(&mut connection.tcb.readiness);
            if !readiness.is_empty() && !connection.tcb.orphan {
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

    // ---- the path of a packet ----

    fn take_packet(
        &mut self,
        now: Instant,
        arrived: Instant,
        packet: Bytes,
        checksum: RxChecksum,
        from: Source,
    ) {
        let Ok(ip) = ip::Packet::parse(&packet) else {
            self.refuse_malformed(now, &packet, from);
            return;
        };
        let (src, dst) = (ip.src(), ip.dst());
        if let Err(reason) = self.check_addresses(src, dst, from) {
            self.counters.count_drop(reason);
            return;
        }
        if let Some(fragment) = ip.fragment() {
            if let Some(datagram) = self.reassemble(now, arrived, &ip, &fragment) {
                // No device verifies the checksum of a fragmented datagram.
                self.take_datagram(now, datagram, RxChecksum::Unverified);
            }
            return;
        }
        let datagram = Datagram {
            arrived,
            src,
            dst,
            protocol: ip.protocol(),
            ecn: ip.ecn(),
            body: ip.payload_range(),
            packet,
        };
        self.take_datagram(now, datagram, checksum);
    }

    fn take_datagram(&mut self, now: Instant, datagram: Datagram, checksum: RxChecksum) {
        match datagram.protocol {
            ip::TCP => self.on_tcp(now, datagram, checksum),
            ip::ICMP | ip::ICMPV6 => self.on_icmp(now, datagram),
            ip::UDP if self.is_local(datagram.dst) => {
                self.refuse_datagram(now, &datagram, checksum);
            }
            _ => self.refuse_protocol(now, &datagram),
        }
    }

    fn on_tcp(&mut self, now: Instant, datagram: Datagram, checksum: RxChecksum) {
        let (src, dst, ecn) = (datagram.src, datagram.dst, datagram.ecn);
        let Ok(view) = tcp::View::parse(datagram.payload()) else {
            self.counters.count_drop(DropReason::MalformedTcp);
            return;
        };
        if checksum == RxChecksum::Unverified && !view.checksum_ok(src, dst) {
            self.counters.count_drop(DropReason::Checksum);
            return;
        }
        let tuple = FourTuple {
            local_ip: dst,
            remote_ip: src,
            local_port: view.dst_port(),
            remote_port: view.src_port(),
        };
        let heard = Heard {
            at: datagram.arrived,
            resumed: self.resumed,
        };
        let mut segment = Segment::without_payload(tuple, heard, &view);
        let header_len = view.header_len();
        let place = self.demux.find(&tuple);
        let datagram = match place {
            Some(_) => datagram,
            None => match self.keep_own(&tuple, datagram, RxChecksum::Trusted) {
                Some(own) => own,
                None => return,
            },
        };
        let payload = datagram.body.start.saturating_add(header_len)..datagram.body.end;
        segment.payload = cut(datagram.packet, payload);
        segment.ecn = ecn;
        match place {
            Some(Place::Connection(index)) => self.on_segment_for_connection(now, index, segment),
            Some(Place::HalfOpen(index)) => self.on_segment_for_half_open(now, index, segment),
            Some(Place::TimeWait(index)) => self.on_segment_in_time_wait(now, index, &segment),
            Some(Place::Reassembly(_)) | None => {
                self.on_segment_without_connection(now, &segment, None);
            }
        }
    }

    pub(crate) fn on_segment_for_connection(&mut self, now: Instant, index: u32, segment: Segment) {
        self.with_connection(now, index, |tcb, cx| tcb.on_segment(segment, cx));
    }

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
            if self.transmit_of(now, index, out) {
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

    fn deliver_to_ourselves(&mut self, out: &Transmit) {
        if self.loopback.len() >= LOOPBACK_CAPACITY {
            self.counters.count_drop(DropReason::ReplyQueueFull);
            return;
        }
        let mut packet = Vec::with_capacity(out.len());
        out.write_to(&mut packet);
        self.loopback.push_back(packet.into());
    }

    // ---- connections ----

    /// Puts a new connection into the tables.
    pub(crate) fn adopt(&mut self, tcb: Tcb) -> ConnectionId {
        let hold = Hold::Socket { reuse: tcb.reuse };
        self.ports.hold(tcb.tuple.local(), hold);
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
        let hold = Hold::Socket {
            reuse: connection.tcb.reuse,
        };
        self.ports.release(connection.tcb.tuple.local(), hold);
        self.demux.unlink(Place::Connection(index));
    }
}

/// The bytes of `packet` at `range`, without a change of its reference count.
fn cut(mut packet: Bytes, range: Range<usize>) -> Bytes {
    packet.truncate(range.end);
    packet.advance(range.start);
    packet
}

/// The addresses of a connection as its application sees them.
pub(crate) fn seen_addresses(tcb: &Tcb) -> (SocketAddr, SocketAddr) {
    let seen = |addr: SocketAddr| match addr {
        SocketAddr::V4(v4) if tcb.mapped => {
            SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port())
        }
        _ => addr,
    };
    (seen(tcb.tuple.local()), seen(tcb.tuple.remote()))
}
