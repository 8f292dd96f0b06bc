//! Two hosts, the path between them, and their applications.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use millstream_engine::{
    Cidr, Config, CongestionControl, EcnMode, Keepalive, ListenOptions, ListenerId, SocketOptions,
    State,
};
use millstream_netsim::{HostId, Network, NodeId};

use crate::application::{Application, Outcome};
use crate::path::{Fate, both_ways};
use crate::referee::Referee;

const PORT: u16 = 7;

/// Keepalive shows an end that only waits that its peer is gone.
pub(crate) fn keepalive() -> Keepalive {
    Keepalive::default()
        .idle(Duration::from_secs(30))
        .interval(Duration::from_secs(10))
        .count(5)
}

/// A client and a server with a connection.
pub(crate) struct Hosts {
    network: Network,
    hosts: [HostId; 2],
    listener: ListenerId,
    applications: [Application; 2],
    /// The latest state of each host's connection.
    states: Arc<Mutex<[State; 2]>>,
}

impl Hosts {
    /// Random hosts on a random path.
    pub(crate) fn new(random: &mut Rng, fate: Fate) -> Self {
        let addresses = addresses(random);
        let mut network = Network::new(random.u64(..));
        let hosts = addresses.map(|address| network.host(config(random, address)));
        let [there, back] = both_ways(random, fate, addresses[0]);
        network.connect(hosts[0], hosts[1], there, back);
        let mut referee = Referee::of(hosts.map(NodeId::from));
        network.on_packet(move |passing| referee.see(passing));
        let states = Arc::new(Mutex::new([State::Closed; 2]));
        for (index, host) in hosts.into_iter().enumerate() {
            let states = Arc::clone(&states);
            network.on(host, |stack, _| {
                stack.set_observer(Some(Box::new(move |transition| {
                    states.lock().expect("not poisoned")[index] = transition.to;
                })));
            });
        }
        let address = SocketAddr::new(addresses[1], PORT);
        let [ours, theirs] = [(); 2].map(|()| options(random, fate));
        let listener = network.on(hosts[1], |stack, _| {
            let binding = stack.bind(address, true).expect("is free");
            let socket = theirs;
            let options = ListenOptions::default().socket(socket);
            stack.listen(binding, options).expect("is free")
        });
        let id = network.on(hosts[0], |stack, now| {
            stack.connect(now, None, address, ours).expect("begins")
        });
        let mut applications = [0, 1].map(|name| Application::new(name, random.usize(..200_000)));
        applications[0].connected(id);
        Self {
            network,
            hosts,
            listener,
            applications,
            states,
        }
    }

    /// Runs both applications until neither waits, for at most `time` and `steps`; returns their
    /// progress.
    pub(crate) fn run(&mut self, random: &mut Rng, time: Duration, steps: usize) -> [Outcome; 2] {
        let until = self.network.now() + time;
        for _ in 0..steps {
            self.accept();
            let moved = [0, 1].map(|index| self.run_application(index, random));
            let outcomes = self.applications.each_ref().map(Application::outcome);
            let unborn = self.applications[1].id().is_none();
            let over = !outcomes.contains(&Outcome::Waits);
            if over || unborn && outcomes[0] == Outcome::Told {
                return self.outcomes();
            }
            if moved.contains(&true) {
                continue;
            }
            let now = self.network.now();
            let wakes = self.applications.iter().flat_map(Application::wakes_at);
            let next = wakes.filter(|&at| at > now).min().unwrap_or(until);
            let happened = self.network.step(next.min(until));
            if !happened && next >= until {
                eprintln!("{:?}", self.applications);
                for i in 0..2 {
                    if let Some(id) = self.applications[i].id() {
                        eprintln!(
                            "{:?} {:?}",
                            self.network.stack(self.hosts[i]).info(id),
                            self.network.stack(self.hosts[i]).readable_bytes(id)
                        );
                    }
                }
                return self.outcomes();
            }
        }
        panic!("livelock: {:?}", self.applications);
    }

