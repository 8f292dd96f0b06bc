//! Several connections at once in a network of hosts and routers.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use millstream_engine::{ListenOptions, ListenerId, SocketOptions, State};
use millstream_netsim::{HostId, Instant, NodeId};

use crate::application::{Application, Outcome};
use crate::hosts::{keepalive, options};
use crate::path::{Fate, one_in};
use crate::referee::Referee;
use crate::topology::Topology;

/// All connections and their network.
pub(crate) struct Crowd {
    topology: Topology,
    connections: Vec<Connection>,
    /// The latest state of each end, by its own and the peer's address.
    states: Arc<Mutex<HashMap<(SocketAddr, SocketAddr), State>>>,
}

/// A client's connection to a server.
struct Connection {
    client: HostId,
    server: HostId,
    /// The address on which the server listens.
    address: SocketAddr,
    listener: ListenerId,
    options: SocketOptions,
    begins_at: Instant,
    fate: Fate,
    aborted: bool,
    ends: [Application; 2],
}

impl Crowd {
    /// A random network with random connections. With a fate to that effect one host is finally cut
    /// off for good.
    pub(crate) fn new(random: &mut Rng, fate: Fate) -> Self {
        let end = Duration::from_secs(40) + Duration::from_millis(random.u64(..20_000));
        let cut_off = (fate == Fate::Ends).then(|| random.usize(..2));
        let mut topology = Topology::new(random, |host| (cut_off == Some(host)).then_some(end));
        let mut referee = Referee::of(topology.hosts.iter().copied().map(NodeId::from));
        topology
            .network
            .on_packet(move |passing| referee.see(passing));
        let states = Arc::new(Mutex::new(HashMap::new()));
        for &host in &topology.hosts {
            let states = Arc::clone(&states);
            topology.network.on(host, |stack, _| {
                stack.set_observer(Some(Box::new(move |change| {
                    let mut states = states.lock().expect("not poisoned");
                    states.insert((change.local, change.peer), change.to);
                })));
            });
        }
        let count = random.u8(2..=6);
        let connections = (0..count)
            .map(|number| Connection::new(random, &mut topology, number, cut_off))
            .collect();
        Self {
            topology,
            connections,
            states,
        }
    }

    /// Runs all applications until none waits, for at most `time` and `steps`, and checks their
    /// progress.
    pub(crate) fn run(&mut self, random: &mut Rng, time: Duration, steps: usize) {
        let until = self.topology.network.now() + time;
        for _ in 0..steps {
            let mut moved = false;
            for connection in &mut self.connections {
                moved |= connection.run(&mut self.topology, random);
            }
            if self.connections.iter().all(Connection::is_over) {
                self.connections.iter().for_each(Connection::check);
                return;
            }
            if moved {
                continue;
            }
            let now = self.topology.network.now();
            let wakes = self.connections.iter().flat_map(Connection::wakes_at);
            let next = wakes.filter(|&at| at > now).min().unwrap_or(until);
            let happened = self.topology.network.step(next.min(until));
            if !happened && next >= until {
                panic!("no event is left: {}", self.describe());
            }
        }
        panic!("livelock: {}", self.describe());
    }

    /// Closes all connections; no state may be left after `time`.
    pub(crate) fn end(&mut self, time: Duration) {
        let network = &mut self.topology.network;
        for connection in &self.connections {
            let listener = connection.listener;
            let hosts = [connection.client, connection.server];
            for (host, end) in hosts.into_iter().zip(&connection.ends) {
                if let Some(id) = end.id() {
                    network.on(host, |stack, now| stack.close(now, id));
                }
            }
            // Connections that were never accepted are closed with their listener.
            network.on(connection.server, |stack, now| {
                stack.close_listener(now, listener);
            });
        }
        network.run_for(time);
        for &host in &self.topology.hosts {
            let stack = network.stack(host);
            assert_eq!(stack.connection_count() + stack.time_wait_count(), 0);
            assert_eq!(stack.poll_timeout(), None, "a timer is still set");
            assert_eq!(stack.memory_used(), 0, "memory is still in use");
        }
        let states = self.states.lock().expect("not poisoned");
        for (end, state) in states.iter() {
            assert_eq!(*state, State::Closed, "{end:?}");
        }
    }

