//! Builds the peer's packets from lines of the script.

use std::net::SocketAddr;

use bytes::Bytes;
use millstream_wire::SeqNum;
use millstream_wire::checksum;
use millstream_wire::icmp::{self, ErrorKind, Unreachable};
use millstream_wire::ip;
use millstream_wire::tcp::{Flags, Header, MIN_HEADER_LEN, SackBlocks};

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
    let header_len = MIN_HEADER_LEN + options.len();
    let mut bytes = vec![0; MIN_HEADER_LEN];
    header.emit(&mut bytes);
    bytes[12] = (header_len as u8 / 4) << 4 | u8::from(segment.ae);
    bytes.extend_from_slice(&options);
    let len = (header_len + payload.len()) as u32;
    let mut sum = checksum::pseudo_header(flow.remote.ip(), flow.local.ip(), ip::TCP, len);
    sum.add(&payload);
    Header::fill_checksum(&mut bytes, sum);
    bytes.extend_from_slice(&payload);
    Ok(packet(flow.remote, flow.local, ip::TCP, ip_part, &bytes))
}

/// An ICMP message: an error about one of the stack's segments, or an echo request.
pub(super) fn message(flow: &Flow, ip_part: IpPart, message: &Icmp) -> Result<Bytes, Stop> {
    let (peer, own) = (flow.remote.ip(), flow.local.ip());
    let mut header = [0; icmp::HEADER_LEN];
    let mut bytes = Vec::new();
    if message.kind == "echo_request" {
        let data = stream_bytes(0, PING_LEN);
        icmp::emit_echo_request(&mut header, peer, own, PING_ID, PING_SEQ, &data);
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&data);
    } else {
        let kind = error_kind(message)
            .ok_or_else(|| Stop::skipped(format!("{message} is not a message known here")))?;
        // By default the error refers to the last segment of the stack.
        let (seq, len) = message.quoted.unwrap_or_else(|| flow.last_sent());
        let quote = quoted(flow, seq, len);
        if !icmp::emit_error(&mut header, peer, own, kind, &quote) {
            return Err(Stop::skipped(format!(
                "{message} does not exist in this family"
            )));
        }
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&quote);
    }
    let protocol = if peer.is_ipv4() { ip::ICMP } else { ip::ICMPV6 };
    Ok(packet(flow.remote, flow.local, protocol, ip_part, &bytes))
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
    let ip_header = ip::Header {
        payload_len: MIN_HEADER_LEN + len.min(MAX_PAYLOAD) as usize,
        ..ip::Header::new(flow.local.ip(), flow.remote.ip(), ip::TCP)
    };
    let mut bytes = vec![0; ip_header.len() + MIN_HEADER_LEN];
    ip_header.emit(&mut bytes);
    header.emit(&mut bytes[ip_header.len()..]);
    bytes
}

fn packet(
    from: SocketAddr,
    to: SocketAddr,
    protocol: u8,
    ip_part: IpPart,
    payload: &[u8],
) -> Bytes {
    let tos = ip_part.tos.unwrap_or_default();
    let header = ip::Header {
        tos: ip_part.ecn.map_or(tos, |ecn| ecn.apply(tos)),
        hop_limit: ip_part.ttl.unwrap_or(64),
        payload_len: payload.len(),
        ..ip::Header::new(from.ip(), to.ip(), protocol)
    };
    let mut bytes = vec![0; header.len()];
    header.emit(&mut bytes);
    bytes.extend_from_slice(payload);
    bytes.into()
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