    /// Closes both ends; no state may be left after `time`.
    pub(crate) fn end(&mut self, time: Duration) {
        for (host, application) in self.hosts.into_iter().zip(&self.applications) {
            let id = application.id();
            self.network.on(host, |stack, now| {
                if let Some(id) = id {
                    stack.close(now, id);
                }
            });
        }
        // Connections that were never accepted are closed with their listener.
        let listener = self.listener;
        self.network.on(self.hosts[1], |stack, now| {
            stack.close_listener(now, listener);
        });
        self.network.run_for(time);
        for host in self.hosts {
            let stack = self.network.stack(host);
            assert_eq!(stack.connection_count() + stack.time_wait_count(), 0);
            assert_eq!(stack.poll_timeout(), None, "a timer is still set");
            assert_eq!(stack.memory_used(), 0, "memory is still in use");
        }
        let states = *self.states.lock().expect("not poisoned");
        assert_eq!(states, [State::Closed; 2]);
    }

    /// The progress of both. If both have finished, each has read all that the other wrote.
    fn outcomes(&self) -> [Outcome; 2] {
        let outcomes = self.applications.each_ref().map(Application::outcome);
        let [ours, theirs] = self.applications.each_ref().map(Application::count);
        assert!(ours.0 <= theirs.1 && theirs.0 <= ours.1);
        if outcomes == [Outcome::Finished; 2] {
            assert_eq!((ours.0, theirs.0), (theirs.1, ours.1));
        }
        // The server need not learn the end of a connection that it never had.
        match self.applications[1].id() {
            Some(_) => outcomes,
            None => [outcomes[0]; 2],
        }
    }

    fn accept(&mut self) {
        if self.applications[1].id().is_none() {
            let listener = self.listener;
            let accepted = self
                .network
                .on(self.hosts[1], |stack, _| stack.accept(listener));
            if let Some(accepted) = accepted {
                self.applications[1].connected(accepted.id);
            }
        }
    }

    fn run_application(&mut self, index: usize, random: &mut Rng) -> bool {
        let application = &mut self.applications[index];
        self.network.on(self.hosts[index], |stack, now| {
            application.run(stack, now, random)
        })
    }
}

fn addresses(random: &mut Rng) -> [IpAddr; 2] {
    if random.bool() {
        [[10, 0, 0, 1].into(), [10, 0, 1, 1].into()]
    } else {
        [1, 2].map(|host| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, host]))
    }
}

pub(crate) fn config(random: &mut Rng, address: IpAddr) -> Config {
    Config::default()
        .addresses(vec![Cidr::new(address, 64)])
        // Enough for all connections, or so little that one of them uses it up.
        .memory([1 << 30, 1 << 30, 20_000, 60_000][random.usize(..4)])
}

pub(crate) fn options(random: &mut Rng, fate: Fate) -> SocketOptions {
    let seldom = |random: &mut Rng| random.u32(..4) == 0;
    let mut options = SocketOptions::default()
        .receive_buffer(1 << random.u32(11..20))
        .send_buffer(1 << random.u32(10..21))
        .nodelay(random.bool())
        .ecn([EcnMode::Off, EcnMode::Passive, EcnMode::Active][random.usize(..3)])
        .sack(!seldom(random))
        .timestamps(!seldom(random))
        .window_scaling(!seldom(random))
        .max_segment_size(seldom(random).then(|| random.u16(100..1000)))
        .rack(!seldom(random))
        .tail_loss_probe(!seldom(random))
        .frto(!seldom(random))
        .congestion(CongestionControl::ALL[random.usize(..3)])
        .pacing(seldom(random))
        .max_pacing_rate(seldom(random).then(|| random.u64(10_000..10_000_000)))
        .initial_window(random.u8(1..=10))
        // The worst paths lose the same segment many times.
        .syn_retries(60)
        .syn_ack_retries(60)
        .retries2(60);
    if fate == Fate::Ends {
        options.retries2 = 8;
        options.syn_retries = 6;
        options.keepalive = Some(keepalive());
    }
    options
}
