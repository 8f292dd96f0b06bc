//! Passes any bytes to every parser of the wire crate: none may panic, and accepted input must be
//! consistent.
#![no_main]

use std::net::Ipv6Addr;

use libfuzzer_sys::fuzz_target;
use millstream_wire::icmp::{self, Message, Quoted};
use millstream_wire::{checksum, ip, pretty, tcp, udp, virtio_net};

fuzz_target!(|bytes: &[u8]| {
    packet(bytes);
    segment(bytes);
    let _ = Message::parse_v4(bytes);
    let _ = Message::parse_v6(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST, bytes);
    let _ = Quoted::parse(bytes);
    virtio(bytes);
    sum(bytes);
    trace(bytes);
});

fn packet(bytes: &[u8]) {
    let Ok(packet) = ip::Packet::parse(bytes) else {
        return;
    };
    assert_eq!(&bytes[packet.payload_range()], packet.payload());
    assert_eq!(packet.payload_len(), packet.payload().len());
    if let Ok(Message::Error(icmp::Error { quoted, .. })) = Message::parse(&packet) {
        let _ = Quoted::parse(quoted);
    }
    if let Ok(view) = tcp::View::parse(packet.payload()) {
        let _ = view.checksum_ok(packet.src(), packet.dst());
    }
    if let Ok(view) = udp::View::parse(packet.payload()) {
        assert!(view.payload().len() <= packet.payload_len());
        let _ = view.checksum_ok(packet.src(), packet.dst());
    }
    let shown = packet.to_string();
    assert!(shown.starts_with("IP"));
}

/// Parses a segment and emits it again: parsing it a second time gives the same result.
fn segment(bytes: &[u8]) {
    let Ok(view) = tcp::View::parse(bytes) else {
        return;
    };
    let header = tcp::Header::from(&view);
    let mut emitted = [0; tcp::MAX_HEADER_LEN];
    header.emit(&mut emitted);
    let view = tcp::View::parse(&emitted[..header.len()]).expect("an emitted header");
    let again = tcp::Header::from(&view);
    assert_eq!(again.options.mss, header.options.mss);
    assert_eq!(again.options.timestamps, header.options.timestamps);
    assert_eq!(
        (again.seq, again.ack, again.flags),
        (header.seq, header.ack, header.flags)
    );
    assert!(!again.options.malformed);
}

fn virtio(bytes: &[u8]) {
    for len in [
        virtio_net::Header::LEN,
        virtio_net::Header::LEN_WITH_BUFFERS,
    ] {
        let Some(Ok(header)) = bytes.get(..len).map(virtio_net::Header::parse) else {
            continue;
        };
        let mut emitted = [0; virtio_net::Header::LEN_WITH_BUFFERS];
        header.emit(&mut emitted);
        assert_eq!(virtio_net::Header::parse(&emitted[..len]), Ok(header));
    }
}

/// Splitting the bytes at any position does not change their sum.
fn sum(bytes: &[u8]) {
    let mut whole = checksum::Sum::new();
    whole.add(bytes);
    let split = bytes
        .first()
        .map_or(0, |first| usize::from(*first) % (bytes.len() + 1));
    let mut parts = checksum::Sum::new();
    parts.add(&bytes[..split]);
    parts.add(&bytes[split..]);
    assert_eq!(whole.fold(), parts.fold());
}

/// Prints each half of the bytes as a packet and then all of them, so that later packets meet the
/// state that earlier ones left.
fn trace(bytes: &[u8]) {
    let mut trace = pretty::Trace::new();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    for packet in [first, second, bytes] {
        assert!(!trace.line(packet).is_empty());
    }
}
