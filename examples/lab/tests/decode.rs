//! `decode` on the tutorial's header and options, and on invalid input.

use std::io::Write as _;
use std::time::Duration;

use millstream_lab::decode::{Decoder, Field, Kind, hex};
use millstream_testbed::capture::{DataLink, Reader, Writer};
use millstream_testbed::packet;
use millstream_wire::tcp::{self, Flags};
use millstream_wire::{SeqNum, WindowScale, ip};

/// The header of a capture that does not show absolute sequence numbers.
const HEADER: &str = "00 16 ed 67 00 00 00 01 00 00 00 02 50 10 01 3a 29 cf 00 00";
/// `<mss 512,nop,wscale 0,nop,nop,timestamp 146647 0>`.
const OPTIONS_1: &str = "02040200 01030300 0101080a 00023cd7 00000000";
/// `<mss 1460,nop,wscale 8,nop,nop,sackOK>`.
const OPTIONS_2: &str = "020405b4 01030308 01010402";

fn decode(text: &str, scale: Option<u8>) -> Vec<Field> {
    let bytes = hex::parse(text).expect("hexadecimal");
    let kind = Kind::guess(&bytes).expect("a packet");
    Decoder::new(scale.map(WindowScale::new))
        .decode(kind, &bytes)
        .expect("decoded")
}

fn field<'a>(headers: &'a [Field], name: &str) -> &'a Field {
    let found = headers.iter().find_map(|header| header.find(name));
    found.unwrap_or_else(|| panic!("no field {name}"))
}

fn value<'a>(headers: &'a [Field], name: &str) -> &'a str {
    &field(headers, name).value
}

#[test]
fn the_tutorials_header_is_decoded_field_by_field() {
    let headers = decode(HEADER, Some(7));
    for (name, expected) in [
        ("Source port", "22"),
        ("Destination port", "60775"),
        ("Sequence number", "1"),
        ("Acknowledgment number", "2"),
        ("Header length", "20"),
        ("Flags", "0x010"),
        ("ACK", "set, 0x10"),
        ("SYN", "not set, 0x02"),
        ("Window", "314"),
        ("Scaling factor", "128"),
        ("Calculated window", "40192"),
        ("Checksum", "0x29cf"),
        ("Urgent pointer", "0"),
    ] {
        assert_eq!(value(&headers, name), expected, "{name}");
    }
    assert!(
        field(&headers, "Checksum")
            .meaning
            .starts_with("not checked: no IP header")
    );
    assert_eq!(field(&headers, "Flags").meaning, "ACK");
    for flag in &field(&headers, "Flags").fields {
        assert!(!flag.meaning.is_empty(), "{flag}");
    }
    let unscaled = decode(HEADER, None);
    assert_eq!(value(&unscaled, "Calculated window"), "unknown");
    assert_eq!(decode(&HEADER.replace(' ', ":"), Some(7)), headers);
    assert_eq!(
        decode(&format!("0x{}", HEADER.replace(' ', "")), Some(7)),
        headers
    );
}

/// A SYN's header followed by options.
fn with_options(options: &str) -> String {
    let words = 5 + hex::parse(options).expect("hexadecimal").len() / 4;
    format!("0016ed67 00000001 00000000 {words:x}0 02 013a 0000 0000 {options}")
}

#[test]
fn the_tutorials_options_are_decoded_field_by_field() {
    let headers = decode(&with_options(OPTIONS_1), None);
    let places: Vec<_> = field(&headers, "Options")
        .fields
        .iter()
        .map(|option| (option.name.as_str(), option.value.as_str()))
        .collect();
    assert_eq!(
        places,
        [
            ("Maximum segment size", "bytes 0-3: 02 04 02 00"),
            ("No-operation", "byte 4: 01"),
            ("Window scale", "bytes 5-7: 03 03 00"),
            ("No-operation", "byte 8: 01"),
            ("No-operation", "byte 9: 01"),
            ("Timestamps", "bytes 10-19: 08 0a 00 02 3c d7 00 00 00 00"),
        ]
    );
    assert_eq!(value(&headers, "MSS"), "512");
    assert_eq!(value(&headers, "Timestamp value"), "146647");
    assert_eq!(value(&headers, "Timestamp echo reply"), "0");

    let headers = decode(&with_options(OPTIONS_2), None);
    assert_eq!(value(&headers, "Options"), "12 bytes");
    assert_eq!(value(&headers, "MSS"), "1460");
    assert_eq!(field(&headers, "Shift count").meaning, "multiply by 256");
    assert_eq!(value(&headers, "SACK permitted"), "bytes 10-11: 04 02");
}

