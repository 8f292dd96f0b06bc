//! The IPv6 header and its extension headers (RFC 8200).

use std::net::Ipv6Addr;

use crate::ParseError;
use crate::field::{Fields, room};
use crate::icmp::ErrorKind;
use crate::ip::{Fragment, Header, ICMPV6};

/// Length in bytes of the fixed header.
pub const HEADER_LEN: usize = 40;

/// Maximum number of extension headers before the packet is refused: more than any legitimate
/// packet has, and a bound on the work that a packet can cause.
pub const MAX_EXTENSION_HEADERS: usize = 8;

pub(crate) const FRAGMENT_HEADER_LEN: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
pub(crate) const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// A checked IPv6 packet.
#[derive(Clone, Copy, Debug)]
pub struct Ipv6View<'a> {
    header: &'a [u8; HEADER_LEN],
    upper: Upper,
    /// The available part of the payload, without bytes after the packet.
    payload: &'a [u8],
    /// Length of the payload in bytes, according to the header.
    payload_len: usize,
}

/// The end of the walk over the extension headers.
#[derive(Clone, Copy, Debug)]
struct Upper {
    protocol: u8,
    /// Offset of the field that names the protocol.
    named_at: usize,
    /// Bytes before the payload; at most the length of the packet.
    header_len: usize,
    fragment: Option<Fragment>,
}

/// Why the walk over the extension headers ended early, and the error to send to the packet's
/// source.
struct Refusal {
    error: ParseError,
    answer: Option<ErrorKind>,
}

impl Refusal {
    fn told(error: ParseError, code: u8, pointer: usize) -> Self {
        let pointer = pointer as u32;
        Self {
            error,
            answer: Some(ErrorKind::ParameterProblem { code, pointer }),
        }
    }
}

impl From<ParseError> for Refusal {
    fn from(error: ParseError) -> Self {
        Self {
            error,
            answer: None,
        }
    }
}

/// Codes of a parameter problem (RFC 4443 3.4).
const ERRONEOUS_FIELD: u8 = 0;
const UNKNOWN_NEXT_HEADER: u8 = 1;
const UNKNOWN_OPTION: u8 = 2;

/// Offset of the payload length in the fixed header.
const PAYLOAD_LENGTH_AT: usize = 4;

impl<'a> Ipv6View<'a> {
    /// Checks the fixed header of `bytes` and follows hop-by-hop, destination options, routing and
    /// fragment headers, at most [`MAX_EXTENSION_HEADERS`]. Any other next header is that of the
    /// upper layer. A packet whose fragment header says that it is whole does not count as a
    /// fragment (RFC 6946).
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated), [`Version`](ParseError::Version),
    /// [`TotalLength`](ParseError::TotalLength) when the packet is longer than `bytes`, and the
    /// errors of extension headers: [`ExtensionHeaders`](ParseError::ExtensionHeaders),
    /// [`RoutingHeader`](ParseError::RoutingHeader), [`UnknownOption`](ParseError::UnknownOption),
    /// [`OptionLength`](ParseError::OptionLength), [`Fragment`](ParseError::Fragment).
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let view = Self::parse_truncated(bytes)?;
        if view.payload.len() < view.payload_len {
            return Err(ParseError::TotalLength);
        }
        if let Some(fragment) = view.upper.fragment {
            fragment.check(view.payload_len)?;
        }
        Ok(view)
    }

    /// Reads a packet of which only the headers must be present.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), except for fragments and missing payload.
    pub fn parse_truncated(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let header = bytes
            .first_chunk::<HEADER_LEN>()
            .ok_or(ParseError::Truncated)?;
        if header[0] >> 4 != 6 {
            return Err(ParseError::Version);
        }
        let total_len = total_len(header);
        let packet = bytes.get(..total_len).unwrap_or(bytes);
        let upper = walk(header[6], packet).map_err(|refusal| refusal.error)?;
        let payload_len = total_len.checked_sub(upper.header_len);
        Ok(Self {
            header,
            upper,
            payload: packet.get(upper.header_len..).unwrap_or_default(),
            payload_len: payload_len.ok_or(ParseError::TotalLength)?,
        })
    }

    /// The source address.
    #[must_use]
    pub fn src(&self) -> Ipv6Addr {
        self.header.field::<8, 16>().into()
    }

    /// The destination address.
    #[must_use]
    pub fn dst(&self) -> Ipv6Addr {
        self.header.field::<24, 16>().into()
    }

    /// The protocol after the last extension header, or after the fragment header of a fragment.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.upper.protocol
    }

    /// Offset in bytes, from the packet's beginning, of the field that names the
    /// [protocol](Self::protocol): the pointer of a parameter problem about it (RFC 4443 3.4).
    #[must_use]
    pub fn protocol_offset(&self) -> usize {
        self.upper.named_at
    }

    /// The traffic class: DSCP and ECN.
    #[must_use]
    pub fn traffic_class(&self) -> u8 {
        self.header[0] << 4 | self.header[1] >> 4
    }

    /// The flow label, 20 bits (RFC 6437).
    #[must_use]
    pub fn flow_label(&self) -> u32 {
        self.header.be32::<0>() & 0x000F_FFFF
    }

    /// The hop limit.
    #[must_use]
    pub fn hop_limit(&self) -> u8 {
        self.header[7]
    }

    /// Bytes before the payload: the fixed header and the extension headers.
    #[must_use]
    pub fn header_len(&self) -> usize {
        self.upper.header_len
    }

    /// Length of the payload in bytes, without the extension headers, according to the header.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        self.payload_len
    }

    /// The bytes after the last extension header.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The place of this fragment in a larger packet; `None` for a whole packet.
    #[must_use]
    pub fn fragment(&self) -> Option<Fragment> {
        self.upper.fragment
    }
}

