//! A stack under every command, every option, segments that fit its connections more or less,
//! datagrams, and time, in any order. The stack must not panic, its output and its timers must end, its reports
//! must be consistent, and nothing is left of it at the end.
#![no_main]

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;

use bytes::Bytes;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use millstream_engine::{
    Admission, AttemptId, Binding, Cidr, ConnectionId, Instant, ListenerId, Read, RxChecksum,
    Share, Stack, Transmit,
};
use millstream_fuzz::peer::{self, Peers};
use millstream_fuzz::{options, stack, udp};
use millstream_wire::{SeqNum, ip};

const OURS: [u8; 4] = [10, 0, 0, 1];
const PEER: [u8; 4] = [10, 0, 0, 2];
/// An address of no host; the listener of every address answers for it.
const ELSEWHERE: [u8; 4] = [198, 51, 100, 7];
const OURS_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xFD00, 0, 0, 0, 0, 0, 0, 1));
const PEER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xFD00, 0, 0, 0, 0, 0, 0, 2));

/// The maximum number of identifiers kept, of existing objects and of removed ones.
const MOST_NAMES: usize = 12;

struct World {
    stack: Stack,
    /// A stack with another share of the four-tuples.
    sibling: Option<Stack>,
    now: Instant,
    peers: Peers,
    bindings: Vec<Binding>,
    ids: Vec<ConnectionId>,
    listeners: Vec<ListenerId>,
    attempts: Vec<AttemptId>,
    sockets: udp::Sockets,
}

/// Keeps an identifier, and forgets the oldest if there are too many.
fn keep<T>(names: &mut Vec<T>, name: T) {
    if names.len() >= MOST_NAMES {
        names.remove(0);
    }
    names.push(name);
}

/// An identifier, usually the last one.
fn pick<T: Copy>(u: &mut Unstructured<'_>, names: &[T]) -> Result<Option<T>> {
    if names.is_empty() || u.ratio(5, 8)? {
        return Ok(names.last().copied());
    }
    u.choose(names).map(|&name| Some(name))
}

fn addresses() -> Vec<SocketAddr> {
    vec![
        (OURS, 80).into(),
        (OURS_V6, 80).into(),
        (OURS, 81).into(),
        (OURS, 0).into(),
        (ELSEWHERE, 443).into(),
        ([0, 0, 0, 0], 80).into(),
        (Ipv6Addr::UNSPECIFIED, 80).into(),
        ([127, 0, 0, 1], 80).into(),
        ([224, 0, 0, 1], 80).into(),
        (PEER, 80).into(),
        (PEER, 81).into(),
        (PEER_V6, 80).into(),
    ]
}

impl World {
    fn new(u: &mut Unstructured<'_>) -> Result<Self> {
        let own = vec![Cidr::new(OURS.into(), 24), Cidr::new(OURS_V6, 64)];
        let mut config = options::config(u, own)?;
        let count = *u.choose(&[1, 1, 2, 3])?;
        let shares: Vec<_> = NonZeroU16::new(count)
            .into_iter()
            .flat_map(Share::split)
            .collect();
        let sibling = shares.get(1).map(|&share| {
            let config = config.clone().share(share);
            Stack::new(config, [9; 32])
        });
        config.share = shares[0];
        let mut stack = Stack::new(config, [9; 32]);
        stack::watch(&mut stack);
        let sources = vec![PEER.into(), PEER_V6, ELSEWHERE.into()];
        let mut world = Self {
            stack,
            sibling,
            now: Instant::from_millis(1),
            peers: Peers::new(addresses()[..5].to_vec(), sources),
            bindings: Vec::new(),
            ids: Vec::new(),
            listeners: Vec::new(),
            attempts: Vec::new(),
            sockets: udp::Sockets::default(),
        };
        for address in &addresses()[..2] {
            let binding = world.stack.bind(*address, true).expect("nobody has it");
            world
                .listeners
                .extend(world.stack.listen(binding, options::listen(u)?));
        }
        Ok(world)
    }

    fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=19u8)? {
            0..=6 => self.packet(u),
            7..=9 => self.traffic(u),
            10 => self.ending(u),
            11 | 12 => self.opening(u),
            13 => self.attempt(u),
            14 => self.setting(u),
            15 | 16 => self.sockets.step(u, &mut self.stack, self.now),
            17 => {
                for bytes in udp::packets(u)? {
                    let checksum = RxChecksum::Unverified;
                    self.stack.handle_packet(self.now, bytes.into(), checksum);
                }
                Ok(())
            }
            _ => self.time(u),
        }
    }

    fn packet(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let bytes = self.peers.packet(u)?;
        let checksum = if u.ratio(3, 4)? {
            RxChecksum::Trusted
        } else {
            RxChecksum::Unverified
        };
        match u.int_in_range(0..=9u8)? {
            0 => {
                let whole = peer::fragments(&bytes, u.arbitrary()?).unwrap_or_default();
                for piece in whole.into_iter().skip(usize::from(u.ratio(1, 8)?)) {
                    self.stack.handle_packet(self.now, piece.into(), checksum);
                }
            }
            1 => {
                let arrived =
                    Instant::from_nanos(self.now.as_nanos().wrapping_sub(peer::near(u)?.into()));
                self.stack
                    .handle_late_packet(self.now, arrived, bytes.into(), checksum);
            }
            2 => self.direct(u, bytes.into())?,
            _ => self.stack.handle_packet(self.now, bytes.into(), checksum),
        }
        Ok(())
    }

    /// Delivers a packet like an adapter that reads the payload into a reader's own buffer.
    fn direct(&mut self, u: &mut Unstructured<'_>, packet: Bytes) -> Result<()> {
        let Some(id) = pick(u, &self.ids)? else {
            return Ok(());
        };
        let header_len = match self.stack.direct_header_len(id) {
            Some(header_len) if u.ratio(7, 8)? => header_len,
            _ => usize::from(u.arbitrary::<u8>()?),
        };
        if self.stack.is_next_of(id, &packet, header_len) && packet.len() <= self.stack.config().mtu
        {
            let payload = packet.len() - header_len;
            let taken = self.stack.handle_direct(self.now, self.now, id, packet);
            assert!(taken <= payload);
        }
        Ok(())
    }

    fn opening(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let address = *u.choose(&addresses())?;
        match u.int_in_range(0..=8u8)? {
            0 => self
                .bindings
                .extend(self.stack.bind(address, u.arbitrary()?)),
            1 => {
                if let Some(binding) = self.bindings.pop() {
                    self.stack.unbind(binding);
                }
            }
            2 => {
                if let Some(binding) = self.bindings.pop() {
                    self.listeners
                        .extend(self.stack.listen(binding, options::listen(u)?));
                }
            }
            3 => self
                .listeners
                .extend(self.stack.listen_any(options::listen(u)?)),
            4 => {
                if let Some(id) = pick(u, &self.listeners)? {
                    self.stack.close_listener(self.now, id);
                }
            }
            5 => self.stack.set_next_isn(SeqNum::new(peer::near(u)?)),
            _ => {
                let binding = self.bindings.last().filter(|_| address.port() != 81);
                if let Some(binding) = binding {
                    let _ = self.stack.share_of(binding, address);
                }
                let options = options::socket(u)?;
                if let Ok(id) = self.stack.connect(self.now, binding, address, options) {
                    keep(&mut self.ids, id);
                }
            }
        }
        Ok(())
    }

    fn attempt(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if let Some(id) = pick(u, &self.listeners)?
            && let Some(attempt) = self.stack.next_attempt(id)
        {
            keep(&mut self.attempts, attempt.id);
        }
        let Some(id) = pick(u, &self.attempts)? else {
            return Ok(());
        };
        match u.int_in_range(0..=3u8)? {
            0 | 1 => self.stack.admit(self.now, id),
            2 => self.stack.refuse(self.now, id),
            _ => self.stack.ignore(self.now, id),
        }
        if let Admission::Established(accepted) = self.stack.admission(id) {
            keep(&mut self.ids, accepted.id);
        }
        Ok(())
    }

    fn traffic(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let Some(id) = pick(u, &self.ids)? else {
            return Ok(());
        };
        let (stack, now) = (&mut self.stack, self.now);
        let room = stack.write_capacity(id);
        let data = vec![1; usize::from(u.arbitrary::<u16>()?)];
        let written = match u.int_in_range(0..=9u8)? {
            0 => stack.write(now, id, &data),
            1 => stack.write_urgent(now, id, &data),
            2 => stack.write_bytes(now, id, &mut data.into()),
            3 => stack.write_pinning(
                now,
                id,
                &mut data.into(),
                usize::from(u.arbitrary::<u16>()?),
            ),
            4 => {
                stack.set_more_to_come(now, id, u.arbitrary()?);
                Ok(0)
            }
            5 => {
                stack.push(now, id);
                Ok(0)
            }
            6 => {
                let mut out = Transmit::new();
                for _ in 0..u.arbitrary::<u8>()? {
                    if !stack.poll_transmit_of(now, id, &mut out) {
                        break;
                    }
                    self.peers.hear(stack::packet(stack, &out));
                }
                Ok(0)
            }
            _ => {
                read(u, stack, now, id)?;
                Ok(0)
            }
        };
        assert!(written.unwrap_or(0) <= room, "{written:?} of {room}");
        Ok(())
    }

    fn ending(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let Some(id) = pick(u, &self.ids)? else {
            return Ok(());
        };
        let (stack, now) = (&mut self.stack, self.now);
        match u.int_in_range(0..=15u8)? {
            0..=4 => drop(stack.shutdown_write(now, id)),
            5 | 6 => stack.shutdown_read(now, id),
            7..=10 => stack.close(now, id),
            11 | 12 => stack.abort(now, id),
            13 => drop(stack.take_error(id)),
            14 if u.ratio(1, 4)? => stack.abort_all(now),
            15 if u.ratio(1, 4)? => stack.disconnect_all(now),
            _ => drop(stack.finish_connect(id)),
        }
        Ok(())
    }

    fn setting(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let mut result = Ok(());
        if let Some(&listener) = self.listeners.last().filter(|_| self.ids.is_empty()) {
            let changed = |options: &mut _| result = options::change(u, options);
            let _ = self.stack.set_listener_options(listener, changed);
        } else if let Some(&id) = self.ids.last() {
            let changed = |options: &mut _| result = options::change_connection(u, options);
            let _ = self.stack.set_options(self.now, id, changed);
        }
        result
    }

    fn time(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=7u8)? {
            0 => self.stack.handle_standstill(self.now),
            1 => self.stack.compact(),
            // Advances to the next timers, one after the other.
            2..=5 => {
                for _ in 0..u.int_in_range(1..=8u8)? {
                    let Some(next) = self.stack.poll_timeout() else {
                        break;
                    };
                    self.now = self.now.max(next);
                    stack::fire(&mut self.stack, self.now);
                    self.drain();
                }
            }
            _ => {
                self.now += std::time::Duration::from_micros(1 << u.int_in_range(0..=34u8)?);
                stack::fire(&mut self.stack, self.now);
            }
        }
        Ok(())
    }

    fn drain(&mut self) {
        let Self {
            stack,
            sibling,
            peers,
            now,
            ..
        } = self;
        stack::drain(stack, *now, |bytes| {
            let packet = ip::Packet::parse(&bytes).expect("a packet of the stack's parses");
            // An application may set all bits of a UDP socket's type of service, as on Linux.
            let is_marked = packet.tos() & 0b11 == 0b11;
            assert!(
                !is_marked || packet.protocol() == ip::UDP,
                "nobody marks its own packets"
            );
            peers.hear(bytes);
        });
        while let Some(other) = stack.poll_misdirected() {
            let owner = other.owner();
            assert_ne!(owner, stack.config().share.index());
            if let Some(sibling) = sibling.as_mut().filter(|_| owner == 1) {
                sibling.handle_misdirected(*now, other);
                stack::drain(sibling, *now, drop);
                // The sibling's answer to this host may be about a datagram of another share.
                while let Some(answer) = sibling.poll_misdirected() {
                    assert_ne!(answer.owner(), 1, "it is its own");
                }
            }
        }
    }
}

