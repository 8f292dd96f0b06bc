//! Emits every header and option with any values: parsing returns the values that were emitted.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use millstream_wire::icmp::{self, ErrorKind, Message, Unreachable};
use millstream_wire::tcp::{
    Flags, Header, MAX_HEADER_LEN, Options, SackBlock, SackBlocks, Timestamps, View,
};
use millstream_wire::virtio_net::{self, GsoType};
use millstream_wire::{SeqNum, ip};

#[derive(Arbitrary, Debug)]
struct Input {
    v6: bool,
    addresses: ([u8; 16], [u8; 16]),
    protocol: u8,
    tos: u8,
    hop_limit: u8,
    ident: u16,
    dont_fragment: bool,
    ports: (u16, u16),
    numbers: (u32, u32),
    flags: u8,
    window: u16,
    urgent: u16,
    mss: Option<u16>,
    window_scale: Option<u8>,
    sack_permitted: bool,
    timestamps: Option<(u32, u32)>,
    sack: Vec<(u32, u32)>,
    error: (u8, u8, u32),
    offload: (u8, u8, bool, u16, u16, Option<u16>),
    payload: Vec<u8>,
}

fuzz_target!(|input: Input| {
    internet(&input);
    segment(&input);
    echo(&input);
    error(&input);
    virtio(&input);
});

fn addresses(input: &Input) -> (IpAddr, IpAddr) {
    let (src, dst) = input.addresses;
    if input.v6 {
        (src.into(), dst.into())
    } else {
        let first = |bytes: [u8; 16]| [bytes[0], bytes[1], bytes[2], bytes[3]];
        (first(src).into(), first(dst).into())
    }
}

fn internet(input: &Input) {
    let (src, dst) = addresses(input);
    let payload = &input.payload[..input.payload.len().min(60_000)];
    let header = ip::Header {
        src,
        dst,
        // In IPv6 other protocol numbers may be those of extension headers.
        protocol: if input.v6 { ip::TCP } else { input.protocol },
        tos: input.tos,
        hop_limit: input.hop_limit,
        ident: input.ident,
        dont_fragment: input.dont_fragment,
        payload_len: payload.len(),
    };
    let mut bytes = vec![0; header.len()];
    header.emit(&mut bytes);
    bytes.extend_from_slice(payload);
    let packet = ip::Packet::parse(&bytes).expect("an emitted packet parses");
    assert_eq!((packet.src(), packet.dst()), (src, dst));
    assert_eq!(packet.protocol(), header.protocol);
    assert_eq!(
        (packet.tos(), packet.hop_limit()),
        (input.tos, input.hop_limit)
    );
    assert_eq!(packet.payload(), payload);
    assert!(packet.fragment().is_none());
}

fn segment(input: &Input) {
    let mut options = Options {
        mss: input.mss,
        // RFC 7323 2.3: a larger shift counts as 14.
        window_scale: input.window_scale.map(|shift| shift.min(14)),
        sack_permitted: input.sack_permitted,
        timestamps: input
            .timestamps
            .map(|(value, echo)| Timestamps { value, echo }),
        ..Options::default()
    };
    for &(left, right) in input.sack.iter().take(SackBlocks::MAX) {
        let (left, right) = (SeqNum::new(left), SeqNum::new(right));
        assert!(options.sack.push(SackBlock { left, right }));
    }
    let header = Header {
        src_port: input.ports.0,
        dst_port: input.ports.1,
        seq: SeqNum::new(input.numbers.0),
        ack: SeqNum::new(input.numbers.1),
        flags: Flags::from_bits_retain(input.flags),
        window: input.window,
        urgent: input.urgent,
        options,
    };
    let mut bytes = vec![0; header.len()];
    header.emit(&mut bytes);
    let view = View::parse(&bytes).expect("an emitted segment parses");
    let mut read = Header::from(&view);
    // Blocks that do not fit are left out, and no others.
    let (some, all) = (read.options.sack.as_slice(), header.options.sack.as_slice());
    assert_eq!(some, &all[..some.len()]);
    assert!(some.len() == all.len() || bytes.len() + 8 > MAX_HEADER_LEN);
    read.options.sack = header.options.sack;
    assert_eq!(read, header);
}