#[test]
fn options_without_a_header_are_decoded() {
    let options = |text: &str| {
        let bytes = hex::parse(text).expect("hexadecimal");
        let decoded = Decoder::default().decode(Kind::Options, &bytes);
        decoded.expect("options")
    };
    for text in [OPTIONS_1, OPTIONS_2] {
        let behind_a_header = decode(&with_options(text), None);
        let expected = field(&behind_a_header, "Options");
        assert_eq!(options(text), std::slice::from_ref(expected));
    }
}

#[test]
fn invalid_options_are_reported() {
    let headers = decode(&with_options("08ff0000"), None);
    assert_eq!(value(&headers, "Malformed option"), "08 ff 00 00");
    let headers = decode(&with_options("00aabbcc"), None);
    assert_eq!(value(&headers, "Padding"), "aa bb cc");
}

/// A packet from port 1000 to port 2000, or back, with a correct checksum.
fn packet(back: bool, v6: bool, tos: u8, segment: tcp::Header) -> Vec<u8> {
    let mut ends = if v6 {
        [
            [1_u16, 2, 0, 0, 0, 0, 0, 1].into(),
            [1_u16, 2, 0, 0, 0, 0, 0, 2].into(),
        ]
    } else {
        [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()]
    };
    let mut ports = [1000, 2000];
    if back {
        ends.reverse();
        ports.reverse();
    }
    let segment = tcp::Header {
        src_port: ports[0],
        dst_port: ports[1],
        ..segment
    };
    let around = ip::Header {
        tos,
        ..ip::Header::new(ends[0], ends[1], ip::TCP)
    };
    packet::tcp_in(around, &segment, &[])
}

fn syn(flags: Flags, shift: u8) -> tcp::Header {
    let options = tcp::Options {
        window_scale: Some(shift),
        ..tcp::Options::default()
    };
    tcp::Header {
        seq: SeqNum::new(7),
        flags,
        window: 100,
        options,
        ..tcp::Header::default()
    }
}

#[test]
fn ip_headers_ecn_and_checksums_are_decoded() {
    for v6 in [false, true] {
        let mut bytes = packet(
            false,
            v6,
            0b11,
            syn(Flags::SYN | Flags::ECE | Flags::CWR, 7),
        );
        assert_eq!(Kind::guess(&bytes).expect("a packet"), Kind::Ip);
        let mut decoder = Decoder::default();
        let headers = decoder.decode(Kind::Ip, &bytes).expect("a packet");
        assert_eq!(value(&headers, "Version"), if v6 { "6" } else { "4" });
        assert_eq!(value(&headers, "ECN"), "11");
        assert!(field(&headers, "ECN").meaning.starts_with("CE"));
        assert!(field(&headers, "ECE").meaning.contains("asks for ECN"));
        assert!(field(&headers, "Checksum").meaning.starts_with("correct"));
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let headers = decoder.decode(Kind::Ip, &bytes).expect("a packet");
        assert!(field(&headers, "Checksum").meaning.starts_with("WRONG"));
    }
}

#[test]
fn the_kind_is_guessed_despite_padding_damage_and_odd_ports() {
    let whole = packet(false, false, 0, syn(Flags::SYN, 7));
    let padded = [&whole[..], &[0; 6]].concat();
    assert_eq!(Kind::guess(&padded).expect("a packet"), Kind::Ip);
    let mut damaged = whole.clone();
    damaged[8] ^= 1;
    assert_eq!(Kind::guess(&damaged).expect("a packet"), Kind::Ip);
    // Source port 0x4500 looks like the first byte of IPv4.
    let bare = HEADER.replace("00 16", "45 00");
    let bare = hex::parse(&bare).expect("hexadecimal");
    assert_eq!(Kind::guess(&bare).expect("a header"), Kind::Tcp);
}

