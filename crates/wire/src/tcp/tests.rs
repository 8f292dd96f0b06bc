use proptest::prelude::*;

use super::*;
use crate::testing::{addresses, bytes, damaged_packet, sack_blocks, tcp_header, tcp_packet, v4};
use crate::{ParseError, SeqNum, ip};

fn emit(options: Options) -> Vec<u8> {
    let header = Header {
        options,
        ..Header::default()
    };
    let mut bytes = vec![0xEE; header.len()];
    header.emit(&mut bytes);
    assert_eq!(usize::from(bytes[12] >> 4) * 4, bytes.len());
    bytes.split_off(MIN_HEADER_LEN)
}

fn list(bytes: &[u8]) -> Vec<Result<TcpOption<'_>, ParseError>> {
    OptionIter::new(bytes).collect()
}

const TIMESTAMPS: Option<Timestamps> = Some(Timestamps {
    value: 0x0102_0304,
    echo: 0x0506_0708,
});

/// The capture of scenarios S7, field by field.
#[test]
fn the_captured_header() {
    let bytes = [
        0x00, 0x16, 0xed, 0x67, 0x11, 0x22, 0x33, 0x44, 0xAA, 0xBB, 0xCC, 0xDD, 0x50, 0x10, 0x01,
        0x3a, 0x29, 0xcf, 0x00, 0x00,
    ];
    let view = View::parse(&bytes).unwrap();
    assert_eq!((view.src_port(), view.dst_port()), (22, 60_775));
    assert_eq!(
        (view.seq().raw(), view.ack().raw()),
        (0x1122_3344, 0xAABB_CCDD)
    );
    assert_eq!((view.header_len(), view.reserved()), (20, 0));
    assert_eq!((view.flags(), view.flags().bits()), (Flags::ACK, 0x10));
    assert_eq!(
        (view.window(), view.checksum(), view.urgent()),
        (314, 0x29cf, 0)
    );
    assert!(view.options_bytes().is_empty() && view.payload().is_empty());
    assert_eq!(view.options().next(), None);
}

#[test]
fn the_flag_bits_are_those_of_the_header() {
    let bits = [
        (0x80, Flags::CWR),
        (0x40, Flags::ECE),
        (0x20, Flags::URG),
        (0x10, Flags::ACK),
        (0x08, Flags::PSH),
        (0x04, Flags::RST),
        (0x02, Flags::SYN),
        (0x01, Flags::FIN),
    ];
    for (bit, flag) in bits {
        let mut bytes = [0; 20];
        bytes[12..14].copy_from_slice(&[0x5A, bit]);
        let view = View::parse(&bytes).unwrap();
        assert_eq!((view.flags(), view.reserved()), (flag, 0xA));
    }
}

#[test]
fn lengths_are_checked_once() {
    let mut bytes = [0; 60];
    for (offset, len, expected) in [
        (5, 19, Some(ParseError::Truncated)),
        (4, 60, Some(ParseError::HeaderLength)),
        (0, 60, Some(ParseError::HeaderLength)),
        (15, 59, Some(ParseError::HeaderLength)),
        (15, 60, None),
        (5, 20, None),
    ] {
        bytes[12] = offset << 4;
        assert_eq!(
            View::parse(&bytes[..len]).err(),
            expected,
            "data offset {offset}, {len} bytes"
        );
    }
}

/// `<mss 512,nop,wscale 0,nop,nop,timestamp 146647 0>` of scenarios S8.
#[test]
fn options_of_the_document_with_timestamps() {
    let bytes = [
        2, 4, 2, 0, 1, 3, 3, 0, 1, 1, 8, 10, 0, 2, 0x3C, 0xD7, 0, 0, 0, 0,
    ];
    let timestamps = Timestamps {
        value: 146_647,
        echo: 0,
    };
    let expected = [
        TcpOption::Mss(512),
        TcpOption::Nop,
        TcpOption::WindowScale(0),
        TcpOption::Nop,
        TcpOption::Nop,
        TcpOption::Timestamps(timestamps),
    ];
    assert_eq!(list(&bytes), expected.map(Ok));
    let options = Options {
        mss: Some(512),
        window_scale: Some(0),
        timestamps: Some(timestamps),
        ..Options::default()
    };
    assert_eq!(Options::parse(&bytes), options);
    assert_eq!(options.len(), bytes.len());
}

