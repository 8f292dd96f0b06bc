//! ICMP of both families (RFC 792, RFC 4443): [`Message`] to read, `emit_*` to write.
//!
//! The two families express the same meanings with different numbers; [`ErrorKind`] is the meaning,
//! and the numbers are confined to `kind.rs`.

mod emit;
mod kind;
mod quoted;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv6Addr};

pub use emit::{MAX_QUOTED_V4, MAX_QUOTED_V6, emit_echo_reply, emit_echo_request, emit_error};
pub use kind::{ErrorKind, Unreachable};
pub use quoted::Quoted;

use crate::checksum::{self, Sum};
use crate::field::Fields;
use crate::{ParseError, ip};

/// Length in bytes of the header that all messages here have.
pub const HEADER_LEN: usize = 8;

/// A checked ICMP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A request to be answered with the same identifier, sequence number and data.
    EchoRequest {
        /// Distinguishes the requests of different programs.
        ident: u16,
        /// The sequence number of the request.
        seq: u16,
        /// The data to be returned.
        data: &'a [u8],
    },
    /// The answer to an echo request.
    EchoReply {
        /// The request's identifier.
        ident: u16,
        /// The request's sequence number.
        seq: u16,
        /// The request's data.
        data: &'a [u8],
    },
    /// An error that a packet caused.
    Error(Error<'a>),
    /// Any other message, including neighbour discovery and multicast.
    Other {
        /// The type byte.
        kind: u8,
        /// The code byte.
        code: u8,
    },
}

/// An error message: the error, and the packet that caused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error<'a> {
    /// The error.
    pub kind: ErrorKind,
    /// The beginning of the packet that caused it; [`Quoted::parse`] reads it.
    pub quoted: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads the payload of `packet`, of the family of the packet. Fragments must be reassembled
    /// first.
    ///
    /// # Errors
    /// As [`parse_v4`](Self::parse_v4).
    pub fn parse(packet: &ip::Packet<'a>) -> Result<Self, ParseError> {
        match packet {
            ip::Packet::V4(view) => Self::parse_v4(view.payload()),
            ip::Packet::V6(view) => Self::parse_v6(view.src(), view.dst(), view.payload()),
        }
    }

    /// Reads an ICMPv4 message, the payload of an IPv4 packet.
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated) below 8 bytes, [`Checksum`](ParseError::Checksum).
    pub fn parse_v4(message: &'a [u8]) -> Result<Self, ParseError> {
        let (header, body) = message
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(ParseError::Truncated)?;
        let mut sum = Sum::new();
        sum.add(message);
        verify(sum)?;
        Ok(match header[0] {
            8 => echo_request(header, body),
            0 => echo_reply(header, body),
            _ => error(
                header,
                body,
                ErrorKind::from_v4(header[0], header[1], header.be32::<4>()),
            ),
        })
    }

    /// Reads an ICMPv6 message, the payload of an IPv6 packet from `src` to `dst`.
    ///
    /// # Errors
    /// As [`parse_v4`](Self::parse_v4).
    pub fn parse_v6(src: Ipv6Addr, dst: Ipv6Addr, message: &'a [u8]) -> Result<Self, ParseError> {
        let (header, body) = message
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(ParseError::Truncated)?;
        let (src, dst) = (IpAddr::V6(src), IpAddr::V6(dst));
        let mut sum = checksum::pseudo_header(src, dst, ip::ICMPV6, message.len() as u32);
        sum.add(message);
        verify(sum)?;
        Ok(match header[0] {
            128 => echo_request(header, body),
            129 => echo_reply(header, body),
            _ => error(
                header,
                body,
                ErrorKind::from_v6(header[0], header[1], header.be32::<4>()),
            ),
        })
    }
}

fn verify(sum: Sum) -> Result<(), ParseError> {
    if checksum::is_valid(sum) {
        Ok(())
    } else {
        Err(ParseError::Checksum)
    }
}

fn echo_request<'a>(header: &[u8; HEADER_LEN], data: &'a [u8]) -> Message<'a> {
    Message::EchoRequest {
        ident: header.be16::<4>(),
        seq: header.be16::<6>(),
        data,
    }
}

fn echo_reply<'a>(header: &[u8; HEADER_LEN], data: &'a [u8]) -> Message<'a> {
    Message::EchoReply {
        ident: header.be16::<4>(),
        seq: header.be16::<6>(),
        data,
    }
}

fn error<'a>(header: &[u8; HEADER_LEN], quoted: &'a [u8], kind: Option<ErrorKind>) -> Message<'a> {
    match kind {
        Some(kind) => Message::Error(Error { kind, quoted }),
        None => Message::Other {
            kind: header[0],
            code: header[1],
        },
    }
}