#[test]
fn dumps_of_other_programs_are_parsed() {
    let bytes = b"\x45\x00\x00\x26\x12\x34\x40\x00\x40\x06abcdefghijklmnopqrstuvwxyz01";
    for dump in [
        // tcpdump -X, with its description of the packet
        "00:00:01.000000 IP 10.0.0.1 > 10.0.0.2: tcp
\t0x0000:  4500 0026 1234 4000 4006 6162 6364 6566  E..&.4@.@.abcdef
\t0x0010:  6768 696a 6b6c 6d6e 6f70 7172 7374 7576  ghijklmnopqrstuv
\t0x0020:  7778 797a 3031                           wxyz01",
        // xxd
        "00000000: 4500 0026 1234 4000 4006 6162 6364 6566  E..&.4@.@.abcdef
00000010: 6768 696a 6b6c 6d6e 6f70 7172 7374 7576  ghijklmnopqrstuv
00000020: 7778 797a 3031                           wxyz01",
        // xxd -c 8
        "00000000: 4500 0026 1234 4000  E..&.4@.
00000008: 4006 6162 6364 6566  @.abcdef
00000010: 6768 696a 6b6c 6d6e  ghijklmn
00000018: 6f70 7172 7374 7576  opqrstuv
00000020: 7778 797a 3031       wxyz01",
        // Wireshark
        "0000   45 00 00 26 12 34 40 00 40 06 61 62 63 64 65 66   E..&.4@.@.abcdef
0010   67 68 69 6a 6b 6c 6d 6e 6f 70 71 72 73 74 75 76   ghijklmnopqrstuv
0020   77 78 79 7a 30 31                                 wxyz01",
        // Wireshark, without the column of text
        "0000   45 00 00 26 12 34 40 00 40 06 61 62 63 64 65 66
0010   67 68 69 6a 6b 6c 6d 6e 6f 70 71 72 73 74 75 76
0020   77 78 79 7a 30 31",
        // hexdump -C
        "00000000  45 00 00 26 12 34 40 00  40 06 61 62 63 64 65 66  |E..&.4@.@.abcdef|
00000010  67 68 69 6a 6b 6c 6d 6e  6f 70 71 72 73 74 75 76  |ghijklmnopqrstuv|
00000020  77 78 79 7a 30 31                                 |wxyz01|
00000026",
        // od -A x -t x1
        "000000 45 00 00 26 12 34 40 00 40 06 61 62 63 64 65 66
000010 67 68 69 6a 6b 6c 6d 6e 6f 70 71 72 73 74 75 76
000020 77 78 79 7a 30 31
000026",
    ] {
        assert_eq!(hex::parse(dump).expect(dump), bytes, "{dump}");
    }
    // A row of one byte, whose text column does not look like a byte.
    let short = "0000   45 00 00 26 12 34 40 00 40 06 61 62 63 64 65 66   E..&.4@.@.abcdef\n0010   67                                                g";
    assert_eq!(hex::parse(short).expect(short), bytes[..17]);
    // Four digits at the beginning do not make a dump.
    for digits in ["0016 ed67", "0016 ed 67", "4500\n0026", "0016"] {
        let plain = digits.split_whitespace().collect::<String>();
        let plain = hex::parse(&plain).expect("hexadecimal");
        assert_eq!(hex::parse(digits).expect(digits), plain, "{digits}");
    }
}