/// `<mss 1460,nop,wscale 8,nop,nop,sackOK>` of scenarios S8.
#[test]
fn options_of_the_document_with_sack() {
    let bytes = [2, 4, 0x05, 0xB4, 1, 3, 3, 8, 1, 1, 4, 2];
    let expected = Options {
        mss: Some(1460),
        window_scale: Some(8),
        sack_permitted: true,
        ..Options::default()
    };
    assert_eq!(Options::parse(&bytes), expected);
    assert_eq!(list(&bytes).len(), 6);
}

/// RFC 9293 MUST-4, MUST-6, MUST-64, MUST-68.
#[test]
fn every_kind_is_known() {
    let bytes = [
        6, 6, 0, 0, 0, 1, 7, 6, 0, 0, 0, 2, 5, 10, 0, 0, 0, 3, 0, 0, 0, 4, 30, 4, 0xAB, 0xCD, 254,
        2, 0, 99, 1,
    ];
    let expected = [
        TcpOption::Echo(1),
        TcpOption::EchoReply(2),
        TcpOption::Sack(sack_blocks([(3, 4)])),
        TcpOption::Unknown {
            kind: 30,
            data: &[0xAB, 0xCD],
        },
        TcpOption::Unknown {
            kind: 254,
            data: &[],
        },
        TcpOption::End,
    ];
    assert_eq!(
        list(&bytes),
        expected.map(Ok),
        "nothing is read behind the end"
    );
}

/// RFC 9293 MUST-7.
#[test]
fn an_impossible_length_ends_the_options_with_one_error() {
    for tail in [&[8][..], &[8, 0], &[8, 1], &[2, 4, 5], &[99, 200, 0]] {
        let mut bytes = vec![2, 4, 0x05, 0xB4];
        bytes.extend(tail);
        let expected = [Ok(TcpOption::Mss(1460)), Err(ParseError::OptionLength)];
        assert_eq!(list(&bytes), expected, "{tail:?}");
        let options = Options::parse(&bytes);
        assert!(options.malformed);
        assert_eq!(options.mss, Some(1460));
    }
}

/// RFC 9293 MUST-6, MUST-64.
#[test]
fn a_known_kind_of_another_length_is_skipped() {
    let bytes = [
        2, 3, 9, 3, 4, 9, 9, 4, 3, 1, 5, 2, 5, 6, 0, 0, 0, 0, 8, 6, 1, 2, 3, 4, 3, 3, 7,
    ];
    let options = Options::parse(&bytes);
    assert_eq!(
        options,
        Options {
            window_scale: Some(7),
            ..Options::default()
        }
    );
}

