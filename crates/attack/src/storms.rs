//! Packets whose cost must not grow with the data that a peer has stored, each kind compared with
//! an ordinary packet.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use comfy_table::{Table, presets};
use millstream_engine::ListenOptions;
use millstream_wire::SeqNum;
use millstream_wire::tcp::Flags;

use crate::bare::Bare;
use crate::cost::{self, Storm};
use crate::forge::Segment;
use crate::puppet::Puppet;
use crate::scene::{service, stranger};

/// Makes a storm.
type Make = fn() -> Result<Storm>;

/// A storm by name, and the kind of ordinary packet with which it is compared.
struct Kind {
    name: &'static str,
    beside: &'static str,
    make: Make,
}

/// The ordinary packets, which are measured first.
const ORDINARY: &[(&str, Make)] = &[("data", data), ("ack", acks), ("syn", || syns(1))];

const KINDS: &[Kind] = &[
    Kind {
        name: "one byte in order, 2,000 pieces ahead",
        beside: "data",
        make: || pieces(2_000),
    },
    Kind {
        name: "one byte in order, 16,000 pieces ahead",
        beside: "data",
        make: || pieces(16_000),
    },
    Kind {
        name: "one byte in order, 130,000 pieces ahead",
        beside: "data",
        make: || pieces(130_000),
    },
    Kind {
        name: "SYN to an address of its own, 1,000 half-open",
        beside: "syn",
        make: || syns(1_000),
    },
    Kind {
        name: "SYN to an address of its own, 100,000 half-open",
        beside: "syn",
        make: || syns(100_000),
    },
    Kind {
        name: "SACK growing from the right, 1,000 in flight",
        beside: "ack",
        make: || sack(1_000),
    },
    Kind {
        name: "SACK growing from the right, 10,000 in flight",
        beside: "ack",
        make: || sack(10_000),
    },
];

/// Packets of a storm that are measured.
const COUNT: usize = 300;

/// Prints the cost of each storm; time is not judged.
pub(crate) fn compare(instructions: bool) -> Result<ExitCode> {
    let mut table = Table::new();
    let unit = if instructions { "instructions" } else { "ns" };
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_header(["packet", unit, "beside", "ratio"]);
    let measure = |name: &str, make: Make| {
        if instructions {
            cost::instructions(name)?.context("valgrind is not installed")
        } else {
            cost::nanoseconds(make)
        }
    };
    let mut ordinary = Vec::new();
    for &(name, make) in ORDINARY {
        let value = measure(name, make)?;
        table.add_row([name, &format!("{value:.0}"), "", ""]);
        ordinary.push((name, value));
    }
    for kind in KINDS {
        let value = measure(kind.name, kind.make)?;
        let base = ordinary.iter().find(|(name, _)| *name == kind.beside);
        let (_, base) = base.context("a storm beside nothing")?;
        table.add_row([
            kind.name,
            &format!("{value:.0}"),
            kind.beside,
            &format!("{:.2}", value / base),
        ]);
    }
    crate::say(&table.to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the storm with the given name, for callgrind.
///
/// # Errors
/// No storm has the name, or it could not be made.
pub(crate) fn once(name: &str) -> Result<u64> {
    let ordinary = ORDINARY.iter().find(|(other, _)| *other == name);
    let make = ordinary
        .map(|(_, make)| *make)
        .or_else(|| {
            KINDS
                .iter()
                .find(|kind| kind.name == name)
                .map(|kind| kind.make)
        })
        .with_context(|| format!("there is no storm {name:?}"))?;
    cost::once(make)
}

/// Full segments in order.
fn data() -> Result<Storm> {
    let mut bare = Bare::new(16, |_| {})?;
    let mut puppet = Puppet::new(stranger(1), service(), 1460);
    bare.establish(&mut puppet)?;
    let packets = (0..COUNT).map(|_| puppet.data(&[7; 1460])).collect();
    Ok(Storm { bare, packets })
}

/// A sender with `in_flight` segments in flight.
fn sender(in_flight: usize) -> Result<(Bare, Puppet)> {
    const MSS: usize = 1000;
    let mut bare = Bare::new(16, |config| {
        config.socket.send_buffer = 4 * in_flight * MSS + (1 << 20);
        config.memory = 1 << 30;
    })?;
    let mut puppet = Puppet::new(stranger(1), service(), MSS as u16);
    let id = bare.establish(&mut puppet)?;
    loop {
        let room = bare.stack.write_capacity(id);
        let mut block = Bytes::from(vec![7; room]);
        let now = bare.now;
        bare.stack.write_bytes(now, id, &mut block)?;
        bare.drain_to(|packet| {
            let _ = puppet.hear(packet);
        });
        let flight = bare.stack.info(id).map_or(0, |info| info.bytes_in_flight);
        if flight as usize >= in_flight * MSS {
            return Ok((bare, puppet));
        }
        bare.now += Duration::from_millis(10);
        let ack = puppet.ack();
        bare.take(ack);
    }
}

/// Acknowledgments of one segment each.
fn acks() -> Result<Storm> {
    let (bare, puppet) = sender(1_000)?;
    let first = puppet.rcv_nxt + (0_u32.wrapping_sub(900_000));
    let packets = (1..=COUNT as u32).map(|n| {
        let mut ack = puppet.segment(Flags::ACK);
        ack.header.ack = first + n * 1000;
        ack.packet(&[])
    });
    let packets = packets.collect();
    Ok(Storm { bare, packets })
}

/// SACKs of the end of the flight, each growing by one segment to the left.
fn sack(in_flight: usize) -> Result<Storm> {
    let (mut bare, puppet) = sender(in_flight)?;
    bare.now += Duration::from_millis(10);
    let right = puppet.rcv_nxt;
    let una = right + 0_u32.wrapping_sub(in_flight as u32 * 1000);
    let packets = (1..=COUNT as u32).map(|n| {
        let mut ack = puppet.segment(Flags::ACK);
        ack.header.ack = una;
        ack.sack(right + 0_u32.wrapping_sub(n * 1000), right)
            .packet(&[])
    });
    let packets = packets.collect();
    Ok(Storm { bare, packets })
}

/// One-byte segments in order, with `ahead` pieces stored far ahead.
fn pieces(ahead: u32) -> Result<Storm> {
    let mut bare = Bare::new(16, |config| config.socket.fix_receive_buffer(32 << 20))?;
    let mut puppet = Puppet::new(stranger(1), service(), 1460);
    bare.establish(&mut puppet)?;
    for n in 0..ahead {
        let mut piece = puppet.segment(Flags::ACK);
        piece.header.seq = puppet.snd_nxt + (1 << 20) + 2 * n;
        bare.take(piece.packet(b"x"));
    }
    bare.drain();
    let packets = (0..COUNT).map(|_| puppet.data(b"y")).collect();
    Ok(Storm { bare, packets })
}

/// SYNs to different destinations, with `half_open` half-open connections present.
fn syns(half_open: u32) -> Result<Storm> {
    let mut bare = Bare::new(16, |_| {})?;
    bare.stack
        .listen_any(ListenOptions::default().backlog(half_open as usize + COUNT))?;
    let syn = |n: u32| {
        let to = Ipv4Addr::from_bits(Ipv4Addr::new(203, 0, 0, 0).to_bits() + n);
        let to = SocketAddr::new(to.into(), 443);
        Segment::syn(stranger(n), to, SeqNum::new(n)).packet(&[])
    };
    for n in 0..half_open {
        bare.take(syn(n));
    }
    bare.drain();
    let packets = (0..COUNT as u32).map(|n| syn(half_open + n)).collect();
    Ok(Storm { bare, packets })
}
