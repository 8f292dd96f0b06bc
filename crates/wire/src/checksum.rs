//! The Internet checksum (RFC 1071): complete, partial, and updated in place (RFC 1624).

use std::net::IpAddr;

#[cfg(test)]
mod tests;

/// An incremental one's complement sum, over bytes in slices of any length.
///
/// The sum is kept in the machine's byte order, which RFC 1071 2(B) allows, and converted once at
/// the end.
///
/// ```
/// use millstream_wire::checksum::Sum;
///
/// let mut sum = Sum::new();
/// sum.add(&[0x00, 0x01, 0xf2]);
/// sum.add(&[0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
/// assert_eq!(sum.fold(), 0xddf2); // the example of RFC 1071 3
/// assert_eq!(sum.finish(), !0xddf2);
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct Sum {
    /// Congruent to the sum modulo 2^16 - 1, and zero only if all added bytes were zero.
    total: u64,
    /// Whether an odd number of bytes has been added, so that the next one is the low half of a
    /// word.
    odd: bool,
}

impl Sum {
    /// The sum over nothing.
    pub const fn new() -> Self {
        Self {
            total: 0,
            odd: false,
        }
    }

    /// Adds `bytes` as the continuation of the bytes added before: the slices of a payload may have
    /// any boundaries, even at odd offsets.
    #[inline]
    pub fn add(&mut self, bytes: &[u8]) {
        let mut part = sum_bytes(bytes);
        if self.odd {
            // RFC 1071 2(B): the sum over bytes shifted by one is the sum with its bytes swapped.
            part = u64::from(fold(part).swap_bytes());
        }
        self.odd ^= bytes.len() % 2 == 1;
        self.total = add_with_carry(self.total, part);
    }

    /// Adds one 16-bit word of a header, wherever the previous bytes ended.
    #[inline]
    pub fn add_u16(&mut self, word: u16) {
        self.total = add_with_carry(self.total, u64::from(word.to_be()));
    }

    /// Adds two 16-bit words of a header, wherever the previous bytes ended.
    #[inline]
    pub fn add_u32(&mut self, words: u32) {
        self.total = add_with_carry(self.total, u64::from(words.to_be()));
    }

    /// The checksum: the complement of the sum, as in a header field.
    #[must_use]
    #[inline]
    pub fn finish(self) -> u16 {
        !self.fold()
    }

    /// The sum folded to 16 bits, not complemented: the value that a device expects in the field if
    /// it completes checksums.
    #[must_use]
    #[inline]
    pub fn fold(self) -> u16 {
        u16::from_be(fold(self.total))
    }
}

/// The sum over the pseudo-header of TCP, UDP and ICMPv6 (RFC 9293 3.1, RFC 8200 8.1), where `len`
/// is the length in bytes of the upper-layer header and its payload.
#[inline]
pub fn pseudo_header(src: IpAddr, dst: IpAddr, protocol: u8, len: u32) -> Sum {
    let mut sum = Sum::new();
    for address in [src, dst] {
        match address {
            IpAddr::V4(address) => sum.add(&address.octets()),
            IpAddr::V6(address) => sum.add(&address.octets()),
        }
    }
    sum.add_u16(u16::from(protocol));
    sum.add_u32(len);
    sum
}

/// The checksum of a packet in which the 16-bit `old_word` became `new_word` (RFC 1624, equation
/// 3).
#[must_use]
pub fn update(old_checksum: u16, old_word: u16, new_word: u16) -> u16 {
    let mut sum = Sum::new();
    sum.add_u16(!old_checksum);
    sum.add_u16(!old_word);
    sum.add_u16(new_word);
    sum.finish()
}

/// Whether the packet that `sum` covers, including the checksum field and the pseudo-header,
/// arrived intact.
///
/// The field is part of the sum, as RFC 1071 1(3) specifies. A comparison of the field with a
/// computed checksum is wrong: zero has two representations, Linux sends 0xFFFF where the sum gives
/// 0x0000, and a receiver that compares refuses that packet however often it is sent.
#[must_use]
#[inline]
pub fn is_valid(sum: Sum) -> bool {
    sum.fold() == 0xFFFF
}