fn read(u: &mut Unstructured<'_>, stack: &mut Stack, now: Instant, id: ConnectionId) -> Result<()> {
    let most = if u.arbitrary()? {
        usize::MAX
    } else {
        usize::from(u.arbitrary::<u8>()?)
    };
    let mut chunks: Vec<Bytes> = Vec::new();
    let readable = stack.is_readable(id);
    let found = if u.ratio(1, 4)? {
        stack.peek(id, most, &mut chunks)
    } else {
        stack.read(now, id, most, &mut chunks)
    };
    let length = chunks.iter().map(Bytes::len).sum::<usize>();
    match found {
        Ok(Read::Data(count)) => assert!(count == length && count <= most),
        Ok(Read::WouldBlock) => assert!(length == 0 && !readable || most == 0),
        Ok(Read::Eof) | Err(_) => assert_eq!(length, 0),
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let mut u = Unstructured::new(data);
    let Ok(mut world) = World::new(&mut u) else {
        return;
    };
    // A command whose choices need more bytes than there are is the last.
    while !u.is_empty() && world.step(&mut u).is_ok() {
        if u.ratio(7, 8).unwrap_or(true) {
            world.drain();
        }
        for &listener in &world.listeners {
            while let Some(accepted) = world.stack.accept(listener) {
                keep(&mut world.ids, accepted.id);
            }
        }
        stack::ask(&world.stack, &world.ids, &world.listeners, &world.attempts);
    }
    stack::fire(&mut world.stack, world.now);
    stack::end(&mut world.stack, world.now);
});
