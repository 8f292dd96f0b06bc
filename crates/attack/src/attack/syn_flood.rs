//! Floods of SYNs from sources that do not exist (RFC 4987).

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use millstream_engine::SynCookies;
use millstream_wire::SeqNum;
use millstream_wire::tcp::Flags;

use super::{Attack, Scale};
use crate::forge::Segment;
use crate::heap::Growth;
use crate::report::Report;
use crate::scene::{Scene, service, stranger};
use crate::target::on_both;

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "syn-flood",
        about: "4,500 SYNs a second from spoofed sources, a backlog of 1,024, cookies in a flood",
        play: |scale, report| flood(scale, report, 1024, SynCookies::InFlood, false),
    },
    Attack {
        name: "syn-flood-small-backlog",
        about: "the same, a backlog of 128",
        play: |scale, report| flood(scale, report, 128, SynCookies::InFlood, false),
    },
    Attack {
        name: "syn-flood-cookies-always",
        about: "the same, every SYN answered with a cookie",
        play: |scale, report| flood(scale, report, 1024, SynCookies::Always, false),
    },
    Attack {
        name: "syn-flood-cookies-off",
        about: "the same without cookies: what a queue alone can do",
        play: |scale, report| flood(scale, report, 1024, SynCookies::Off, false),
    },
    Attack {
        name: "syn-flood-self-reset",
        about: "each half-open record is reset by the attacker after half a second, so that none grows old",
        play: |scale, report| flood(scale, report, 1024, SynCookies::InFlood, true),
    },
    Attack {
        name: "cookie-guess",
        about: "acknowledgments with guessed cookies, in a flood",
        play: guess,
    },
    Attack {
        name: "same-syn",
        about: "one SYN, 1,000 times in a second",
        play: same_syn,
    },
    Attack {
        name: "one-spoofed-syn",
        about: "one SYN, and nothing more: what the owner of its source address gets",
        play: one_syn,
    },
];

/// SYNs a second.
const RATE: u32 = 4500;
/// The interval of the honest clients, which come during the whole flood.
const INTERVAL: Duration = Duration::from_millis(50);

fn flood(
    scale: Scale,
    report: &mut Report,
    backlog: usize,
    cookies: SynCookies,
    resets: bool,
) -> Result<()> {
    let seconds = scale.pick(4, 10);
    let mut scene = Scene::new(backlog, |config| config.syn_cookies = cookies)?;
    scene.listen_in();
    let mut growth = Growth::start();
    let clients = (seconds - 2) as usize * 20;
    // The first client comes when the flood has filled the queue.
    scene.run_for(Duration::from_millis(1));
    scene.clients.invite(
        scene.network.now() + Duration::from_secs(1),
        clients,
        INTERVAL,
        service(),
    );
    // The reset hits a record that is half a second old.
    let behind = RATE as usize / 2;
    for n in 0..RATE * seconds {
        let from = stranger(n);
        let syn = Segment::syn(from, service(), SeqNum::new(n));
        scene.storm(RATE, std::iter::once(syn.packet(&[])));
        if resets && let Some(old) = (n as usize).checked_sub(behind) {
            let seq = SeqNum::new(old as u32 + 1);
            let reset = Segment::new(
                stranger(old as u32),
                service(),
                Flags::RST,
                seq,
                SeqNum::new(0),
            );
            scene.attack(reset.packet(&[]));
        }
        while scene.take_heard().is_some() {}
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

/// Notes the results of the honest clients.
pub(super) fn note_clients(scene: &Scene, report: &mut Report) {
    let served = scene.clients.served.len() as f64 / scene.clients.tried.max(1) as f64;
    report.note("honest clients served, %", served * 100.0);
    report.note("slowest honest client, ms", scene.clients.slowest_ms());
}

fn guess(scale: Scale, report: &mut Report) -> Result<()> {
    let mut scene = Scene::new(1024, |config| config.syn_cookies = SynCookies::Always)?;
    let count = scale.pick(20_000, 200_000);
    let mut chance = fastrand::Rng::with_seed(5);
    for n in 0..count {
        let guess = Segment::new(
            stranger(n),
            service(),
            Flags::ACK,
            SeqNum::new(chance.u32(..)),
            SeqNum::new(chance.u32(..)),
        );
        scene.storm(100_000, std::iter::once(guess.packet(&[])));
    }
    let made = scene.victim().counters().passive_opens;
    report.note("connections made", made as f64);
    report.note("bytes answered a byte", scene.amplification());
    Ok(())
}

fn same_syn(_: Scale, report: &mut Report) -> Result<()> {
    on_both(report, |target| {
        let syn = Segment::syn(stranger(1), service(), SeqNum::new(7)).packet(&[]);
        let mut answers = 0;
        for _ in 0..10 {
            for _ in 0..100 {
                target.take(syn.clone())?;
            }
            answers += target.collect()?.len();
            target.wait(Duration::from_millis(100))?;
        }
        answers += target.collect()?.len();
        Ok(vec![("answers", answers as f64)])
    })
}

fn one_syn(_: Scale, report: &mut Report) -> Result<()> {
    on_both(report, |target| {
        let syn = Segment::syn(stranger(1), service(), SeqNum::new(7)).packet(&[]);
        let sent = syn.len() as f64;
        target.take(syn)?;
        let mut answers = target.collect()?;
        // The fifth retransmission comes after 31 s.
        target.wait(Duration::from_secs(35))?;
        answers.extend(target.collect()?);
        let bytes: usize = answers.iter().map(Bytes::len).sum();
        Ok(vec![
            ("answers", answers.len() as f64),
            ("bytes answered a byte", bytes as f64 / sent),
        ])
    })
}