fn echo(input: &Input) {
    let (src, dst) = addresses(input);
    let data = &input.payload[..input.payload.len().min(60_000)];
    let (ident, seq) = (input.ident, input.window);
    let mut header = [0; icmp::HEADER_LEN];
    icmp::emit_echo_request(&mut header, src, dst, ident, seq, data);
    let bytes = [&header[..], data].concat();
    assert_eq!(
        read(src, dst, &bytes),
        Message::EchoRequest { ident, seq, data }
    );
    icmp::emit_echo_reply(&mut header, src, dst, ident, seq, data);
    let bytes = [&header[..], data].concat();
    assert_eq!(
        read(src, dst, &bytes),
        Message::EchoReply { ident, seq, data }
    );
}

fn read<'a>(src: IpAddr, dst: IpAddr, bytes: &'a [u8]) -> Message<'a> {
    let message = match (src, dst) {
        (IpAddr::V6(src), IpAddr::V6(dst)) => Message::parse_v6(src, dst, bytes),
        _ => Message::parse_v4(bytes),
    };
    message.expect("an emitted message parses")
}

fn error(input: &Input) {
    let (src, dst) = addresses(input);
    let (what, code, word) = input.error;
    let unreachable = [
        Unreachable::Network,
        Unreachable::Host,
        Unreachable::Protocol,
        Unreachable::Port,
        Unreachable::SourceRouteFailed,
        Unreachable::NetworkUnknown,
        Unreachable::HostUnknown,
        Unreachable::SourceIsolated,
        Unreachable::NetworkProhibited,
        Unreachable::HostProhibited,
        Unreachable::NetworkForTos,
        Unreachable::HostForTos,
        Unreachable::Prohibited,
        Unreachable::PrecedenceViolation,
        Unreachable::PrecedenceCutoff,
        Unreachable::BeyondScope,
        Unreachable::SourcePolicy,
        Unreachable::RejectRoute,
    ];
    let kind = match what % 6 {
        0 => ErrorKind::Unreachable(unreachable[usize::from(code) % unreachable.len()]),
        1 => ErrorKind::PacketTooBig { mtu: word },
        2 => ErrorKind::TimeExceeded { code },
        3 => ErrorKind::ParameterProblem {
            code,
            pointer: word,
        },
        4 => ErrorKind::SourceQuench,
        _ => ErrorKind::Redirect,
    };
    let most = if input.v6 {
        icmp::MAX_QUOTED_V6
    } else {
        icmp::MAX_QUOTED_V4
    };
    let quoted = &input.payload[..input.payload.len().min(most)];
    let mut header = [0; icmp::HEADER_LEN];
    if icmp::emit_error(&mut header, src, dst, kind, quoted) {
        let bytes = [&header[..], quoted].concat();
        assert_eq!(
            read(src, dst, &bytes),
            Message::Error(icmp::Error { kind, quoted })
        );
    }
}

fn virtio(input: &Input) {
    let (flags, kind, ecn, gso_size, csum_start, num_buffers) = input.offload;
    let header = virtio_net::Header {
        flags: virtio_net::Flags::from_bits_truncate(flags),
        gso_type: [GsoType::None, GsoType::TcpV4, GsoType::TcpV6][usize::from(kind) % 3],
        ecn,
        hdr_len: input.window,
        gso_size,
        csum_start,
        csum_offset: input.urgent,
        num_buffers,
    };
    let mut bytes = [0; virtio_net::Header::LEN_WITH_BUFFERS];
    header.emit(&mut bytes);
    assert_eq!(
        virtio_net::Header::parse(&bytes[..header.len()]),
        Ok(header)
    );
}
