//! Exhaustive tests of the elements of packets for all inputs of a bounded domain, against models
//! too simple to be wrong.

use millstream_wire::checksum::{self, Sum};
use millstream_wire::tcp::{self, Options, SackBlock, SackBlocks, Timestamps, View};
use millstream_wire::{SeqNum, WindowScale};

/// Numbers around the boundaries of 32-bit arithmetic.
fn boundaries() -> Vec<u32> {
    let corners = [0, 1 << 8, 1 << 16, 1 << 30, 1 << 31, 3 << 30, 0x1234_5678];
    let around = |corner: u32| (-2..=2).map(move |offset| corner.wrapping_add_signed(offset));
    corners.into_iter().flat_map(around).collect()
}

/// The distance of `a` after `b` on a circle of 2^32, by the shorter way; negative, -2^31, if both
/// ways are equally long.
fn distance(a: u32, b: u32) -> i64 {
    let ahead = (i64::from(a) - i64::from(b)).rem_euclid(1 << 32);
    if ahead < 1 << 31 {
        ahead
    } else {
        ahead - (1 << 32)
    }
}

#[test]
fn sequence_numbers_are_ordered_as_on_a_circle() {
    for a in boundaries() {
        for b in boundaries() {
            let expected = distance(a, b);
            let (one, other) = (SeqNum::new(a), SeqNum::new(b));
            assert_eq!(i64::from(one.distance_from(other)), expected, "{a} {b}");
            assert_eq!(one.lt(other), expected < 0, "{a} {b}");
            assert_eq!(one.le(other), expected <= 0, "{a} {b}");
            assert_eq!(one.gt(other), expected > 0, "{a} {b}");
            assert_eq!(one.ge(other), expected >= 0, "{a} {b}");
        }
    }
}

#[test]
fn sequence_numbers_move_around_the_circle() {
    for a in boundaries() {
        for by in boundaries() {
            let number = SeqNum::new(a);
            let forward = (u64::from(a) + u64::from(by)) % (1 << 32);
            assert_eq!(u64::from((number + by).raw()), forward, "{a} {by}");
            assert_eq!(number + by - by, number, "{a} {by}");
            let mut moved = number;
            moved += by;
            assert_eq!(moved, number + by, "{a} {by}");
            // The order does not depend on the starting point on the circle.
            for b in boundaries() {
                let other = SeqNum::new(b);
                let shifted = (number + by).distance_from(other + by);
                assert_eq!(shifted, number.distance_from(other), "{a} {b} {by}");
            }
        }
    }
}

#[test]
fn every_window_at_every_scale() {
    for shift in 0..=14 {
        let scale = WindowScale::new(shift);
        let unit = 1_u32 << shift;
        for raw in 0..=u16::MAX {
            let window = scale.widen(raw);
            assert_eq!(window, u32::from(raw) * unit, "{raw} at {shift}");
            for bytes in [window, window + (unit - 1)] {
                assert_eq!(scale.narrow(bytes), raw, "{bytes} at {shift}");
            }
        }
        assert_eq!(scale.narrow(u32::MAX), u16::MAX);
    }
    for shift in 15..=u8::MAX {
        assert_eq!(WindowScale::new(shift), WindowScale::MAX);
    }
}

#[test]
fn the_smallest_scale_that_covers_a_buffer() {
    let edges = (0..=14).map(|shift| 0xFFFF_u32 << shift);
    for bytes in edges
        .flat_map(|edge| edge - 1..=edge + 1)
        .chain(boundaries())
    {
        let chosen = WindowScale::for_buffer(bytes);
        let covers = |shift: u8| 0xFFFF_u64 << shift >= u64::from(bytes);
        assert_eq!(
            chosen.shift(),
            (0..14).find(|&shift| covers(shift)).unwrap_or(14),
            "{bytes}"
        );
    }
}

/// The definition of RFC 1071, one word at a time.
fn plain_checksum(words: &[u16]) -> u16 {
    let mut sum: u32 = words.iter().map(|&word| u32::from(word)).sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}

#[test]
fn every_word_changed_to_every_boundary_and_back() {
    const FIXED: [u16; 6] = [1, 2, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF];
    const WORDS: [u16; 8] = [0, 1, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF];
    for fixed in FIXED {
        for any in 0..=u16::MAX {
            for word in WORDS {
                for (old, new) in [(any, word), (word, any)] {
                    let before = plain_checksum(&[fixed, old]);
                    let after = plain_checksum(&[fixed, new]);
                    let updated = checksum::update(before, old, new);
                    assert_eq!(updated, after, "{fixed:#x}: {old:#x} became {new:#x}");
                }
            }
        }
    }
}

#[test]
fn every_sum_of_two_words() {
    for a in (0..=u16::MAX).step_by(251) {
        for b in 0..=u16::MAX {
            let mut sum = Sum::new();
            sum.add(&[a.to_be_bytes(), b.to_be_bytes()].concat());
            assert_eq!(sum.finish(), plain_checksum(&[a, b]), "{a:#x} {b:#x}");
            let mut intact = Sum::new();
            intact.add_u16(a);
            intact.add_u16(b);
            intact.add_u16(plain_checksum(&[a, b]));
            assert!(checksum::is_valid(intact), "{a:#x} {b:#x}");
        }
    }
}

