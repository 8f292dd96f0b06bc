//! Packets that no host should answer: invalid addresses, invalid headers, and packets for
//! reflection.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use millstream_testbed::packet;
use millstream_wire::SeqNum;
use millstream_wire::ip;
use millstream_wire::tcp::Flags;

use super::{Attack, Scale};
use crate::forge::{Segment, datagram};
use crate::report::Report;
use crate::scene::{VICTIM, service, stranger};
use crate::target::on_both;

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "martians",
        about: "SYNs from every kind of source address that cannot be one",
        play: martians,
    },
    Attack {
        name: "bad-headers",
        about: "SYN+FIN, LAND, a UDP datagram with a bad checksum or length",
        play: bad_headers,
    },
    Attack {
        name: "reflection",
        about: "the packets whose answers are the largest beside themselves, with a victim's address as source",
        play: reflection,
    },
];

/// Notes the number of packets sent in answer to `packets`.
fn note_answers(report: &mut Report, packets: &[Bytes]) -> Result<()> {
    on_both(report, |target| {
        for packet in packets {
            target.take(packet.clone())?;
        }
        Ok(vec![("answers", target.collect()?.len() as f64)])
    })
}

fn martians(_: Scale, report: &mut Report) -> Result<()> {
    let sources = [
        [0, 0, 0, 0],
        [0, 1, 2, 3],
        [127, 0, 0, 1],
        [127, 255, 255, 254],
        [224, 0, 0, 1],
        [239, 255, 255, 255],
        [240, 1, 2, 3],
        [255, 255, 255, 255],
        // The broadcast address of the victim's network.
        [10, 0, 0, 255],
    ];
    let syns = sources.map(|source| {
        let from = SocketAddr::new(Ipv4Addr::from(source).into(), 4000);
        Segment::syn(from, service(), SeqNum::new(1)).packet(&[])
    });
    note_answers(report, &syns)
}

fn bad_headers(_: Scale, report: &mut Report) -> Result<()> {
    let from = stranger(1);
    let mut both = Segment::syn(from, service(), SeqNum::new(1));
    both.header.flags = Flags::SYN | Flags::FIN;
    let land = Segment::syn(service(), service(), SeqNum::new(1));
    // Source and destination port, length and checksum.
    let bad_sum = [0, 53, 0, 53, 0, 12, 0xBA, 0xD0, 1, 2, 3, 4];
    let short = [0, 53, 0, 53, 0, 4, 0, 0];
    let udp = |payload: &[u8]| datagram(from.ip(), VICTIM, ip::UDP, payload);
    let packets = [
        both.packet(&[]),
        land.packet(&[]),
        udp(&bad_sum),
        udp(&short),
    ];
    note_answers(report, &packets)
}

fn reflection(_: Scale, report: &mut Report) -> Result<()> {
    let from = stranger(1).ip();
    let dark = SocketAddr::new(VICTIM, 4444);
    let udp = Bytes::from(packet::udp((from, 53).into(), dark, &[]));
    let kinds: [(&'static str, Bytes); 4] = [
        (
            "reset, bytes a byte",
            Segment::new(
                SocketAddr::new(from, 4000),
                dark,
                Flags::ACK,
                SeqNum::new(1),
                SeqNum::new(1),
            )
            .packet(&[]),
        ),
        ("UDP to a closed port, bytes a byte", udp.clone()),
        (
            "unknown protocol, bytes a byte",
            datagram(from, VICTIM, 132, &[0; 8]),
        ),
        (
            "echo of a multicast source, bytes a byte",
            packet::echo_request([224, 0, 0, 9].into(), VICTIM, 0, 0, &[]).into(),
        ),
    ];
    on_both(report, |target| {
        let mut figures = Vec::new();
        for (name, packet) in &kinds {
            target.take(packet.clone())?;
            let answers = target.collect()?;
            let bytes: usize = answers.iter().map(Bytes::len).sum();
            figures.push((*name, bytes as f64 / packet.len() as f64));
            // Linux sends at most one ICMP error a second to a host.
            target.wait(Duration::from_millis(1100))?;
        }
        // A flood of packets that ICMP errors answer: the answers are limited in rate.
        for _ in 0..10_000 {
            target.take(udp.clone())?;
        }
        let errors = target.collect()?.len();
        figures.push(("ICMP errors for 10,000 datagrams at once", errors as f64));
        Ok(figures)
    })
}
