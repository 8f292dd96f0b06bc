//! Builds the peer's packets from lines of the script.

use bytes::Bytes;
use millstream_testbed::packet;
use millstream_wire::SeqNum;
use millstream_wire::icmp::{ErrorKind, Unreachable};
use millstream_wire::ip;
use millstream_wire::tcp::{Flags, Header, SackBlocks};

use super::mapping::{Flow, stream_bytes};
use super::outcome::Stop;
use crate::script::{Icmp, IpPart, Segment, TcpOpt};

/// Payload of the largest IP packet with the longest headers.
const MAX_PAYLOAD: u32 = 65_535 - 60 - 60;

/// A segment from the peer.
pub(super) fn segment(flow: &Flow, ip_part: IpPart, segment: &Segment) -> Result<Bytes, Stop> {
    if segment.len > MAX_PAYLOAD {
        return Err(Stop::skipped("a segment that no IP packet can carry"));
    }
    let seq = segment.seq.unwrap_or_default();
    let offset = flow.peer_offset(seq, segment.flags);
    let payload = stream_bytes(offset, segment.len as usize);
    let options = options(flow, segment.options.as_deref().unwrap_or_default())?;
    let header = Header {
        src_port: flow.remote.port(),
        dst_port: flow.local.port(),
        seq: SeqNum::new(flow.peer_to_wire(seq)),
        ack: SeqNum::new(segment.ack.map_or(0, |ack| flow.local_to_wire(ack))),
        flags: segment.flags,
        window: segment.win.unwrap_or_default(),
        urgent: segment.urg.unwrap_or_default(),
        options: Default::default(),
    };
    let mut header = packet::tcp_header(&header, &options);
    header[12] |= u8::from(segment.ae);
    let around = around(flow, ip::TCP, ip_part);
    Ok(packet::tcp_raw(around, &header, &payload).into())
}

/// An ICMP message: an error about one of the stack's segments, or an echo request.
pub(super) fn message(flow: &Flow, ip_part: IpPart, message: &Icmp) -> Result<Bytes, Stop> {
    let (peer, own) = (flow.remote.ip(), flow.local.ip());
    let message = if message.kind == "echo_request" {
        let data = stream_bytes(0, PING_LEN);
        packet::echo_message(peer, own, PING_ID, PING_SEQ, &data)
    } else {
        let kind = error_kind(message)
            .ok_or_else(|| Stop::skipped(format!("{message} is not a message known here")))?;
        // By default the error refers to the last segment of the stack.
        let (seq, len) = message.quoted.unwrap_or_else(|| flow.last_sent());
        packet::error_message(peer, own, kind, &quoted(flow, seq, len))
            .ok_or_else(|| Stop::skipped(format!("{message} does not exist in this family")))?
    };
    let around = around(flow, packet::icmp_of(peer), ip_part);
    Ok(packet::ip(around, &message).into())
}

/// Identifier, number and length of an echo request, which the reply must repeat.
pub(super) const PING_ID: u16 = 0x1234;
/// See [`PING_ID`].
pub(super) const PING_SEQ: u16 = 1;
/// See [`PING_ID`].
pub(super) const PING_LEN: usize = 56;

/// The part of the stack's segment that a router quotes: its headers and some bytes.
fn quoted(flow: &Flow, seq: u32, len: u32) -> Vec<u8> {
    let header = Header {
        src_port: flow.local.port(),
        dst_port: flow.remote.port(),
        seq: SeqNum::new(flow.local_to_wire(seq)),
        flags: Flags::ACK,
        ..Header::default()
    };
    let payload = vec![0; len.min(MAX_PAYLOAD) as usize];
    let mut bytes = packet::tcp(flow.local.ip(), flow.remote.ip(), &header, &payload);
    bytes.truncate(bytes.len() - payload.len());
    bytes
}

/// The header of a packet from the peer with the properties that the script names.
fn around(flow: &Flow, protocol: u8, ip_part: IpPart) -> ip::Header {
    let tos = ip_part.tos.unwrap_or_default();
    ip::Header {
        tos: ip_part.ecn.map_or(tos, |ecn| ecn.apply(tos)),
        hop_limit: ip_part.ttl.unwrap_or(64),
        ..ip::Header::new(flow.remote.ip(), flow.local.ip(), protocol)
    }
}

