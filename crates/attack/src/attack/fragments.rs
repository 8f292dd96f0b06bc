//! Floods of IP fragments (RFC 815, RFC 1858, RFC 5722): never-ending, overlapping, and tiny ones.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use millstream_testbed::packet;
use millstream_wire::ip;

use super::{Attack, Scale};
use crate::bare::Bare;
use crate::heap::Growth;
use crate::report::Report;
use crate::scene::{VICTIM, stranger};

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "fragments-endless",
        about: "first fragments of datagrams that never end, 64 every 29 s of one source",
        play: |scale, report| endless(scale, report, |_| stranger(1).ip(), 64),
    },
    Attack {
        name: "fragments-endless-many-sources",
        about: "the same, 6,400 every 29 s, each of another source",
        play: |scale, report| endless(scale, report, |n| stranger(n).ip(), 6400),
    },
    Attack {
        name: "fragments-tiny",
        about: "datagrams in pieces of eight bytes, the last never comes",
        play: tiny,
    },
    Attack {
        name: "fragments-overlapping",
        about: "pieces that overlap",
        play: overlapping,
    },
];

/// The source of honest datagrams.
const HONEST: [u8; 4] = [203, 0, 113, 7];

/// A piece of an IPv4 datagram, at an offset in units of eight bytes.
fn piece(src: IpAddr, ident: u16, offset: u16, more: bool, payload: &[u8]) -> Bytes {
    let header = ip::Header {
        ident,
        ..ip::Header::new(src, VICTIM, ip::ICMP)
    };
    packet::fragment(header, 8 * usize::from(offset), more, payload).into()
}

/// An echo request of 1,208 bytes of data in two pieces.
fn honest(ident: u16) -> [Bytes; 2] {
    let src = HONEST.into();
    let message = packet::echo_message(src, VICTIM, ident, 1, &[b'e'; 1208]);
    [
        piece(src, ident, 0, true, &message[..800]),
        piece(src, ident, 100, false, &message[800..]),
    ]
}

fn endless(
    scale: Scale,
    report: &mut Report,
    source: fn(u32) -> IpAddr,
    in_29_s: u32,
) -> Result<()> {
    let seconds: u32 = scale.pick(60, 120);
    let mut bare = Bare::new(16, |_| {})?;
    let mut growth = Growth::start();
    let (mut sent, mut answered) = (0_u32, 0);
    for second in 0..seconds {
        let [first, second_half] = honest(second as u16);
        bare.take(first);
        // One second of the attack passes between the two pieces.
        let until = in_29_s * (second + 1) / 29;
        while sent < until {
            bare.take(piece(source(sent), sent as u16, 0, true, &[0; 1480]));
            sent += 1;
            growth.now();
        }
        let before = bare.sent;
        bare.wait(Duration::from_secs(1));
        bare.take(second_half);
        bare.drain();
        answered += bare.sent - before;
    }
    report.note(
        "honest datagrams answered, %",
        answered as f64 * 100.0 / f64::from(seconds),
    );
    report.note("bytes held", growth.peak() as f64);
    Ok(())
}

fn tiny(scale: Scale, report: &mut Report) -> Result<()> {
    let mut bare = Bare::new(16, |_| {})?;
    let mut growth = Growth::start();
    let count: u32 = scale.pick(50_000, 500_000);
    for n in 0..count {
        let (ident, offset) = ((n / 8000) as u16, 1 + (n % 8000) as u16);
        bare.take(piece(stranger(1).ip(), ident, offset, true, &[0; 8]));
    }
    bare.drain();
    report.note("bytes held", growth.now() as f64);
    Ok(())
}

fn overlapping(scale: Scale, report: &mut Report) -> Result<()> {
    let mut bare = Bare::new(16, |_| {})?;
    let mut growth = Growth::start();
    for n in 0..scale.pick(10_000, 100_000) {
        let ident = n as u16;
        bare.take(piece(stranger(1).ip(), ident, 0, true, &[0; 800]));
        bare.take(piece(stranger(1).ip(), ident, 50, false, &[0; 800]));
    }
    bare.drain();
    report.note("datagrams taken", bare.sent as f64);
    report.note("bytes held", growth.now() as f64);
    Ok(())
}
