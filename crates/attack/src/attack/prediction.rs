//! Predictions that an observer of some connections can make about others: ports (RFC 6056) and
//! sequence numbers (RFC 6528).

use std::net::SocketAddr;

use anyhow::Result;
use millstream_engine::SocketOptions;
use millstream_wire::tcp::View;
use millstream_wire::{SeqNum, ip};

use super::{Attack, Scale};
use crate::bare::Bare;
use crate::report::Report;
use crate::scene::stranger;

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "port-prediction",
        about: "guesses the port of the next connection to one host from those to another",
        play: ports,
    },
    Attack {
        name: "isn-prediction",
        about: "guesses the sequence number of the next connection from those before",
        play: numbers,
    },
];

/// The port and the initial sequence number of a new connection to `to`.
fn connect(bare: &mut Bare, to: SocketAddr) -> Result<(u16, SeqNum)> {
    let id = bare
        .stack
        .connect(bare.now, None, to, SocketOptions::default())?;
    let mut seen = (0, SeqNum::new(0));
    bare.drain_to(|packet| {
        let packet = ip::Packet::parse(packet).expect("the engine's packet parses");
        let view = View::parse(packet.payload()).expect("the engine's segment parses");
        seen = (view.src_port(), view.seq());
    });
    bare.stack.abort(bare.now, id);
    bare.drain();
    Ok(seen)
}

fn ports(scale: Scale, report: &mut Report) -> Result<()> {
    let mut bare = Bare::new(16, |_| {})?;
    let count: u32 = scale.pick(2_000, 20_000);
    let (mut hits, mut last) = (0, 0_u16);
    for n in 0..count {
        // The observer owns every other destination.
        let (port, _) = connect(&mut bare, stranger(n.wrapping_mul(2_654_435)))?;
        // Within a few steps of the preceding port: then the number of connections reveals the
        // port.
        hits += u32::from(port.abs_diff(last) <= 8);
        last = port;
    }
    report.note(
        "ports guessed in 8 steps, %",
        f64::from(hits) * 100.0 / f64::from(count),
    );
    Ok(())
}

fn numbers(scale: Scale, report: &mut Report) -> Result<()> {
    let mut bare = Bare::new(16, |_| {})?;
    let count: u32 = scale.pick(2_000, 20_000);
    let (mut hits, mut last) = (0, SeqNum::new(0));
    for n in 0..count {
        let (_, isn) = connect(&mut bare, stranger(n.wrapping_mul(2_654_435)))?;
        // Within one receive window of the preceding number.
        hits += u32::from(isn.distance_from(last).unsigned_abs() <= 1 << 16);
        last = isn;
    }
    report.note(
        "numbers guessed in 64 KiB, %",
        f64::from(hits) * 100.0 / f64::from(count),
    );
    Ok(())
}