/// Length of the whole packet in bytes, according to its header.
fn total_len(header: &[u8; HEADER_LEN]) -> usize {
    usize::from(header.be16::<PAYLOAD_LENGTH_AT>()).saturating_add(HEADER_LEN)
}

/// A packet that a host cannot process, and the error to send to its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The source of the packet.
    pub src: Ipv6Addr,
    /// The destination of the packet.
    pub dst: Ipv6Addr,
    /// A [parameter problem](ErrorKind::ParameterProblem).
    pub kind: ErrorKind,
}

impl Problem {
    /// The error that [`Ipv6View::parse`] finds in a packet, if it is one that a host must
    /// report to the source of the packet in an ICMPv6 parameter problem message (RFC 8200 4, 4.2,
    /// 4.4 and 4.5). `None` if no report is sent: the packet is valid or incomplete, has too many
    /// extension headers, or carries an ICMPv6 error, about which no other error is sent
    /// (RFC 4443 2.4 (e)). The caller must check the addresses before it sends a report.
    #[must_use]
    pub fn find(bytes: &[u8]) -> Option<Self> {
        let header = bytes.first_chunk::<HEADER_LEN>()?;
        let packet = bytes.get(..total_len(header))?;
        if header[0] >> 4 != 6 || carries_icmp_error(header[6], packet.get(HEADER_LEN..)?) {
            return None;
        }
        let kind = match walk(header[6], packet) {
            Ok(upper) => fragment_problem(&upper, packet),
            Err(refusal) => refusal.answer,
        };
        Some(Self {
            src: header.field::<8, 16>().into(),
            dst: header.field::<24, 16>().into(),
            kind: kind?,
        })
    }
}

/// RFC 8200 4.5: a fragment that cannot belong to a valid packet.
fn fragment_problem(upper: &Upper, packet: &[u8]) -> Option<ErrorKind> {
    let fragment = upper.fragment?;
    let length = packet.len().saturating_sub(upper.header_len);
    fragment.check(length).err()?;
    let too_long = usize::from(fragment.offset).saturating_add(length) > usize::from(u16::MAX);
    // The field of the offset, or the length that should be a multiple of eight bytes.
    let pointer = if too_long {
        upper.named_at.saturating_add(2)
    } else {
        PAYLOAD_LENGTH_AT
    };
    Some(ErrorKind::ParameterProblem {
        code: ERRONEOUS_FIELD,
        pointer: pointer as u32,
    })
}

/// Whether the extension headers at the beginning of `rest` are followed by an ICMPv6 error,
/// whatever is wrong with them.
fn carries_icmp_error(mut next: u8, mut rest: &[u8]) -> bool {
    for _ in 0..=MAX_EXTENSION_HEADERS {
        let len = match (next, rest) {
            (ICMPV6, _) => return rest.first().is_none_or(|kind| *kind < 128),
            (FRAGMENT, [_, _, 0, 0..=7, _, _, _, _, ..]) => FRAGMENT_HEADER_LEN,
            (HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS, _) => {
                extension(rest).map_or(0, <[u8]>::len)
            }
            _ => 0,
        };
        let Some(([following, ..], after)) = rest.split_at_checked(len) else {
            break;
        };
        (next, rest) = (*following, after);
    }
    false
}

