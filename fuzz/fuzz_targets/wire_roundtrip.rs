//! Emits every header and option with any values: what is read back is what was written.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use millstream_wire::icmp::{self, Message};
use millstream_wire::tcp::{Flags, Header, MAX_HEADER_LEN, Options, SackBlock, Timestamps, View};
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
    payload: Vec<u8>,
}

fuzz_target!(|input: Input| {
    internet(&input);
    segment(&input);
    echo(&input);
});

fn addresses(input: &Input) -> (std::net::IpAddr, std::net::IpAddr) {
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
        // In IPv6 other numbers may be those of extension headers.
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
    assert_eq!((packet.tos(), packet.hop_limit()), (input.tos, input.hop_limit));
    assert_eq!(packet.payload(), payload);
    assert!(packet.fragment().is_none());
}

fn segment(input: &Input) {
    let mut options = Options {
        mss: input.mss,
        // RFC 7323 2.3: a larger shift counts as 14.
        window_scale: input.window_scale.map(|shift| shift.min(14)),
        sack_permitted: input.sack_permitted,
        timestamps: input.timestamps.map(|(value, echo)| Timestamps { value, echo }),
        ..Options::default()
    };
    for &(left, right) in &input.sack {
        let (left, right) = (SeqNum::new(left), SeqNum::new(right));
        let before = options;
        if !options.sack.push(SackBlock { left, right }) || options.len() > MAX_HEADER_LEN - 20 {
            options = before;
            break;
        }
    }
    if options.len() > MAX_HEADER_LEN - 20 {
        return;
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
    assert_eq!(Header::from(&view), header);
}

fn echo(input: &Input) {
    let (src, dst) = addresses(input);
    let data = &input.payload[..input.payload.len().min(60_000)];
    let mut header = [0; icmp::HEADER_LEN];
    icmp::emit_echo_request(&mut header, src, dst, input.ident, input.window, data);
    let bytes = [&header[..], data].concat();
    let message = match (src, dst) {
        (std::net::IpAddr::V6(src), std::net::IpAddr::V6(dst)) => Message::parse_v6(src, dst, &bytes),
        _ => Message::parse_v4(&bytes),
    };
    let Ok(Message::EchoRequest { ident, seq, data: read }) = message else {
        panic!("an emitted echo request is read as {message:?}");
    };
    assert_eq!((ident, seq, read), (input.ident, input.window, data));
}
