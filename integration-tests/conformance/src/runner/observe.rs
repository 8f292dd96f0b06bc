//! Converts the stack's packets from bytes to the notation of scripts.

use millstream_wire::icmp::Message;
use millstream_wire::tcp::{Flags, TcpOption, View};
use millstream_wire::{ip, tcp};

use super::inject::{PING_ID, PING_LEN, PING_SEQ};
use super::mapping::{Flow, stream_bytes};
use crate::script::{Icmp, IpPart, Segment, TcpOpt};
use crate::target::Time;

/// A packet from the stack.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    pub(super) at: Time,
    pub(super) bytes: Vec<u8>,
    /// Its flow, as an index into the runner's list.
    pub(super) flow: Option<usize>,
    /// Whether it is a retransmission.
    pub(super) again: bool,
    pub(super) what: Content,
}

/// The contents of a packet.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// A complete segment with a correct checksum, and its numbers on the wire.
    Tcp(IpPart, WireSegment),
    /// A correct reply to an echo request.
    Pong,
    /// Another packet, with the reason why it is neither.
    Other(String),
}

/// A segment before the conversion of its numbers.
#[derive(Clone, Debug)]
pub(super) struct WireSegment {
    pub(super) seq: u32,
    pub(super) header_options_len: usize,
    pub(super) payload: Vec<u8>,
    /// Flags, window and other fields; sequence numbers as on the wire.
    raw: Segment,
}

impl Observed {
    /// Parses a packet, which must be well-formed.
    pub(super) fn read(at: Time, bytes: Vec<u8>, flows: &[Flow]) -> Self {
        let (flow, what) = match read(&bytes, flows) {
            Ok(found) => found,
            Err(reason) => (None, Content::Other(reason)),
        };
        Self {
            at,
            bytes,
            flow,
            again: false,
            what,
        }
    }

    /// The packet in the script's notation.
    pub(super) fn describe(&self, flows: &[Flow]) -> String {
        match (&self.what, self.flow) {
            (Content::Tcp(ip, segment), Some(flow)) => {
                let ecn = if ip.ecn == Some(ip::Ecn::NotEct) {
                    None
                } else {
                    ip.ecn
                };
                let shown = IpPart {
                    ecn,
                    ..IpPart::default()
                };
                format!("{shown}{}", segment.in_script(&flows[flow]))
            }
            (Content::Tcp(_, segment), None) => format!("{} (of no known flow)", segment.raw),
            (Content::Pong, _) => "icmp echo_reply".to_owned(),
            (Content::Other(reason), _) => reason.clone(),
        }
    }
}

fn read(bytes: &[u8], flows: &[Flow]) -> Result<(Option<usize>, Content), String> {
    let packet = ip::Packet::parse(bytes).map_err(|e| format!("a malformed IP packet ({e})"))?;
    if packet.protocol() != ip::TCP {
        return read_icmp(&packet).map(|what| (None, what));
    }
    let view = View::parse(packet.payload()).map_err(|e| format!("a malformed segment ({e})"))?;
    if !view.checksum_ok(packet.src(), packet.dst()) {
        return Err("a segment with a wrong checksum".to_owned());
    }
    let flow = flows.iter().rposition(|flow| {
        flow.local.ip() == packet.src()
            && flow.remote.ip() == packet.dst()
            && flow.local.port() == view.src_port()
            && flow.remote.port() == view.dst_port()
    });
    let ip_part = IpPart {
        ecn: Some(packet.ecn()),
        tos: Some(packet.tos()),
        ttl: Some(packet.hop_limit()),
        port: Some(view.dst_port()),
    };
    let segment = WireSegment {
        seq: view.seq().raw(),
        header_options_len: view.options_bytes().len(),
        payload: view.payload().to_vec(),
        raw: raw_segment(&view)?,
    };
    Ok((flow, Content::Tcp(ip_part, segment)))
}