#[test]
fn data_beyond_the_snap_length_is_counted() {
    let segment = tcp::Header {
        flags: Flags::ACK,
        ..tcp::Header::default()
    };
    let mut bytes = packet(false, false, 0, segment);
    // 7240 bytes of data were sent, and 54 were captured.
    bytes.extend([0x55; 54]);
    let total = 20 + 20 + 7240_u16;
    bytes[2..4].copy_from_slice(&total.to_be_bytes());
    let headers = decode(&hex_of(&bytes), None);
    assert_eq!(value(&headers, "Data"), "54 of 7240 bytes captured");
    assert_eq!(
        field(&headers, "Sequence number").meaning,
        "number of the first byte of the data"
    );
    assert!(field(&headers, "Checksum").meaning.contains("truncated"));
    // No data was captured, but the segment had some.
    let headers = decode(&hex_of(&bytes[..40]), None);
    assert_eq!(value(&headers, "Data"), "0 of 7240 bytes captured");
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn invalid_input_is_rejected_with_advice() {
    for (text, advice) in [
        ("", "capture file"),
        ("no-such-file.pcap", "there is no file of that name"),
        ("450", "odd number"),
        ("ff ff", "--ip or --tcp"),
        ("0x0000:  4500\n0x0000:  4500", "give one packet"),
        (
            "0000   45 00 00 26\n0008   40 06",
            "does not follow those before it",
        ),
    ] {
        let refused = hex::parse(text).and_then(|bytes| Kind::guess(&bytes).map(|_| ()));
        let error = refused.expect_err(text).to_string();
        assert!(error.contains(advice), "{text:?}: {error}");
    }
}

/// A capture of two SYNs and a data segment with this link type.
fn capture(link: DataLink, before: &[u8]) -> Vec<u8> {
    let packets = [
        packet(false, false, 0, syn(Flags::SYN, 7)),
        packet(true, false, 0, syn(Flags::SYN | Flags::ACK, 3)),
        packet(
            false,
            false,
            0,
            tcp::Header {
                flags: Flags::ACK,
                window: 314,
                ..tcp::Header::default()
            },
        ),
    ];
    let mut file = Writer::of_link(Vec::new(), link).expect("a file");
    for (number, packet) in (1..).zip(packets) {
        let data = [before, &packet].concat();
        file.write(Duration::from_millis(number), &data, &["cwnd=14600"])
            .expect("written");
    }
    file.finish().expect("complete")
}

fn on_disk(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("written");
    file
}

#[test]
fn files_of_every_link_type_are_decoded_with_scales_from_their_syns() {
    let ethernet = [&[0; 12][..], &[0x08, 0]].concat();
    let vlan = [&[0; 12][..], &[0x81, 0, 0, 5, 0x08, 0]].concat();
    let cooked = [&[0; 14][..], &[0x08, 0]].concat();
    for (link, before) in [
        (DataLink::RAW, &[][..]),
        (DataLink::ETHERNET, &ethernet),
        (DataLink::ETHERNET, &vlan),
        (DataLink::LINUX_SLL, &cooked),
    ] {
        let file = on_disk(&capture(link, before));
        let mut decoder = Decoder::default();
        let mut last = Vec::new();
        for record in Reader::open(file.path()).expect("a capture") {
            let record = record.expect("a packet");
            assert_eq!(record.comments, ["cwnd=14600"]);
            let bytes = record.ip().expect("known").expect("IP");
            last = decoder.decode(Kind::Ip, bytes).expect("a packet");
        }
        assert_eq!(value(&last, "Calculated window"), "40192", "{link:?}");
    }
}

#[test]
fn damaged_files_never_panic() {
    let whole = capture(DataLink::RAW, &[]);
    let mut random = fastrand::Rng::with_seed(6);
    let mut refused = 0;
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
        }
        bytes.truncate(random.usize(..=bytes.len()));
        let file = on_disk(&bytes);
        let Ok(reader) = Reader::open(file.path()) else {
            refused += 1;
            continue;
        };
        let mut decoder = Decoder::default();
        for record in reader {
            let Ok(record) = record else {
                refused += 1;
                break;
            };
            if let Ok(Some(bytes)) = record.ip() {
                // The result does not matter, but the call must return.
                drop(decoder.decode(Kind::Ip, bytes));
            }
        }
    }
    assert!(refused > 100, "{refused} damaged files were refused");
}