    /// Both ends of each unfinished connection, for an error message.
    fn describe(&self) -> String {
        let network = &self.topology.network;
        let mut text = format!("at {:?}", network.now());
        for connection in self.connections.iter().filter(|one| !one.is_over()) {
            let hosts = [connection.client, connection.server];
            for (host, end) in hosts.into_iter().zip(&connection.ends) {
                let info = end.id().and_then(|id| network.stack(host).info(id));
                let _ = write!(text, "\n{host:?}: {end:?}\n{info:?}");
            }
        }
        text
    }
}

impl Connection {
    fn new(random: &mut Rng, topology: &mut Topology, number: u8, cut_off: Option<usize>) -> Self {
        let count = topology.hosts.len();
        let client = random.usize(..count);
        let server = (client + random.usize(1..count)) % count;
        let is_cut = cut_off.is_some_and(|host| host == client || host == server);
        let fate = if is_cut { Fate::Ends } else { Fate::ComesBack };
        let aborted = one_in(random, 4);
        let [ours, theirs] = [(); 2].map(|()| {
            let mut options = options(random, fate);
            if aborted {
                options.keepalive = Some(keepalive());
            }
            options
        });
        let address = SocketAddr::new(topology.addresses[server], 7 + u16::from(number));
        let listener = topology.network.on(topology.hosts[server], |stack, _| {
            let binding = stack.bind(address, true).expect("is free");
            let options = ListenOptions::default().socket(theirs);
            stack.listen(binding, options).expect("is free")
        });
        let begins_at = Instant::from_millis(random.u64(..5_000));
        let mut ends =
            [0, 1].map(|end| Application::new(number * 2 + end, random.usize(..100_000)));
        if aborted {
            let time = begins_at + Duration::from_millis(random.u64(..5_000));
            ends[random.usize(..2)].abort_at(time);
        }
        Self {
            client: topology.hosts[client],
            server: topology.hosts[server],
            address,
            listener,
            options: ours,
            begins_at,
            fate,
            aborted,
            ends,
        }
    }

    /// Lets both ends act; returns whether that had any effect.
    fn run(&mut self, topology: &mut Topology, random: &mut Rng) -> bool {
        let network = &mut topology.network;
        if self.ends[0].id().is_none() {
            if network.now() < self.begins_at {
                return false;
            }
            let (address, options) = (self.address, self.options.clone());
            let id = network.on(self.client, |stack, now| {
                stack.connect(now, None, address, options).expect("begins")
            });
            self.ends[0].connected(id);
        }
        if self.ends[1].id().is_none() {
            let listener = self.listener;
            let accepted = network.on(self.server, |stack, _| stack.accept(listener));
            if let Some(accepted) = accepted {
                self.ends[1].connected(accepted.id);
            }
        }
        let mut moved = false;
        for (host, end) in [self.client, self.server].into_iter().zip(&mut self.ends) {
            moved |= network.on(host, |stack, now| end.run(stack, now, random));
        }
        moved
    }

    /// Whether neither end waits. The server need not learn the end of a connection that it never
    /// had.
    fn is_over(&self) -> bool {
        let [client, server] = self.outcomes();
        let unborn = self.ends[1].id().is_none();
        match client {
            Outcome::Waits => false,
            Outcome::Told | Outcome::Aborted => unborn || server != Outcome::Waits,
            Outcome::Finished => server != Outcome::Waits,
        }
    }

    /// Checks the conditions that hold for a finished connection.
    fn check(&self) {
        let outcomes = self.outcomes();
        let [ours, theirs] = self.ends.each_ref().map(Application::count);
        assert!(ours.0 <= theirs.1 && theirs.0 <= ours.1);
        if outcomes == [Outcome::Finished; 2] {
            assert_eq!((ours.0, theirs.0), (theirs.1, ours.1));
        } else {
            assert!(self.aborted || self.fate == Fate::Ends, "{outcomes:?}");
        }
    }

    fn outcomes(&self) -> [Outcome; 2] {
        self.ends.each_ref().map(Application::outcome)
    }

    fn wakes_at(&self) -> impl Iterator<Item = Instant> {
        let ends = self.ends.iter().flat_map(Application::wakes_at);
        ends.chain([self.begins_at])
    }
}
