//! Segments that fill the out-of-order queue (SegmentSmack, CVE-2018-5390) and pin receive memory.

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
        name: "segment-smack",
        about: "one-byte pieces with gaps between them, as many as the window has room for",
        play: smack,
    },
    Attack {
        name: "one-byte-pieces",
        about: "500 connections, each filled with one-byte pieces",
        play: many,
    },
    Attack {
        name: "pinned-chunks",
        about: "segments of 512 bytes that nobody reads, each cut from a receive chunk of 64 KiB",
        play: pinned,
    },
];

/// One-byte pieces at every other position, starting at `first`.
fn pieces(puppet: &Puppet, first: u32, count: u32) -> impl Iterator<Item = Bytes> + '_ {
    (0..count).map(move |n| {
        let mut segment = puppet.segment(Flags::ACK);
        segment.header.seq = puppet.snd_nxt + first + 2 * n;
        segment.packet(b"x")
    })
}

fn smack(scale: Scale, report: &mut Report) -> Result<()> {
    let size = scale.pick(1 << 20, 32 << 20);
    let mut bare = Bare::new(16, |config| config.socket.fix_receive_buffer(size))?;
    let mut puppet = Puppet::new(stranger(1), service(), 1460);
    bare.establish(&mut puppet)?;
    let mut growth = Growth::start();
    let count = size as u32 / 2 - 2;
    for (n, packet) in pieces(&puppet, 1, count).enumerate() {
        bare.take(packet);
        if n % 16 == 0 {
            bare.drain();
        }
    }
    bare.drain();
    let held = growth.now() as f64;
    report.note("bytes held", held);
    report.note("bytes held a byte of the buffer", held / size as f64);
    report.note(
        "bytes counted a byte held",
        bare.stack.memory_used() as f64 / held,
    );
    Ok(())
}

fn many(scale: Scale, report: &mut Report) -> Result<()> {
    let connections: u32 = scale.pick(50, 500);
    let mut bare = Bare::new(1024, |_| {})?;
    let mut growth = Growth::start();
    let mut puppets = Vec::new();
    for n in 0..connections {
        let mut puppet = Puppet::new(stranger(n), service(), 1460);
        bare.establish(&mut puppet)?;
        puppets.push(puppet);
    }
    let before = growth.now();
    for puppet in &puppets {
        for packet in pieces(puppet, 1, 4096) {
            bare.take(packet);
        }
        bare.drain();
    }
    let held = (growth.now() - before) as f64;
    report.note("bytes held a connection", held / f64::from(connections));
    report.note(
        "bytes counted a byte held",
        bare.stack.memory_used() as f64 / held,
    );
    Ok(())
}

fn pinned(scale: Scale, report: &mut Report) -> Result<()> {
    const CHUNK: usize = 64 << 10;
    const LENGTH: usize = 512;
    let connections: u32 = 50;
    let budget = 8 << 20;
    let mut bare = Bare::new(1024, |config| {
        config.memory = budget;
        config.receive_block = CHUNK;
    })?;
    let mut unread: Vec<(Puppet, ConnectionId)> = Vec::new();
    for n in 0..=connections {
        let mut puppet = Puppet::new(stranger(n), service(), 1460);
        let id = bare.establish(&mut puppet)?;
        unread.push((puppet, id));
    }
    let (mut reader, read) = unread.pop().expect("there are several");
    let mut growth = Growth::start();
    let mut data: Vec<Bytes> = Vec::new();
    for n in 0..scale.pick(2_000, 10_000) {
        // Packets that arrive together lie in one chunk: a few bytes for one connection, and many
        // bytes that are read at once.
        let mut chunk = Vec::with_capacity(CHUNK);
        let (puppet, _) = &mut unread[n % connections as usize];
        chunk.extend_from_slice(&puppet.data(&[1; LENGTH]));
        let mut ends = vec![chunk.len()];
        while chunk.len() + 1500 <= CHUNK {
            chunk.extend_from_slice(&reader.data(&[2; 1460]));
            ends.push(chunk.len());
        }
        let mut chunk = Bytes::from(chunk);
        let mut taken = 0;
        for end in ends {
            bare.take(chunk.split_to(end - taken));
            taken = end;
        }
        drop(chunk);
        bare.drain();
        let _ = bare.stack.read(bare.now, read, usize::MAX, &mut data)?;
        data.clear();
        bare.drain();
        // As a driver does before the next batch.
        bare.stack.compact();
        growth.now();
    }
    report.note(
        "bytes held a byte of the budget",
        growth.peak() as f64 / budget as f64,
    );
    let readable: usize = unread
        .iter()
        .map(|(_, id)| bare.stack.readable_bytes(*id))
        .sum();
    report.note(
        "bytes held a byte unread",
        growth.now() as f64 / readable as f64,
    );
    Ok(())
}