/// The options in the order of the script, padded to a multiple of four bytes.
fn options(flow: &Flow, options: &[TcpOpt]) -> Result<Vec<u8>, Stop> {
    let mut bytes = Vec::new();
    for option in options {
        match option {
            TcpOpt::Mss(mss) => {
                bytes.extend([2, 4]);
                bytes.extend(mss.to_be_bytes());
            }
            TcpOpt::WindowScale(shift) => bytes.extend([3, 3, *shift]),
            TcpOpt::SackPermitted => bytes.extend([4, 2]),
            TcpOpt::Nop => bytes.push(1),
            TcpOpt::Eol => bytes.push(0),
            TcpOpt::Timestamps { val, ecr } => {
                let val = val.ok_or_else(|| {
                    Stop::skipped("a timestamp that the peer sends needs its value")
                })?;
                bytes.extend([8, 10]);
                bytes.extend(val.to_be_bytes());
                bytes.extend(flow.echo_to_wire(ecr.unwrap_or_default()).to_be_bytes());
            }
            TcpOpt::Sack(blocks) => {
                if blocks.len() > SackBlocks::MAX {
                    return Err(Stop::skipped("more options than a header has room for"));
                }
                bytes.extend([5, 2 + 8 * blocks.len() as u8]);
                for (left, right) in blocks {
                    bytes.extend(flow.local_to_wire(*left).to_be_bytes());
                    bytes.extend(flow.local_to_wire(*right).to_be_bytes());
                }
            }
            TcpOpt::Other(text) => {
                let reason = || Stop::skipped(format!("the TCP option {text} is not supported"));
                bytes.extend(fast_open(text).ok_or_else(reason)?);
            }
        }
    }
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    if bytes.len() > 40 {
        return Err(Stop::skipped("more options than a header has room for"));
    }
    Ok(bytes)
}

/// Parses `FO cookie`, or `FO` alone, which requests a cookie (RFC 7413).
fn fast_open(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("FO")?.trim();
    let cookie: Option<Vec<u8>> = (0..digits.len().div_ceil(2))
        .map(|at| u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok())
        .collect();
    let cookie = cookie.filter(|cookie| cookie.len() <= 16)?;
    Some([&[34, 2 + cookie.len() as u8], cookie.as_slice()].concat())
}

fn error_kind(message: &Icmp) -> Option<ErrorKind> {
    Some(match (message.kind.as_str(), message.code.as_str()) {
        ("unreachable" | "packet_too_big", "frag_needed" | "packet_too_big" | "") => {
            ErrorKind::PacketTooBig { mtu: message.mtu? }
        }
        ("unreachable", code) => ErrorKind::Unreachable(match code {
            "net_unreachable" | "code_0" => Unreachable::Network,
            "host_unreachable" | "addr_unreachable" => Unreachable::Host,
            "protocol_unreachable" => Unreachable::Protocol,
            "port_unreachable" => Unreachable::Port,
            "source_route_failed" => Unreachable::SourceRouteFailed,
            "net_unknown" => Unreachable::NetworkUnknown,
            "host_unknown" => Unreachable::HostUnknown,
            "source_host_isolated" => Unreachable::SourceIsolated,
            "net_prohibited" => Unreachable::NetworkProhibited,
            "host_prohibited" => Unreachable::HostProhibited,
            "net_unreachable_for_tos" => Unreachable::NetworkForTos,
            "host_unreachable_for_tos" => Unreachable::HostForTos,
            "comm_prohibited" | "admin_prohibited" | "packet_filtered" => Unreachable::Prohibited,
            "precedence_violation" => Unreachable::PrecedenceViolation,
            "precedence_cutoff" => Unreachable::PrecedenceCutoff,
            "not_neighbour" | "beyond_scope" => Unreachable::BeyondScope,
            "policy_fail" => Unreachable::SourcePolicy,
            "reject_route" => Unreachable::RejectRoute,
            _ => return None,
        }),
        ("source_quench", "") => ErrorKind::SourceQuench,
        ("redirect", _) => ErrorKind::Redirect,
        ("time_exceeded", "" | "exc_ttl") => ErrorKind::TimeExceeded { code: 0 },
        ("time_exceeded", "exc_fragtime") => ErrorKind::TimeExceeded { code: 1 },
        ("parameter_problem", "") => ErrorKind::ParameterProblem {
            code: 0,
            pointer: 0,
        },
        _ => return None,
    })
}
