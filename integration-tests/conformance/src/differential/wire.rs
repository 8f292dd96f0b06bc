//! Converts segments between bytes and numbers relative to the initial sequence numbers.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use millstream_testbed::packet;
use millstream_wire::tcp::{Flags, Header, Options, TcpOption, View};
use millstream_wire::{SeqNum, ip};

use crate::script::{Segment, TcpOpt};

/// Both ends of a conversation, and their initial sequence numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) stack: SocketAddr,
    pub(super) peer: SocketAddr,
    pub(super) peer_isn: u32,
    /// Zero until the stack has sent its SYN.
    pub(super) stack_isn: u32,
}

/// The peer's segment as a packet.
pub(super) fn packet(flow: &Flow, segment: &Segment) -> Bytes {
    let options = options(flow, segment.options.as_deref().unwrap_or_default());
    let header = Header {
        src_port: flow.peer.port(),
        dst_port: flow.stack.port(),
        seq: SeqNum::new(flow.peer_isn.wrapping_add(segment.seq.unwrap_or_default())),
        ack: SeqNum::new(
            segment
                .ack
                .map_or(0, |ack| flow.stack_isn.wrapping_add(ack)),
        ),
        flags: segment.flags,
        window: segment.win.unwrap_or_default(),
        urgent: segment.urg.unwrap_or_default(),
        options: Options::default(),
    };
    let around = ip::Header::new(flow.peer.ip(), flow.stack.ip(), ip::TCP);
    let payload = vec![b'.'; segment.len as usize];
    packet::tcp_raw(around, &packet::tcp_header(&header, &options), &payload).into()
}

fn options(flow: &Flow, options: &[TcpOpt]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for option in options {
        match option {
            TcpOpt::Mss(mss) => {
                bytes.extend([2, 4]);
                bytes.extend(mss.to_be_bytes());
            }
            TcpOpt::WindowScale(shift) => bytes.extend([3, 3, *shift]),
            TcpOpt::SackPermitted => bytes.extend([4, 2]),
            TcpOpt::Timestamps { val, ecr } => {
                bytes.extend([8, 10]);
                bytes.extend(val.unwrap_or_default().to_be_bytes());
                bytes.extend(ecr.unwrap_or_default().to_be_bytes());
            }
            TcpOpt::Sack(blocks) => {
                bytes.extend([5, 2 + 8 * blocks.len() as u8]);
                for edge in blocks.iter().flat_map(|(left, right)| [left, right]) {
                    bytes.extend(flow.stack_isn.wrapping_add(*edge).to_be_bytes());
                }
            }
            // An unassigned option kind.
            _ => bytes.extend([253, 4, 0xAB, 0xCD]),
        }
    }
    bytes.resize(bytes.len().next_multiple_of(4), 1);
    bytes
}

/// Parses a packet from the stack, and returns its segment and timestamp; `None` if it belongs to
/// another conversation.
pub(super) fn read(flow: &mut Flow, bytes: &[u8]) -> Result<Option<(Segment, Option<u32>)>> {
    let packet = ip::Packet::parse(bytes)?;
    if packet.protocol() != ip::TCP {
        return Ok(None);
    }
    let view = View::parse(packet.payload())?;
    let ports = (view.src_port(), view.dst_port());
    if ports != (flow.stack.port(), flow.peer.port()) {
        return Ok(None);
    }
    let flags = view.flags();
    if flags.contains(Flags::SYN) {
        flow.stack_isn = view.seq().raw();
    }
    let relative = |seq: SeqNum, isn: u32| seq.raw().wrapping_sub(isn);
    let mut stamp = None;
    let mut options = Vec::new();
    for option in view.options() {
        options.push(match option.context("a malformed option")? {
            TcpOption::Mss(mss) => TcpOpt::Mss(mss),
            TcpOption::WindowScale(shift) => TcpOpt::WindowScale(shift),
            TcpOption::SackPermitted => TcpOpt::SackPermitted,
            TcpOption::Timestamps(it) => {
                stamp = Some(it.value);
                TcpOpt::Timestamps {
                    val: None,
                    ecr: Some(it.echo),
                }
            }
            TcpOption::Sack(blocks) => {
                let edge = |seq| relative(seq, flow.peer_isn);
                let blocks = blocks.as_slice().iter();
                TcpOpt::Sack(blocks.map(|it| (edge(it.left), edge(it.right))).collect())
            }
            TcpOption::Nop | TcpOption::End => continue,
            other => TcpOpt::Other(format!("{other:?}")),
        });
    }
    let segment = Segment {
        flags,
        ae: false,
        // A reset in reply to a segment without an acknowledgment has number zero, whatever the
        // initial one is.
        seq: Some(match view.seq().raw() {
            0 if flags.contains(Flags::RST) => 0,
            _ => relative(view.seq(), flow.stack_isn),
        }),
        len: view.payload().len() as u32,
        ack: flags
            .contains(Flags::ACK)
            .then(|| relative(view.ack(), flow.peer_isn)),
        win: Some(view.window()),
        urg: flags.contains(Flags::URG).then(|| view.urgent()),
        options: Some(options),
    };
    Ok(Some((segment, stamp)))
}