/// Follows the extension headers of `packet`, the first of which `next` names.
fn walk(mut next: u8, packet: &[u8]) -> Result<Upper, Refusal> {
    let (mut at, mut named_at) = (HEADER_LEN, 6);
    let mut rest = packet.get(HEADER_LEN..).unwrap_or_default();
    for _ in 0..=MAX_EXTENSION_HEADERS {
        let header = match next {
            HOP_BY_HOP if at == HEADER_LEN => check_options(extension(rest)?, at)?,
            // RFC 8200 4.1: it is allowed only immediately after the fixed header; elsewhere its
            // number counts as unknown (RFC 8200 4).
            HOP_BY_HOP => {
                let error = ParseError::ExtensionHeaders;
                return Err(Refusal::told(error, UNKNOWN_NEXT_HEADER, named_at));
            }
            DESTINATION_OPTIONS => check_options(extension(rest)?, at)?,
            ROUTING => check_routing(extension(rest)?, at)?,
            FRAGMENT => {
                let header = rest
                    .first_chunk::<FRAGMENT_HEADER_LEN>()
                    .ok_or(ParseError::Truncated)?;
                let field = header.be16::<2>();
                let fragment = Fragment {
                    id: header.be32::<4>(),
                    offset: field & !0b111,
                    more: field & 1 != 0,
                };
                if fragment.more || fragment.offset != 0 {
                    return Ok(Upper {
                        protocol: header[0],
                        named_at: at,
                        header_len: at.saturating_add(header.len()),
                        fragment: Some(fragment),
                    });
                }
                header
            }
            protocol => {
                return Ok(Upper {
                    protocol,
                    named_at,
                    header_len: at,
                    fragment: None,
                });
            }
        };
        let Some(([following, ..], after)) = rest.split_at_checked(header.len()) else {
            return Err(ParseError::Truncated.into());
        };
        (next, rest) = (*following, after);
        (at, named_at) = (at.saturating_add(header.len()), at);
    }
    Err(ParseError::ExtensionHeaders.into())
}

/// The extension header at the beginning of `rest`, in the layout that all extension headers except
/// the fragment header share.
fn extension(rest: &[u8]) -> Result<&[u8], ParseError> {
    let [_, len, ..] = rest else {
        return Err(ParseError::Truncated);
    };
    // In units of eight bytes, not counting the first eight.
    rest.get(..(usize::from(*len) * 8).saturating_add(8))
        .ok_or(ParseError::Truncated)
}

/// RFC 8200 4.4: a routing header without segments left is skipped, whatever its type; a host never
/// forwards (RFC 5095 3). `at` is its offset in the packet.
fn check_routing(extension: &[u8], at: usize) -> Result<&[u8], Refusal> {
    match extension {
        [_, _, _, 0, ..] => Ok(extension),
        _ => {
            let error = ParseError::RoutingHeader;
            Err(Refusal::told(error, ERRONEOUS_FIELD, at.saturating_add(2)))
        }
    }
}

/// Skips the options of a hop-by-hop or destination header, none of which concerns a host that runs
/// TCP, unless an option forbids that (RFC 8200 4.2). `at` is the offset of the header in the
/// packet.
fn check_options(extension: &[u8], at: usize) -> Result<&[u8], Refusal> {
    let mut options = extension.get(2..).unwrap_or_default();
    while let [kind, rest @ ..] = options {
        options = match (*kind, rest) {
            (0, rest) => rest,
            // The upper two bits tell how to handle an unknown kind: 00 skips it, 01 drops the
            // packet, 10 and 11 also send an error to its source.
            (kind, _) if kind >> 6 == 1 => return Err(ParseError::UnknownOption.into()),
            (kind, _) if kind >> 6 != 0 => {
                let passed = extension.len().saturating_sub(options.len());
                let error = ParseError::UnknownOption;
                return Err(Refusal::told(
                    error,
                    UNKNOWN_OPTION,
                    at.saturating_add(passed),
                ));
            }
            (_, [len, data @ ..]) => data
                .get(usize::from(*len)..)
                .ok_or(ParseError::OptionLength)?,
            (_, []) => return Err(ParseError::OptionLength.into()),
        };
    }
    Ok(extension)
}

/// Writes `header` to the first bytes of `buf`.
pub(crate) fn emit(
    header: &Header,
    payload_len: u16,
    src: Ipv6Addr,
    dst: Ipv6Addr,
    buf: &mut [u8],
) {
    let (out, _) = room::<HEADER_LEN>(buf);
    out.put::<0, 4>((6 << 28 | u32::from(header.tos) << 20).to_be_bytes());
    out.put::<PAYLOAD_LENGTH_AT, 2>(payload_len.to_be_bytes());
    out[6] = header.protocol;
    out[7] = header.hop_limit;
    out.put::<8, 16>(src.octets());
    out.put::<24, 16>(dst.octets());
}

/// Writes a fragment header (RFC 8200 4.5) to the first bytes of `buf`; `protocol` follows it.
pub(crate) fn emit_fragment_header(protocol: u8, fragment: Fragment, buf: &mut [u8]) {
    let (out, _) = room::<FRAGMENT_HEADER_LEN>(buf);
    out.put::<0, 2>([protocol, 0]);
    let field = (fragment.offset & !0b111) | u16::from(fragment.more);
    out.put::<2, 2>(field.to_be_bytes());
    out.put::<4, 4>(fragment.id.to_be_bytes());
}