#[test]
fn the_emitter_keeps_linuxs_order() {
    let syn = Options {
        mss: Some(1460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: TIMESTAMPS,
        ..Options::default()
    };
    let mss = [2, 4, 0x05, 0xB4];
    let ts = [8, 10, 1, 2, 3, 4, 5, 6, 7, 8];
    let wscale = [1, 3, 3, 7];
    let cases = [
        (syn, [&mss[..], &[4, 2], &ts, &wscale].concat()),
        (
            Options {
                timestamps: None,
                ..syn
            },
            [&mss[..], &[1, 1, 4, 2], &wscale].concat(),
        ),
        (
            Options {
                sack_permitted: false,
                ..syn
            },
            [&mss[..], &[1, 1], &ts, &wscale].concat(),
        ),
        (
            Options {
                timestamps: TIMESTAMPS,
                ..Options::default()
            },
            [&[1, 1][..], &ts].concat(),
        ),
        (Options::default(), Vec::new()),
        (
            Options {
                timestamps: TIMESTAMPS,
                sack: sack_blocks([(1, 2)]),
                ..Options::default()
            },
            [&[1, 1][..], &ts, &[1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2]].concat(),
        ),
    ];
    for (options, expected) in cases {
        assert_eq!(emit(options), expected, "{options:?}");
    }
}

#[test]
fn sack_blocks_are_cut_to_what_fits() {
    let sack = sack_blocks([(1, 2), (3, 4), (5, 6), (7, 8)]);
    let alone = Options {
        sack,
        ..Options::default()
    };
    assert_eq!(Options::parse(&emit(alone)).sack, sack);
    let with_timestamps = Options {
        timestamps: TIMESTAMPS,
        ..alone
    };
    assert_eq!(with_timestamps.len(), 40);
    assert_eq!(
        Options::parse(&emit(with_timestamps)).sack,
        sack_blocks([(1, 2), (3, 4), (5, 6)])
    );
    let full = Options {
        mss: Some(1),
        window_scale: Some(2),
        ..with_timestamps
    };
    assert_eq!(
        Options::parse(&emit(full)).sack,
        sack_blocks([(1, 2), (3, 4)])
    );
}

#[test]
fn a_fifth_block_is_refused() {
    let mut sack = sack_blocks([(1, 2), (3, 4), (5, 6), (7, 8)]);
    assert!(!sack.push(SackBlock::default()));
    assert_eq!(sack.len(), 4);
    assert_eq!(sack.as_slice()[3].right, SeqNum::new(8));
}

/// The options with only those SACK blocks that fit after the other options.
fn fitting(mut options: Options) -> Options {
    let rest = Options {
        sack: SackBlocks::default(),
        ..options
    }
    .len();
    let blocks = options
        .sack
        .as_slice()
        .iter()
        .map(|block| (block.left.raw(), block.right.raw()));
    options.sack = sack_blocks(blocks.take((40 - rest - 4) / 8));
    options
}

proptest! {
    #[test]
    fn emit_then_parse(header in tcp_header(), (src, dst) in addresses(), payload in bytes(100)) {
        let bytes = tcp_packet(src, dst, &header, &payload);
        let packet = ip::Packet::parse(&bytes).unwrap();
        let view = View::parse(packet.payload()).unwrap();
        prop_assert!(view.checksum_ok(src, dst));
        prop_assert_eq!(view.payload(), &payload);
        prop_assert_eq!(view.header_len(), header.len());
        let expected = Header { options: fitting(header.options), ..header };
        prop_assert_eq!(Header::from(&view), expected);
    }

    /// Another implementation reads what is emitted.
    #[test]
    fn etherparse_agrees(header in tcp_header(), payload in bytes(100)) {
        let (src, dst) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        let bytes = tcp_packet(src.into(), dst.into(), &header, &payload);
        let theirs = etherparse::TcpSlice::from_slice(&bytes[20..]).unwrap();
        let checksum = theirs.calc_checksum_ipv4(src, dst).unwrap();
        prop_assert_eq!(checksum, theirs.checksum());
        prop_assert_eq!(theirs.payload(), &payload);
        let theirs = theirs.to_header();
        prop_assert_eq!((theirs.source_port, theirs.destination_port), (header.src_port, header.dst_port));
        prop_assert_eq!(theirs.sequence_number, header.seq.raw());
        prop_assert_eq!(theirs.acknowledgment_number, header.ack.raw());
        prop_assert_eq!((theirs.window_size, theirs.urgent_pointer), (header.window, header.urgent));
        prop_assert_eq!((theirs.syn, theirs.cwr), (header.flags.contains(Flags::SYN), header.flags.contains(Flags::CWR)));
        prop_assert!(theirs.options_iterator().all(|option| option.is_ok()));
    }

    #[test]
    fn any_options_are_survived(bytes in bytes(60)) {
        let mut options = OptionIter::new(&bytes);
        let read = options.by_ref().count();
        prop_assert!(read <= bytes.len());
        prop_assert_eq!(options.next(), None);
        let errors = OptionIter::new(&bytes).filter(Result::is_err).count();
        prop_assert!(errors <= 1);
        prop_assert_eq!(Options::parse(&bytes).malformed, errors == 1);
    }

    #[test]
    fn any_segment_is_survived(segment in prop_oneof![bytes(100), damaged_packet()]) {
        if let Ok(view) = View::parse(&segment) {
            prop_assert_eq!(20 + view.options_bytes().len() + view.payload().len(), segment.len());
            let _ = view.checksum_ok(v4(1), v4(2));
            // A parsed segment can be emitted again.
            let header = Header::from(&view);
            prop_assert!((20..=60).contains(&header.len()));
            header.emit(&mut [0; 60]);
        }
    }
}
