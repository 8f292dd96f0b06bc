//! Messages to send: the header is written to a separate buffer, and the body stays in place.

use std::net::IpAddr;

use super::{ErrorKind, HEADER_LEN};
use crate::checksum::{self, Sum};
use crate::field::Fields;
use crate::ip;

/// Maximum number of bytes of a packet that an ICMPv4 error quotes, so that it stays within 576
/// bytes (RFC 1812 4.3.2.3).
pub const MAX_QUOTED_V4: usize = 576 - 20 - HEADER_LEN;
/// Maximum number of bytes of a packet that an ICMPv6 error quotes, so that it stays within 1280
/// bytes (RFC 4443 2.4 (c)).
pub const MAX_QUOTED_V6: usize = 1280 - 40 - HEADER_LEN;

/// Writes the header of an echo request from `src` to `dst`, of the family of `src`, to precede
/// `data`.
pub fn emit_echo_request(
    header: &mut [u8; HEADER_LEN],
    src: IpAddr,
    dst: IpAddr,
    ident: u16,
    seq: u16,
    data: &[u8],
) {
    let kind = if src.is_ipv4() { 8 } else { 128 };
    write(header, (kind, 0, echo_word(ident, seq)), src, dst, data);
}

/// Writes the header of an echo reply from `src` to `dst`, of the family of `src`, to precede
/// `data`: identifier, sequence number and data are those of the request.
pub fn emit_echo_reply(
    header: &mut [u8; HEADER_LEN],
    src: IpAddr,
    dst: IpAddr,
    ident: u16,
    seq: u16,
    data: &[u8],
) {
    let kind = if src.is_ipv4() { 0 } else { 129 };
    write(header, (kind, 0, echo_word(ident, seq)), src, dst, data);
}

/// Writes the header of an error message from `src` to `dst`, of the family of `src`, to precede
/// `quoted`: the beginning of the packet in error, truncated to [`MAX_QUOTED_V4`] or
/// [`MAX_QUOTED_V6`].
///
/// Returns false, and leaves `header` unchanged, if the family has no such message: `Protocol`,
/// `SourceQuench` and `Redirect`, for example, do not exist in IPv6.
#[must_use]
pub fn emit_error(
    header: &mut [u8; HEADER_LEN],
    src: IpAddr,
    dst: IpAddr,
    kind: ErrorKind,
    quoted: &[u8],
) -> bool {
    let numbers = if src.is_ipv4() {
        kind.to_v4()
    } else {
        kind.to_v6()
    };
    if let Some(numbers) = numbers {
        write(header, numbers, src, dst, quoted);
    }
    numbers.is_some()
}

fn echo_word(ident: u16, seq: u16) -> u32 {
    u32::from(ident) << 16 | u32::from(seq)
}

fn write(
    header: &mut [u8; HEADER_LEN],
    (kind, code, word): super::kind::Numbers,
    src: IpAddr,
    dst: IpAddr,
    body: &[u8],
) {
    *header = [kind, code, 0, 0, 0, 0, 0, 0];
    header.put::<4, 4>(word.to_be_bytes());
    let mut sum = match src {
        // RFC 792: ICMPv4 has no pseudo-header.
        IpAddr::V4(_) => Sum::new(),
        IpAddr::V6(_) => {
            let len = HEADER_LEN.saturating_add(body.len()) as u32;
            checksum::pseudo_header(src, dst, ip::ICMPV6, len)
        }
    };
    sum.add(header);
    sum.add(body);
    header.put::<2, 2>(sum.finish().to_be_bytes());
}
