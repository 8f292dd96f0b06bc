//! Peers that make us hold data for them: zero windows and slow readers (CVE-2009-4609,
//! Sockstress).

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use millstream_engine::ConnectionId;
use millstream_wire::tcp::Flags;

use super::{Attack, Scale};
use crate::bare::Bare;
use crate::heap::Growth;
use crate::puppet::Puppet;
use crate::report::Report;
use crate::scene::{service, stranger};

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "zero-window",
        about: "peers with a zero window, for whom the application writes all it may; one honest flow beside them",
        play: writers,
    },
    Attack {
        name: "slow-readers",
        about: "peers that open their window by one segment every 10 s",
        play: slow,
    },
];

/// The stack's budget.
const BUDGET: usize = 64 << 20;
/// The number of round trips in which the bytes of an honest flow are counted, without and with an
/// attack.
const ROUNDS: u32 = 200;

/// A peer that stops reading.
struct Stuck {
    puppet: Puppet,
    id: ConnectionId,
}

fn stuck(bare: &mut Bare, n: u32) -> Result<Stuck> {
    let mut puppet = Puppet::new(stranger(n), service(), 1460);
    let id = bare.establish(&mut puppet)?;
    puppet.window = 0;
    bare.take(puppet.ack());
    bare.drain();
    Ok(Stuck { puppet, id })
}

/// Writes as much as the stack accepts.
fn write_all(bare: &mut Bare, id: ConnectionId) -> usize {
    let room = bare.stack.write_capacity(id);
    let mut data = Bytes::from(vec![b'z'; room]);
    let now = bare.now;
    bare.stack.write_bytes(now, id, &mut data).unwrap_or(0)
}

/// Bytes that an honest peer, which acknowledges everything after 10 ms, receives in [`ROUNDS`]
/// round trips.
fn innocent(bare: &mut Bare, puppet: &mut Puppet, id: ConnectionId) -> usize {
    let mut received = 0;
    for _ in 0..ROUNDS {
        write_all(bare, id);
        let mut heard = 0_i32;
        let before = puppet.rcv_nxt;
        bare.drain_to(|packet| {
            let mark = puppet.rcv_nxt;
            if puppet.hear(packet).is_ok() && puppet.rcv_nxt.distance_from(mark) < 0 {
                puppet.rcv_nxt = mark;
            }
            heard = puppet.rcv_nxt.distance_from(before);
        });
        received += heard.max(0) as usize;
        bare.wait(Duration::from_millis(10));
        bare.take(puppet.ack());
    }
    received
}

fn writers(scale: Scale, report: &mut Report) -> Result<()> {
    let mut bare = Bare::new(1024, |config| config.memory = BUDGET)?;
    let mut puppet = Puppet::new(stranger(100_000), service(), 1460);
    let id = bare.establish(&mut puppet)?;
    let alone = innocent(&mut bare, &mut puppet, id);
    let mut growth = Growth::start();
    let mut peers = Vec::new();
    for n in 0..scale.pick(300, 1100) {
        let peer = stuck(&mut bare, n)?;
        write_all(&mut bare, peer.id);
        bare.drain();
        peers.push(peer);
    }
    growth.now();
    // The stuck peers answer every probe, so that only time without progress distinguishes them
    // from slow peers.
    for _ in 0..scale.pick(4, 20) {
        bare.wait(Duration::from_secs(5));
        for peer in &peers {
            bare.take(peer.puppet.ack());
            write_all(&mut bare, peer.id);
        }
        bare.drain();
        growth.now();
    }
    let beside = innocent(&mut bare, &mut puppet, id);
    report.note(
        "innocent throughput, % of before",
        beside as f64 * 100.0 / alone as f64,
    );
    report.note(
        "bytes held a byte of the budget",
        growth.peak() as f64 / BUDGET as f64,
    );
    Ok(())
}

fn slow(scale: Scale, report: &mut Report) -> Result<()> {
    let mut bare = Bare::new(1024, |config| config.memory = BUDGET)?;
    let mut growth = Growth::start();
    let mut peers = Vec::new();
    for n in 0..scale.pick(200, 1000) {
        let peer = stuck(&mut bare, n)?;
        write_all(&mut bare, peer.id);
        bare.drain();
        peers.push(peer);
    }
    let count = peers.len();
    for _ in 0..scale.pick(6, 30) {
        bare.wait(Duration::from_secs(10));
        for peer in &mut peers {
            peer.puppet.window = 1;
            let open = peer.puppet.segment(Flags::ACK).window(1);
            bare.take(open.packet(&[]));
            bare.drain_to(|packet| {
                let _ = peer.puppet.hear(packet);
            });
        }
        growth.now();
    }
    report.note(
        "bytes held a connection",
        growth.peak() as f64 / count as f64,
    );
    report.note(
        "bytes held a byte of the budget",
        growth.peak() as f64 / BUDGET as f64,
    );
    Ok(())
}
