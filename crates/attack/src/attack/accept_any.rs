//! Floods of attempts against a listener on every address.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use millstream_wire::SeqNum;

use super::syn_flood::note_clients;
use super::{Attack, Scale};
use crate::forge::Segment;
use crate::heap::Growth;
use crate::report::Report;
use crate::scene::{Scene, stranger};

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "any-flood-admitted",
        about: "100 forged attempts a second at a gateway that admits each at once",
        play: |scale, report| flood(scale, report, true, 100, stranger),
    },
    Attack {
        name: "any-flood-undecided",
        about: "1,000 forged attempts a second at a gateway that never decides on strangers",
        play: |scale, report| flood(scale, report, false, 1000, stranger),
    },
    Attack {
        name: "any-flood-one-source",
        about: "1,000 attempts a second of one source at a gateway that never decides on it",
        play: |scale, report| flood(scale, report, false, 1000, one_source),
    },
];

fn one_source(n: u32) -> SocketAddr {
    SocketAddr::new([198, 18, 0, 1].into(), 1024 + (n % 60_000) as u16)
}

fn flood(
    scale: Scale,
    report: &mut Report,
    admits: bool,
    rate: u32,
    source: fn(u32) -> SocketAddr,
) -> Result<()> {
    let seconds = scale.pick(30, 120);
    let mut scene = Scene::any(admits, |_| {})?;
    let mut growth = Growth::start();
    let behind: SocketAddr = SocketAddr::new([198, 51, 100, 7].into(), 443);
    let clients = 100;
    let interval = Duration::from_secs(u64::from(seconds) - 20) / clients;
    let start = scene.now() + Duration::from_secs(15);
    scene
        .clients
        .invite(start, clients as usize, interval, behind);
    for n in 0..rate * seconds {
        let aim = Ipv4Addr::new(198, 51, 100, (n % 250) as u8 + 1);
        let to = SocketAddr::new(aim.into(), 1 + (n % 60_000) as u16);
        let syn = Segment::syn(source(n), to, SeqNum::new(n));
        scene.storm(rate, std::iter::once(syn.packet(&[])));
        if n % 1000 == 0 {
            growth.now();
        }
    }
    growth.now();
    scene.run_for(Duration::from_secs(12));
    note_clients(&scene, report);
    report.note(
        "bytes held a packet",
        growth.peak() as f64 / scene.sent as f64,
    );
    report.note("bytes answered a byte", scene.amplification());
    Ok(())
}