/// Bytes processed in one iteration of the wide loop.
const BLOCK: usize = 64;
/// Number of 64-bit words in a block, each summed in its own lane so that the loop compiles to
/// vector instructions.
const LANES: usize = BLOCK / 8;

/// A number congruent to the sum of the 16-bit words of `bytes` in the machine's order, modulo
/// 2^16 - 1; an odd last byte counts as if a zero followed.
#[inline]
fn sum_bytes(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let mut total = if blocks.is_empty() {
        0
    } else {
        sum_blocks(blocks)
    };
    let (words, rest) = rest.as_chunks::<8>();
    for word in words {
        total = add_with_carry(total, u64::from_ne_bytes(*word));
    }
    let mut rest = rest;
    if let Some((word, after)) = rest.split_first_chunk::<4>() {
        total = add_with_carry(total, u64::from(u32::from_ne_bytes(*word)));
        rest = after;
    }
    if let Some((word, after)) = rest.split_first_chunk::<2>() {
        total = add_with_carry(total, u64::from(u16::from_ne_bytes(*word)));
        rest = after;
    }
    if let [last] = rest {
        total = add_with_carry(total, u64::from(u16::from_ne_bytes([*last, 0])));
    }
    total
}

/// The sum of the 32-bit words of `blocks`, which is congruent to that of the 16-bit words.
fn sum_blocks(blocks: &[[u8; BLOCK]]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if blocks.len() >= WIDE && is_x86_feature_detected!("avx2") {
        #[expect(unsafe_code, reason = "only some processors have wider vectors")]
        // SAFETY: this processor has AVX2.
        return unsafe { sum_blocks_avx2(blocks) };
    }
    sum_in_lanes(blocks)
}

/// Number of blocks from which a query of the processor's features is worthwhile.
#[cfg(target_arch = "x86_64")]
const WIDE: usize = 4;

/// [`sum_in_lanes`] for processors with AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn sum_blocks_avx2(blocks: &[[u8; BLOCK]]) -> u64 {
    sum_in_lanes(blocks)
}

#[inline(always)]
#[expect(
    clippy::indexing_slicing,
    reason = "lanes of arrays, below their constant length: no check remains"
)]
fn sum_in_lanes(blocks: &[[u8; BLOCK]]) -> u64 {
    // Per lane, the sum of whole words modulo 2^64, and the sum of their upper halves. The sum of
    // the lower halves is the difference: one addition less than splitting each word.
    let mut whole = [0_u64; LANES];
    let mut upper = [0_u64; LANES];
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for lane in 0..LANES {
            let word = u64::from_ne_bytes(words[lane]);
            whole[lane] = whole[lane].wrapping_add(word);
            upper[lane] = upper[lane].wrapping_add(word >> 32);
        }
    }
    let mut total = 0;
    for lane in 0..LANES {
        let lower = whole[lane].wrapping_sub(upper[lane] << 32);
        total = add_with_carry(add_with_carry(total, lower), upper[lane]);
    }
    total
}

/// One's complement addition: the carry out of the top is added at the bottom.
#[inline]
fn add_with_carry(a: u64, b: u64) -> u64 {
    let (sum, carry) = a.overflowing_add(b);
    // There is room for a carry: a sum that overflowed is at most 2^64 - 2.
    sum.wrapping_add(u64::from(carry))
}

/// Folds a sum to 16 bits.
#[inline]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "halves of 64 bits, whose sum has 33 at the most"
)]
fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xFFFF_FFFF);
    let sum = (sum >> 32) + (sum & 0xFFFF_FFFF);
    let sum = (sum >> 16) + (sum & 0xFFFF);
    let sum = (sum >> 16) + (sum & 0xFFFF);
    sum as u16
}
