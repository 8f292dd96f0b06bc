//! A gateway: attempts to connect to any address are admitted, refused, ignored or left undecided.
//! They come from few networks and from many, with SYN cookies always, in a flood, or never, and
//! with segments of any shape. No attempt is answered that was not admitted, the number of waiting
//! attempts is bounded, each connection is given out once, and nothing is left after some time.
#![no_main]

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use millstream_engine::{
    Admission, AttemptId, Cidr, ConnectionId, Instant, ListenerId, RxChecksum, SocketSummary,
    Stack, State, SynCookies, Transmit,
};
use millstream_fuzz::peer::Peers;
use millstream_fuzz::{options, stack};
use millstream_wire::ip;
use millstream_wire::tcp::{Flags, View};

const OURS: [u8; 4] = [10, 0, 0, 1];
/// The port of an ordinary listener, which needs no decision about attempts.
const OWN_PORT: u16 = 80;

/// The local address and the peer's.
type Ends = (SocketAddr, SocketAddr);

struct World {
    stack: Stack,
    now: Instant,
    peers: Peers,
    listener: ListenerId,
    backlog: usize,
    /// All attempts that the application was told of and that have not ended.
    open: HashMap<AttemptId, Ends>,
    /// All attempts that the application was ever told of.
    told: HashSet<AttemptId>,
    /// The addresses of attempts that may be answered.
    admitted: HashSet<Ends>,
    connections: Vec<ConnectionId>,
    /// The connections that were given out.
    given: HashSet<ConnectionId>,
}

impl World {
    fn new(u: &mut Unstructured<'_>) -> Result<Self> {
        let mut config = options::config(u, vec![Cidr::new(OURS.into(), 24)])?;
        config.syn_cookies =
            *u.choose(&[SynCookies::Off, SynCookies::InFlood, SynCookies::Always])?;
        let mut stack = Stack::new(config, [9; 32]);
        stack::watch(&mut stack);
        let backlog = *u.choose(&[0, 1, 2, 4, 8, 20])?;
        let mut options = options::listen(u)?;
        options.backlog = backlog;
        options.socket = options::held(options.socket);
        let listener = stack.listen_any(options).expect("nobody listens");
        let binding = stack
            .bind((OURS, OWN_PORT).into(), true)
            .expect("nobody has it");
        let mut options = options::listen(u)?;
        options.socket = options::held(options.socket);
        stack.listen(binding, options).expect("nobody listens");
        let destinations: Vec<SocketAddr> = vec![
            ([198, 51, 100, 7], 443).into(),
            ([198, 51, 100, 8], 443).into(),
            (OURS, 443).into(),
            (OURS, OWN_PORT).into(),
            (
                [0x20, 1, 0xD, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7],
                443,
            )
                .into(),
        ];
        let mut sources: Vec<IpAddr> = (0..8).map(|n| [192, 0, n / 4, 2 + n].into()).collect();
        sources.extend(
            (0..4).map(|n| {
                IpAddr::from([0x20, 1, 0xD, 0xB8, n / 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, n])
            }),
        );
        Ok(Self {
            stack,
            now: Instant::from_millis(1),
            peers: Peers::new(destinations, sources),
            listener,
            backlog: backlog.max(1),
            open: HashMap::new(),
            told: HashSet::new(),
            admitted: HashSet::new(),
            connections: Vec::new(),
            given: HashSet::new(),
        })
    }

    fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=15u8)? {
            0..=8 => {
                let bytes = self.peers.packet(u)?;
                self.stack
                    .handle_packet(self.now, bytes.into(), RxChecksum::Trusted);
            }
            9 | 10 => self.be_told(),
            11..=13 => self.decide(u)?,
            14 => self.use_connection(u)?,
            _ => {
                self.now += Duration::from_millis(1 << u.int_in_range(0..=17u8)?);
                stack::fire(&mut self.stack, self.now);
            }
        }
        Ok(())
    }

    fn be_told(&mut self) {
        while let Some(attempt) = self.stack.next_attempt(self.listener) {
            assert!(
                self.told.insert(attempt.id),
                "{attempt:?} was told of before"
            );
            assert!(attempt.local.port() != OWN_PORT || attempt.local.ip() != IpAddr::from(OURS));
            let ends = (attempt.local, attempt.peer);
            assert!(
                !attempt.answered || self.admitted.contains(&ends),
                "{attempt:?} was never admitted"
            );
            self.open.insert(attempt.id, ends);
        }
    }

    fn decide(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let mut ids: Vec<_> = self.open.keys().copied().collect();
        ids.sort_unstable();
        if ids.is_empty() {
            return Ok(());
        }
        let id = *u.choose(&ids)?;
        let ends = self.open[&id];
        let before = self.stack.peek_admission(id);
        match u.int_in_range(0..=7u8)? {
            0..=3 => {
                self.stack.admit(self.now, id);
                self.admitted.insert(ends);
            }
            4 => self.stack.refuse(self.now, id),
            5 => self.stack.ignore(self.now, id),
            _ if before == Admission::Pending => assert_eq!(before, self.stack.admission(id)),
            _ => self.take(id),
        }
        self.settle();
        Ok(())
    }

    /// Takes the connection that an attempt has become.
    fn take(&mut self, id: AttemptId) {
        if let Admission::Established(accepted) = self.stack.admission(id) {
            assert!(
                self.given.insert(accepted.id),
                "{accepted:?} was given out before"
            );
            assert_eq!((accepted.local, accepted.peer), self.open[&id]);
            self.connections.push(accepted.id);
            assert_eq!(
                self.stack.admission(id),
                Admission::Gone,
                "it is given out once"
            );
        }
    }

    fn settle(&mut self) {
        let stack = &self.stack;
        self.open
            .retain(|&id, _| stack.peek_admission(id) != Admission::Gone);
    }

    fn use_connection(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let Some(&id) = self.connections.last() else {
            return Ok(());
        };
        match u.int_in_range(0..=4u8)? {
            0 | 1 => drop(self.stack.write(self.now, id, &[1; 3000])),
            2 => drop(
                self.stack
                    .read(self.now, id, usize::MAX, &mut Vec::<Bytes>::new()),
            ),
            3 => self.stack.close(self.now, id),
            _ => self.stack.abort(self.now, id),
        }
        if self.stack.state(id).is_none() {
            self.connections.pop();
        }
        Ok(())
    }

    fn drain(&mut self) {
        let Self {
            stack,
            peers,
            now,
            admitted,
            ..
        } = self;
        let mut out = Transmit::new();
        while stack.poll_transmit(*now, &mut out) {
            let bytes = stack::packet(stack, &out);
            check_answer(&bytes, admitted);
            peers.hear(bytes);
        }
        while stack.poll_event().is_some() {}
    }

    fn check(&self) {
        let half_open = |socket: &SocketSummary| {
            socket.state == State::SynReceived
                && socket.id.is_none()
                && socket.local != (OURS, OWN_PORT).into()
        };
        let waiting = self.stack.sockets().filter(half_open).count();
        // As many again may belong to peers that were in TIME-WAIT.
        assert!(
            waiting <= 2 * self.backlog,
            "{waiting} wait with a backlog of {}",
            self.backlog
        );
        stack::ask(&self.stack, &self.connections, &[self.listener], &[]);
    }

    /// Lets time pass without any decision.
    fn rest(&mut self) {
        for _ in 0..8 {
            self.now += Duration::from_secs(60);
            stack::fire(&mut self.stack, self.now);
            self.drain();
        }
        self.be_told();
        let undecided = |ends: &Ends| !self.admitted.contains(ends);
        for (&id, ends) in &self.open {
            let admission = self.stack.peek_admission(id);
            assert!(
                !undecided(ends) || admission == Admission::Gone,
                "{id:?} still is {admission:?}"
            );
        }
    }
}

/// A listener of every address answers only attempts that were admitted.
fn check_answer(bytes: &Bytes, admitted: &HashSet<Ends>) {
    let packet = ip::Packet::parse(bytes).expect("a packet of the stack's parses");
    let Ok(view) = View::parse(packet.payload()) else {
        return;
    };
    if packet.protocol() != ip::TCP || !view.flags().contains(Flags::SYN) {
        return;
    }
    let local = SocketAddr::new(packet.src(), view.src_port());
    let peer = SocketAddr::new(packet.dst(), view.dst_port());
    let own = local == (OURS, OWN_PORT).into();
    assert!(
        own || admitted.contains(&(local, peer)),
        "{peer} is answered and was not admitted"
    );
}

fuzz_target!(|data: &[u8]| {
    let mut u = Unstructured::new(data);
    let Ok(mut world) = World::new(&mut u) else {
        return;
    };
    while !u.is_empty() && world.step(&mut u).is_ok() {
        world.drain();
        world.check();
    }
    world.be_told();
    world.rest();
    stack::end(&mut world.stack, world.now);
});