/// The options as described in RFC 9293 3.1, index by index.
fn plain_options(bytes: &[u8]) -> Options {
    let mut options = Options::default();
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let mut at = 0;
    while at < bytes.len() && bytes[at] != 0 {
        if bytes[at] == 1 {
            at += 1;
            continue;
        }
        let len = bytes.get(at + 1).copied().unwrap_or(0) as usize;
        if len < 2 || at + len > bytes.len() {
            options.malformed = true;
            break;
        }
        match (bytes[at], len) {
            (2, 4) => options.mss = Some(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]])),
            (3, 3) => options.window_scale = Some(bytes[at + 2]),
            (4, 2) => options.sack_permitted = true,
            (5, 10 | 18 | 26 | 34) => {
                options.sack = SackBlocks::default();
                for block in (at + 2..at + len).step_by(8) {
                    let (left, right) = (SeqNum::new(word(block)), SeqNum::new(word(block + 4)));
                    assert!(options.sack.push(SackBlock { left, right }));
                }
            }
            (8, 10) => {
                let (value, echo) = (word(at + 2), word(at + 6));
                options.timestamps = Some(Timestamps { value, echo });
            }
            _ => {}
        }
        at += len;
    }
    options
}

/// The options' bytes in an emitted header.
fn emit(options: Options) -> Vec<u8> {
    let header = tcp::Header {
        options,
        ..tcp::Header::default()
    };
    let mut bytes = vec![0xAA; header.len()];
    header.emit(&mut bytes);
    View::parse(&bytes)
        .expect("what was emitted")
        .options_bytes()
        .to_vec()
}

fn check_options(bytes: &[u8]) {
    let options = Options::parse(bytes);
    assert_eq!(options, plain_options(bytes), "{bytes:x?}");
    let emitted = emit(options);
    assert_eq!(emitted.len(), options.len(), "{bytes:x?}");
    // SACK blocks that do not fit after the other options are omitted; all others are returned.
    let again = Options::parse(&emitted);
    let blocks = again.sack.as_slice();
    assert_eq!(
        options.sack.as_slice().get(..blocks.len()),
        Some(blocks),
        "{bytes:x?}"
    );
    let expected = Options {
        sack: again.sack,
        malformed: false,
        ..options
    };
    assert_eq!(again, expected, "{bytes:x?}");
    assert_eq!(emit(again), emitted, "{bytes:x?}");
}

/// Calls `check` with every sequence of at most `longest` members of `alphabet`, concatenated.
fn for_all(
    alphabet: &[&[u8]],
    longest: usize,
    prefix: &mut Vec<u8>,
    check: &mut impl FnMut(&[u8]),
) {
    check(prefix);
    if longest == 0 {
        return;
    }
    for member in alphabet {
        let len = prefix.len();
        prefix.extend_from_slice(member);
        for_all(alphabet, longest - 1, prefix, check);
        prefix.truncate(len);
    }
}

#[test]
fn every_short_string_of_option_bytes() {
    // All known kinds, an unknown one, and the lengths that are correct, or wrong by one, for the
    // options that fit here.
    let alphabet = [0_u8, 1, 2, 3, 4, 5, 6, 7, 8, 10, 254, 255].map(|byte| [byte]);
    let alphabet = alphabet.each_ref().map(<[u8; 1]>::as_slice);
    let mut count = 0;
    for_all(&alphabet, 5, &mut Vec::new(), &mut |bytes| {
        check_options(bytes);
        count += 1;
    });
    assert_eq!(count, (0..=5).map(|len| 12_usize.pow(len)).sum::<usize>());
}

#[test]
fn every_list_of_whole_and_broken_options() {
    let block = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88];
    let sack = |blocks: usize| [&[5, 2 + 8 * blocks as u8], &*block.repeat(blocks)].concat();
    let sacks = [1, 2, 3, 4].map(sack);
    let whole: [&[u8]; 8] = [
        &[0],
        &[1],
        &[2, 4, 5, 0xB4],
        &[3, 3, 7],
        &[3, 3, 255],
        &[4, 2],
        &[8, 10, 1, 2, 3, 4, 5, 6, 7, 8],
        &[8, 10, 0, 0, 0, 9, 0, 0, 0, 0],
    ];
    let broken: [&[u8]; 8] = [
        &[2],
        &[2, 3, 5],
        &[3, 2],
        &[4, 3, 0],
        &[5, 2],
        &[5, 9, 0, 0, 0, 0, 0, 0, 0],
        &[8, 9, 0, 0, 0, 0, 0, 0, 0],
        &[77, 6, 1, 2, 3, 4],
    ];
    let alphabet: Vec<&[u8]> = whole
        .into_iter()
        .chain(broken)
        .chain(sacks.iter().map(Vec::as_slice))
        .collect();
    for_all(&alphabet, 4, &mut Vec::new(), &mut |bytes| {
        check_options(&bytes[..bytes.len().min(tcp::MAX_OPTIONS_LEN)]);
    });
}