fn read_icmp(packet: &ip::Packet<'_>) -> Result<Content, String> {
    match Message::parse(packet) {
        Ok(Message::EchoReply { ident, seq, data }) => {
            let right =
                ident == PING_ID && seq == PING_SEQ && data == stream_bytes(0, PING_LEN).as_slice();
            if right {
                Ok(Content::Pong)
            } else {
                Err("an echo reply with other contents than the request".to_owned())
            }
        }
        _ => Err(format!("another packet: {packet}")),
    }
}

fn raw_segment(view: &View<'_>) -> Result<Segment, String> {
    let flags = view.flags();
    let mut options = Vec::new();
    for option in view.options() {
        options.push(match option {
            Ok(TcpOption::Mss(mss)) => TcpOpt::Mss(mss),
            Ok(TcpOption::WindowScale(shift)) => TcpOpt::WindowScale(shift),
            Ok(TcpOption::SackPermitted) => TcpOpt::SackPermitted,
            Ok(TcpOption::Nop) => TcpOpt::Nop,
            Ok(TcpOption::End) => TcpOpt::Eol,
            Ok(TcpOption::Timestamps(tcp::Timestamps { value, echo })) => TcpOpt::Timestamps {
                val: Some(value),
                ecr: Some(echo),
            },
            Ok(TcpOption::Sack(blocks)) => {
                let edges = blocks.as_slice().iter();
                TcpOpt::Sack(edges.map(|b| (b.left.raw(), b.right.raw())).collect())
            }
            Ok(other) => TcpOpt::Other(format!("{other:?}")),
            Err(error) => return Err(format!("a segment with bad options ({error})")),
        });
    }
    Ok(Segment {
        flags,
        ae: view.reserved() & 1 != 0,
        seq: Some(view.seq().raw()),
        len: view.payload().len() as u32,
        ack: flags.contains(Flags::ACK).then(|| view.ack().raw()),
        win: Some(view.window()),
        urg: flags.contains(Flags::URG).then(|| view.urgent()),
        options: Some(options),
    })
}

impl WireSegment {
    /// The control bits.
    pub(super) fn flags(&self) -> Flags {
        self.raw.flags
    }

    /// The length in sequence space: payload, SYN and FIN.
    pub(super) fn sequence_len(&self) -> u32 {
        let flags = self.raw.flags;
        let bits = [Flags::SYN, Flags::FIN].map(|flag| u32::from(flags.contains(flag)));
        self.raw.len + bits.iter().sum::<u32>()
    }

    /// The stack's timestamp.
    pub(super) fn timestamp(&self) -> Option<u32> {
        let options = self.raw.options.as_deref().unwrap_or_default();
        options.iter().find_map(|option| match option {
            TcpOpt::Timestamps { val, .. } => *val,
            _ => None,
        })
    }

    /// Whether it is a pure acknowledgment.
    pub(super) fn is_pure_ack(&self) -> bool {
        self.raw.flags == Flags::ACK && self.payload.is_empty()
    }

    /// The segment in the numbers of the script.
    pub(super) fn in_script(&self, flow: &Flow) -> Segment {
        let raw = &self.raw;
        // A reset in reply to a segment without ACK carries 0, independent of the flow's numbers.
        let reset_from_nowhere = raw.flags.contains(Flags::RST | Flags::ACK) && self.seq == 0;
        let seq = if reset_from_nowhere {
            0
        } else {
            flow.local_to_script(self.seq)
        };
        let options = raw.options.as_deref().unwrap_or_default().iter();
        let options = options.map(|option| match option {
            TcpOpt::Sack(blocks) => {
                let map = |edge| flow.peer_to_script(edge);
                TcpOpt::Sack(blocks.iter().map(|&(l, r)| (map(l), map(r))).collect())
            }
            TcpOpt::Timestamps { val, ecr } => TcpOpt::Timestamps {
                val: val.map(|val| flow.timestamp_to_script(val).unwrap_or(val)),
                ecr: *ecr,
            },
            other => other.clone(),
        });
        Segment {
            seq: Some(seq),
            ack: raw.ack.map(|ack| flow.peer_to_script(ack)),
            options: Some(options.collect()),
            ..raw.clone()
        }
    }
}

/// Whether a script's ICMP message is an echo reply.
pub(super) fn is_pong(message: &Icmp) -> bool {
    message.kind == "echo_reply"
}
