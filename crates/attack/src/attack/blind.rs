//! An attacker that does not see the connection that it attacks (RFC 5961, RFC 5927).

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use millstream_engine::{ConnectionId, SocketOptions};
use millstream_testbed::packet;
use millstream_wire::tcp::Flags;
use millstream_wire::{SeqNum, icmp};

use super::{Attack, Scale};
use crate::forge::Segment;
use crate::report::Report;
use crate::scene::{HONEST, Scene, VICTIM, service};

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "blind-reset",
        about: "resets all over the sequence space, a window apart",
        play: |scale, report| segments(scale, report, Flags::RST),
    },
    Attack {
        name: "blind-syn",
        about: "SYNs likewise",
        play: |scale, report| segments(scale, report, Flags::SYN),
    },
    Attack {
        name: "blind-ack",
        about: "acknowledgments likewise",
        play: |scale, report| segments(scale, report, Flags::ACK),
    },
    Attack {
        name: "blind-icmp-unreachable",
        about: "ICMP errors that quote guessed sequence numbers",
        play: |scale, report| {
            errors(
                scale,
                report,
                icmp::ErrorKind::Unreachable(icmp::Unreachable::Port),
            )
        },
    },
    Attack {
        name: "blind-icmp-too-big",
        about: "ICMP that fragmentation is needed, to an MTU of 68, with guessed sequence numbers",
        play: |scale, report| errors(scale, report, icmp::ErrorKind::PacketTooBig { mtu: 68 }),
    },
];

/// An endless bulk flow from the victim to the honest host.
struct Bulk {
    scene: Scene,
    sender: ConnectionId,
    receiver: ConnectionId,
    reader: SocketAddr,
}

impl Bulk {
    fn new() -> Result<Self> {
        let mut scene = Scene::new(16, |_| {})?;
        scene.service.idle = true;
        let honest = scene.honest;
        let options = SocketOptions::default();
        let receiver = scene.network.on(honest, |stack, now| {
            stack.connect(now, None, service(), options)
        })?;
        scene.run_for(Duration::from_millis(100));
        let sender = *scene.service.accepted.first().context("not accepted")?;
        let reader = scene.network.stack(honest).local_addr(receiver);
        Ok(Self {
            reader: reader.context("the flow has no address")?,
            scene,
            sender,
            receiver,
        })
    }

    /// Runs both applications for `time`. Returns the number of bytes that arrived.
    fn run(&mut self, time: Duration) -> usize {
        let until = self.scene.now() + time;
        let (victim, honest) = (self.scene.victim, self.scene.honest);
        let mut arrived = 0;
        let mut data: Vec<Bytes> = Vec::new();
        while self.scene.now() < until {
            self.scene.network.on(victim, |stack, now| {
                // Half a megabyte ahead, which fills the link's 10 ms at 400 Mbit/s.
                let room = stack.write_capacity(self.sender).min(1 << 19);
                let mut block = Bytes::from(vec![b'b'; room]);
                let _ = stack.write_bytes(now, self.sender, &mut block);
            });
            self.scene.network.on(honest, |stack, now| {
                let _ = stack.read(now, self.receiver, usize::MAX, &mut data);
            });
            arrived += data.iter().map(Bytes::len).sum::<usize>();
            data.clear();
            self.scene.run_for(Duration::from_millis(1));
        }
        arrived
    }

    fn note(&self, report: &mut Report, before: usize, during: usize) {
        report.note(
            "throughput, % of before",
            during as f64 * 100.0 / before as f64,
        );
        let alive = self.scene.victim().state(self.sender);
        let alive = alive == Some(millstream_engine::State::Established);
        report.note("connections that live", f64::from(u8::from(alive)));
        // The challenge ACKs go to the flow's other end, not to the attacker.
        let challenges = self.scene.victim().counters().challenge_acks as f64;
        let answered = challenges / self.scene.sent.max(1) as f64;
        report.note("challenges a packet", answered);
    }
}

/// The time of observation before and during the attack.
const SPAN: Duration = Duration::from_secs(2);

fn segments(scale: Scale, report: &mut Report, flags: Flags) -> Result<()> {
    // A blind attacker tries every window once.
    let count = scale.pick(4_096, 65_536);
    attack(report, count, |reader, at| {
        // From the reader to the victim, whose acknowledgment number the attacker does not know
        // either.
        Ok(Segment::new(reader, service(), flags, at, at).packet(&[]))
    })?;
    Ok(())
}

fn errors(scale: Scale, report: &mut Report, kind: icmp::ErrorKind) -> Result<()> {
    let count = scale.pick(8_192, 65_536);
    let bulk = attack(report, count, |reader, at| {
        let quoted = Segment::new(service(), reader, Flags::ACK, at, SeqNum::new(0));
        let quoted = quoted.packet(&[0; 1460]);
        let error = packet::icmp_error(HONEST, VICTIM, kind, &quoted[..48]);
        Ok(error.context("IPv4 has no such error")?.into())
    })?;
    let info = bulk.scene.victim().info(bulk.sender);
    let size = info.map_or(0.0, |info| f64::from(info.snd_mss));
    report.note("segment size after it", size);
    Ok(())
}

/// Sends `count` packets, evenly over the sequence space and over the time of observation, during a
/// bulk flow.
fn attack(
    report: &mut Report,
    count: u32,
    forge: impl Fn(SocketAddr, SeqNum) -> Result<Bytes>,
) -> Result<Bulk> {
    const BURSTS: u32 = 100;
    let mut bulk = Bulk::new()?;
    bulk.run(SPAN);
    let before = bulk.run(SPAN);
    let (burst, step) = (count / BURSTS, u32::MAX / count);
    let mut during = 0;
    for first in (0..BURSTS).map(|n| n * burst) {
        for n in first..first + burst {
            let packet = forge(bulk.reader, SeqNum::new(n * step))?;
            bulk.scene.attack(packet);
        }
        during += bulk.run(SPAN / BURSTS);
    }
    bulk.note(report, before, during);
    Ok(bulk)
}
