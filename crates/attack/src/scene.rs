//! The scene of an attack: a victim that serves, an honest host and an attacker behind one router,
//! on virtual time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use millstream_engine::{Cidr, Config, Instant, Stack};
use millstream_netsim::{HostId, LinkConfig, Network, NodeId, RouterId};

use crate::honest::Clients;
use crate::service::Service;

/// The victim's address.
pub(crate) const VICTIM: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
/// The port that it serves.
pub(crate) const PORT: u16 = 80;
/// The address of the honest clients.
pub(crate) const HONEST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 1, 1));
/// The seed of all random numbers in a scene.
const SEED: u64 = 0x6d69_6c6c;

/// The packets that the attacker has received from the victim.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// The number of packets.
    pub(crate) packets: u64,
    /// Bytes of those packets.
    pub(crate) bytes: u64,
    /// The packets themselves, if the attack needs them.
    kept: Option<VecDeque<Bytes>>,
}

/// The network of an attack.
pub(crate) struct Scene {
    pub(crate) network: Network,
    pub(crate) victim: HostId,
    pub(crate) honest: HostId,
    attacker: RouterId,
    heard: Rc<RefCell<Heard>>,
    pub(crate) service: Service,
    pub(crate) clients: Clients,
    /// Packets that the attacker has sent.
    pub(crate) sent: u64,
    /// Bytes of those packets.
    pub(crate) sent_bytes: u64,
}

impl Scene {
    /// A victim with the changed configuration and a listener with the given backlog; each link has
    /// a delay of 5 ms.
    pub(crate) fn new(backlog: usize, change: impl FnOnce(&mut Config)) -> Result<Self> {
        Self::build(change, |network, victim| {
            Service::listen(network, victim, PORT, backlog)
        })
    }

    /// Like [`new`](Self::new), with a listener on every address, which admits attempts at once or
    /// never decides.
    pub(crate) fn any(admits: bool, change: impl FnOnce(&mut Config)) -> Result<Self> {
        Self::build(change, |network, victim| {
            Service::listen_any(network, victim, admits)
        })
    }

    fn build(
        change: impl FnOnce(&mut Config),
        serve: impl FnOnce(&mut Network, HostId) -> Result<Service>,
    ) -> Result<Self> {
        let mut network = Network::new(SEED);
        let mut config = host(VICTIM);
        change(&mut config);
        let victim = network.host(config);
        let honest = network.host(host(HONEST));
        let core = network.router();
        let attacker = network.router();
        let link = LinkConfig::new().delay(Duration::from_millis(5));
        for node in [NodeId::from(victim), honest.into(), attacker.into()] {
            network.connect(node, core, link.clone(), link.clone());
        }
        // All packets to the attacker end there.
        let foreign = Cidr::new([198, 51, 100, 0].into(), 24);
        for target in [Cidr::new(VICTIM, 32), Cidr::new(HONEST, 32), foreign] {
            network.route(attacker, target, core);
        }
        network.route(core, Cidr::new([0, 0, 0, 0].into(), 0), attacker);
        // Packets to a foreign host of 198.51.100.0/24 pass through the victim.
        network.route(core, foreign, victim);
        let heard = Rc::new(RefCell::new(Heard::default()));
        let listener = Rc::clone(&heard);
        network.on_packet(move |passing| {
            if passing.arrives && passing.to == NodeId::from(attacker) {
                let mut heard = listener.borrow_mut();
                heard.packets += 1;
                heard.bytes += passing.packet.len() as u64;
                if let Some(kept) = &mut heard.kept {
                    kept.push_back(Bytes::copy_from_slice(passing.packet));
                }
            }
        });
        let service = serve(&mut network, victim)?;
        Ok(Self {
            network,
            victim,
            honest,
            attacker,
            heard,
            service,
            clients: Clients::new(),
            sent: 0,
            sent_bytes: 0,
        })
    }

    /// Sends a packet from the attacker.
    pub(crate) fn attack(&mut self, packet: Bytes) {
        self.sent += 1;
        self.sent_bytes += packet.len() as u64;
        self.network.inject(self.attacker, packet);
    }

    /// Keeps packets for the attacker from now on, for [`take_heard`](Self::take_heard).
    pub(crate) fn listen_in(&mut self) {
        self.heard.borrow_mut().kept.get_or_insert_default();
    }

    /// The next packet that the attacker has received.
    pub(crate) fn take_heard(&mut self) -> Option<Bytes> {
        self.heard.borrow_mut().kept.as_mut()?.pop_front()
    }

    /// The number of packets that the attacker has received, and their bytes.
    pub(crate) fn heard(&self) -> (u64, u64) {
        let heard = self.heard.borrow();
        (heard.packets, heard.bytes)
    }

    /// Bytes sent to the attacker for each byte that it sent.
    pub(crate) fn amplification(&self) -> f64 {
        self.heard().1 as f64 / self.sent_bytes.max(1) as f64
    }

    /// The victim.
    pub(crate) fn victim(&self) -> &Stack {
        self.network.stack(self.victim)
    }

    /// The present.
    pub(crate) fn now(&self) -> Instant {
        self.network.now()
    }

    /// Runs the packets, timers, service and clients until the given time.
    pub(crate) fn run_until(&mut self, until: Instant) {
        loop {
            self.service.work(&mut self.network, self.victim);
            self.clients.work(&mut self.network, self.honest);
            let next = self.clients.next_at().map_or(until, |at| at.min(until));
            if !self.network.step(next) && self.now() >= until {
                return;
            }
        }
    }

    /// Lets the given time pass.
    pub(crate) fn run_for(&mut self, time: Duration) {
        self.run_until(self.now() + time);
    }

    /// Sends `packets` at the given rate per second, while everything else continues.
    pub(crate) fn storm(&mut self, per_second: u32, packets: impl Iterator<Item = Bytes>) {
        let gap = Duration::from_secs(1) / per_second;
        for packet in packets {
            self.attack(packet);
            self.run_for(gap);
        }
    }
}

/// The address of the victim's service.
pub(crate) fn service() -> SocketAddr {
    SocketAddr::new(VICTIM, PORT)
}

/// The `n`th address of a stranger, in a network that belongs to no host (198.18.0.0/15).
pub(crate) fn stranger(n: u32) -> SocketAddr {
    let address = Ipv4Addr::from_bits(Ipv4Addr::new(198, 18, 0, 0).to_bits() + n % (1 << 17));
    SocketAddr::new(address.into(), 1024 + (n / (1 << 17)) as u16)
}

fn host(address: IpAddr) -> Config {
    Config::default().addresses(vec![Cidr::new(address, 24)])
}
