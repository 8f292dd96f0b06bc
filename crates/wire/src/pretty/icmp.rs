//! ICMP messages.

use std::fmt::{self, Formatter};

use crate::icmp::{Error, ErrorKind, Message, Quoted, Unreachable};
use crate::{ParseError, ip};

pub(super) fn fmt(packet: &ip::Packet<'_>, f: &mut Formatter<'_>) -> fmt::Result {
    let (src, dst, len) = (packet.src(), packet.dst(), packet.payload_len());
    let (name, separator) = match packet {
        ip::Packet::V4(_) => ("ICMP", ""),
        ip::Packet::V6(_) => ("ICMP6", ","),
    };
    write!(f, "{src} > {dst}: {name}{separator} ")?;
    if packet.payload().len() < len {
        return f.write_str("[|icmp]");
    }
    match Message::parse(packet) {
        Ok(Message::EchoRequest { ident, seq, .. }) => {
            write!(f, "echo request, id {ident}, seq {seq}")?;
        }
        Ok(Message::EchoReply { ident, seq, .. }) => {
            write!(f, "echo reply, id {ident}, seq {seq}")?;
        }
        Ok(Message::Error(error)) => match packet {
            ip::Packet::V4(_) => error_v4(&error, f)?,
            ip::Packet::V6(_) => error_v6(&error, f)?,
        },
        Ok(Message::Other { kind, .. }) => write!(f, "type-#{kind}")?,
        Err(ParseError::Checksum) => f.write_str("(wrong icmp cksum)")?,
        Err(_) => return f.write_str("[|icmp]"),
    }
    write!(f, ", length {len}")
}

fn error_v4(error: &Error<'_>, f: &mut Formatter<'_>) -> fmt::Result {
    let host = Host(error.quoted);
    match error.kind {
        ErrorKind::Unreachable(reason) => unreachable_v4(reason, error.quoted, f),
        ErrorKind::PacketTooBig { mtu: 0 } => write!(f, "{host} unreachable - need to frag"),
        ErrorKind::PacketTooBig { mtu } => {
            write!(f, "{host} unreachable - need to frag (mtu {mtu})")
        }
        ErrorKind::TimeExceeded { code: 0 } => f.write_str("time exceeded in-transit"),
        ErrorKind::TimeExceeded { code: 1 } => f.write_str("ip reassembly time exceeded"),
        ErrorKind::TimeExceeded { code } => write!(f, "time exceeded-#{code}"),
        ErrorKind::ParameterProblem { code: 0, pointer } => {
            write!(f, "parameter problem - octet {pointer}")
        }
        ErrorKind::ParameterProblem { code, .. } => write!(f, "parameter problem - code {code}"),
        ErrorKind::SourceQuench => f.write_str("source quench"),
        ErrorKind::Redirect => write!(f, "redirect {host}"),
    }
}

fn unreachable_v4(reason: Unreachable, quoted: &[u8], f: &mut Formatter<'_>) -> fmt::Result {
    let host = Host(quoted);
    match reason {
        Unreachable::Network => write!(f, "net {host} unreachable"),
        Unreachable::Protocol => write!(f, "{host} protocol {} unreachable", Protocol(quoted)),
        Unreachable::Port => write!(f, "{} unreachable", Port(quoted)),
        Unreachable::SourceRouteFailed => write!(f, "{host} unreachable - source route failed"),
        Unreachable::NetworkUnknown => write!(f, "net {host} unreachable - unknown"),
        Unreachable::HostUnknown => write!(f, "host {host} unreachable - unknown"),
        Unreachable::SourceIsolated => write!(f, "{host} unreachable - source host isolated"),
        Unreachable::NetworkProhibited => write!(f, "net {host} unreachable - admin prohibited"),
        Unreachable::HostProhibited => write!(f, "host {host} unreachable - admin prohibited"),
        Unreachable::NetworkForTos => write!(f, "net {host} unreachable - tos prohibited"),
        Unreachable::HostForTos => write!(f, "host {host} unreachable - tos prohibited"),
        Unreachable::Prohibited => write!(f, "host {host} unreachable - admin prohibited filter"),
        Unreachable::PrecedenceViolation => {
            write!(f, "host {host} unreachable - host precedence violation")
        }
        Unreachable::PrecedenceCutoff => write!(f, "host {host} unreachable - precedence cutoff"),
        Unreachable::Host
        | Unreachable::BeyondScope
        | Unreachable::SourcePolicy
        | Unreachable::RejectRoute => write!(f, "host {host} unreachable"),
    }
}

fn error_v6(error: &Error<'_>, f: &mut Formatter<'_>) -> fmt::Result {
    let host = Host(error.quoted);
    match error.kind {
        ErrorKind::Unreachable(reason) => {
            f.write_str("destination unreachable, ")?;
            match reason {
                Unreachable::Network => write!(f, "unreachable route {host}"),
                Unreachable::Prohibited => write!(f, "unreachable prohibited {host}"),
                Unreachable::BeyondScope => write!(f, "beyond scope {host}"),
                Unreachable::Port => write!(f, "unreachable port, {}", Port(error.quoted)),
                Unreachable::SourcePolicy => write!(f, "source address failed policy {host}"),
                Unreachable::RejectRoute => write!(f, "reject route {host}"),
                _ => write!(f, "unreachable address {host}"),
            }
        }
        ErrorKind::PacketTooBig { mtu } => write!(f, "packet too big, mtu {mtu}"),
        ErrorKind::TimeExceeded { code: 1 } => f.write_str("time exceeded in-transit (reassembly)"),
        ErrorKind::TimeExceeded { .. } => write!(f, "time exceeded in-transit for {host}"),
        ErrorKind::ParameterProblem { code, pointer } => {
            let what = match code {
                0 => "erroneous",
                1 => "next header",
                2 => "option",
                _ => "unknown code",
            };
            write!(f, "parameter problem, {what} - octet {pointer}")
        }
        ErrorKind::SourceQuench | ErrorKind::Redirect => f.write_str("not ICMPv6"),
    }
}

/// The destination of the quoted packet.
struct Host<'a>(&'a [u8]);

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match ip::Packet::parse_truncated(self.0) {
            Ok(packet) => packet.dst().fmt(f),
            Err(_) => f.write_str("[|ip]"),
        }
    }
}

/// The protocol of the quoted packet.
struct Protocol<'a>(&'a [u8]);

impl fmt::Display for Protocol<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match ip::Packet::parse_truncated(self.0) {
            Ok(packet) => packet.protocol().fmt(f),
            Err(_) => f.write_str("[|ip]"),
        }
    }
}

/// The destination of the quoted packet with its port.
struct Port<'a>(&'a [u8]);

impl fmt::Display for Port<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match Quoted::parse(self.0) {
            Ok(quoted) => {
                let (dst, port) = (quoted.dst, quoted.dst_port);
                match quoted.protocol {
                    ip::TCP => write!(f, "{dst} tcp port {port}"),
                    ip::UDP => write!(f, "{dst} udp port {port}"),
                    protocol => write!(f, "{dst} protocol {protocol} port {port}"),
                }
            }
            Err(_) => f.write_str("[|ip]"),
        }
    }
}
