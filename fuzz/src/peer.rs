//! A peer played by the fuzzer: it records the packets of a stack on each connection, and answers
//! with segments that fit them more or less, and with ICMP errors about them, in fragments and
//! damaged.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use millstream_testbed::packet;
use millstream_wire::icmp::{self, ErrorKind, Unreachable};
use millstream_wire::tcp::{Flags, Header, Options, SackBlock, SackBlocks, Timestamps, View};
use millstream_wire::{SeqNum, checksum, ip};

/// The number of conversations that are remembered.
const MOST: usize = 16;

/// The longest payload of a segment.
const LONGEST: usize = 60_000;

/// The last packet of a stack on one connection.
#[derive(Clone, Debug)]
struct Heard {
    /// The stack's address.
    stack: SocketAddr,
    peer: SocketAddr,
    /// The next sequence number of the stack.
    nxt: SeqNum,
    /// The sequence number that the stack expects next.
    ack: SeqNum,
    /// The stack's timestamp.
    stamp: u32,
    /// The packet itself.
    packet: Bytes,
}

/// The peers of a stack.
#[derive(Debug)]
pub struct Peers {
    heard: Vec<Heard>,
    /// The destinations of SYNs that begin a conversation.
    destinations: Vec<SocketAddr>,
    sources: Vec<IpAddr>,
}

/// Usually a small number, sometimes any number.
pub fn near(u: &mut Unstructured<'_>) -> Result<u32> {
    Ok(match u.arbitrary::<u8>()? {
        0..=127 => 0,
        255 => u.arbitrary()?,
        254 => u32::from(u.arbitrary::<u16>()?),
        small => i32::from(small.wrapping_sub(190) as i8) as u32,
    })
}

fn length(u: &mut Unstructured<'_>) -> Result<usize> {
    Ok(match u.arbitrary::<u8>()? {
        0..=79 => 0,
        80..=159 => usize::from(u.arbitrary::<u8>()?),
        160..=239 => 1000 + usize::from(u.arbitrary::<u8>()?),
        _ => usize::from(u.arbitrary::<u16>()?).min(LONGEST),
    })
}

impl Peers {
    #[must_use]
    pub fn new(destinations: Vec<SocketAddr>, sources: Vec<IpAddr>) -> Self {
        Self {
            heard: Vec::new(),
            destinations,
            sources,
        }
    }

    /// Records a packet of the stack.
    pub fn hear(&mut self, bytes: Bytes) {
        let packet = ip::Packet::parse(&bytes).expect("a packet of the stack's parses");
        if packet.protocol() != ip::TCP {
            return;
        }
        let view = View::parse(packet.payload()).expect("a segment of the stack's parses");
        let flags = view.flags();
        let taken = view.payload().len() + usize::from(flags.contains(Flags::SYN));
        let options = Options::parse(view.options_bytes());
        assert!(!options.malformed, "options of the stack's parse");
        let heard = Heard {
            stack: SocketAddr::new(packet.src(), view.src_port()),
            peer: SocketAddr::new(packet.dst(), view.dst_port()),
            nxt: view.seq() + taken as u32 + u32::from(flags.contains(Flags::FIN)),
            ack: view.ack(),
            stamp: options.timestamps.map_or(0, |t| t.value),
            packet: bytes.clone(),
        };
        let known = |other: &Heard| (other.stack, other.peer) == (heard.stack, heard.peer);
        self.heard.retain(|other| !known(other));
        if self.heard.len() >= MOST {
            self.heard.remove(0);
        }
        self.heard.push(heard);
    }

    /// A packet for the stack.
    pub fn packet(&mut self, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        match u.int_in_range(0..=15u8)? {
            0 => {
                let length = length(u)?.min(u.len());
                u.bytes(length).map(<[u8]>::to_vec)
            }
            1 => self.error(u),
            2 => self.echo(u),
            3..=6 => self.opening(u),
            _ => self.segment(u),
        }
    }

    /// A SYN, the first of a connection.
    fn opening(&mut self, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        let stack = *u.choose(&self.destinations)?;
        let alike: Vec<_> = self
            .sources
            .iter()
            .filter(|ip| ip.is_ipv4() == stack.is_ipv4())
            .collect();
        let source = **u.choose(&alike)?;
        let port = 5000 + u16::from(u.arbitrary::<u8>()? % 32);
        let header = Header {
            src_port: port,
            dst_port: stack.port(),
            seq: SeqNum::new(u32::from(port) << 16) + near(u)?,
            flags: Flags::SYN | Flags::from_bits_retain(u.arbitrary::<u8>()? & 0xC0),
            window: u.arbitrary()?,
            options: Options {
                mss: u.arbitrary()?,
                window_scale: u.arbitrary()?,
                sack_permitted: u.arbitrary()?,
                timestamps: stamps(u, 0)?,
                ..Options::default()
            },
            ..Header::default()
        };
        let length = if u.ratio(1, 8)? { length(u)? } else { 0 };
        assemble(u, source, stack.ip(), &header, length)
    }

    /// A segment of a conversation.
    fn segment(&mut self, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        if self.heard.is_empty() {
            return self.opening(u);
        }
        let heard = self.choose(u)?;
        const USUAL: [Flags; 6] = [
            Flags::ACK,
            Flags::ACK.union(Flags::PSH),
            Flags::ACK.union(Flags::SYN),
            Flags::ACK.union(Flags::FIN),
            Flags::ACK.union(Flags::ECE),
            Flags::RST,
        ];
        let flags = match u.int_in_range(0..=11usize)? {
            0..=3 => Flags::ACK,
            4..=9 => *u.choose(&USUAL)?,
            _ => Flags::from_bits_retain(u.arbitrary()?),
        };
        let ack = heard.nxt + near(u)?;
        let header = Header {
            src_port: heard.peer.port(),
            dst_port: heard.stack.port(),
            seq: heard.ack + near(u)?,
            ack,
            flags,
            window: if u.arbitrary()? {
                u16::MAX
            } else {
                u.arbitrary()?
            },
            urgent: if u.ratio(1, 8)? { u.arbitrary()? } else { 0 },
            options: Options {
                mss: if u.ratio(1, 8)? { u.arbitrary()? } else { None },
                window_scale: if u.ratio(1, 8)? { u.arbitrary()? } else { None },
                sack_permitted: flags.contains(Flags::SYN) && u.arbitrary()?,
                timestamps: stamps(u, heard.stamp)?,
                sack: blocks(u, ack)?,
                malformed: false,
            },
        };
        let length = length(u)?;
        assemble(u, heard.peer.ip(), heard.stack.ip(), &header, length)
    }

    fn choose(&self, u: &mut Unstructured<'_>) -> Result<&Heard> {
        // Usually the newest conversation.
        let back = if u.arbitrary()? {
            0
        } else {
            u.choose_index(self.heard.len())?
        };
        Ok(&self.heard[self.heard.len() - 1 - back])
    }

    /// An ICMP error about the last packet of a conversation.
    fn error(&mut self, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        if self.heard.is_empty() {
            return self.opening(u);
        }
        let heard = self.choose(u)?;
        let kinds = [
            ErrorKind::PacketTooBig { mtu: near(u)? },
            ErrorKind::PacketTooBig { mtu: 1000 },
            ErrorKind::Unreachable(Unreachable::Host),
            ErrorKind::Unreachable(Unreachable::Port),
            ErrorKind::Unreachable(Unreachable::Network),
            ErrorKind::TimeExceeded { code: 0 },
            ErrorKind::ParameterProblem {
                code: 0,
                pointer: 1,
            },
            ErrorKind::SourceQuench,
        ];
        let kind = *u.choose(&kinds)?;
        let (src, dst) = (heard.peer.ip(), heard.stack.ip());
        let mut quoted = heard.packet[..heard.packet.len().min(500)].to_vec();
        if u.ratio(1, 8)? {
            let at = u.choose_index(quoted.len())?;
            quoted[at] ^= u.arbitrary::<u8>()?;
            quoted.truncate(u.choose_index(quoted.len())? + 1);
        }
        // A family that has no such error gets a message of zeros.
        let message = packet::error_message(src, dst, kind, &quoted)
            .unwrap_or_else(|| [&[0; icmp::HEADER_LEN][..], &quoted].concat());
        let around = ip::Header::new(src, dst, packet::icmp_of(src));
        Ok(packet::ip(around, &message))
    }

    /// An echo request, or a datagram of another protocol.
    fn echo(&mut self, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        let dst = u.choose(&self.destinations)?.ip();
        let alike: Vec<_> = self
            .sources
            .iter()
            .filter(|ip| ip.is_ipv4() == dst.is_ipv4())
            .collect();
        let src = **u.choose(&alike)?;
        let data = vec![7; length(u)?];
        let message = packet::echo_message(src, dst, 1, u.arbitrary()?, &data);
        let own = packet::icmp_of(src);
        let protocol = if u.arbitrary()? { own } else { u.arbitrary()? };
        let around = ip::Header {
            tos: u.arbitrary()?,
            ..ip::Header::new(src, dst, protocol)
        };
        Ok(packet::ip(around, &message))
    }
}

fn stamps(u: &mut Unstructured<'_>, echo: u32) -> Result<Option<Timestamps>> {
    let has = u.arbitrary()?;
    Ok(if has {
        Some(Timestamps {
            value: 1000u32.wrapping_add(near(u)?),
            echo: echo.wrapping_add(near(u)?),
        })
    } else {
        None
    })
}

fn blocks(u: &mut Unstructured<'_>, ack: SeqNum) -> Result<SackBlocks> {
    let mut blocks = SackBlocks::default();
    for _ in 0..u.int_in_range(0..=7u8)?.saturating_sub(4) {
        // The data acknowledged in fact may end below `ack`: blocks lie on both sides of it.
        let left = ack + u32::from(u.arbitrary::<u16>()?).wrapping_sub(0x8000);
        let right = left + near(u)?.wrapping_add(1000);
        if !blocks.push(SackBlock { left, right }) {
            break;
        }
    }
    Ok(blocks)
}

/// An intact packet, or one with a fault.
fn assemble(
    u: &mut Unstructured<'_>,
    src: IpAddr,
    dst: IpAddr,
    header: &Header,
    length: usize,
) -> Result<Vec<u8>> {
    let mut header = *header;
    if header.options.len() > 40 {
        header.options.sack = SackBlocks::default();
    }
    let payload: Vec<u8> = (0..length).map(|at| at as u8).collect();
    let around = ip::Header {
        tos: if u.ratio(1, 4)? { u.arbitrary()? } else { 0 },
        ..ip::Header::new(src, dst, ip::TCP)
    };
    let mut bytes = packet::tcp_in(around, &header, &payload);
    if u.ratio(1, 16)? {
        // A position in the headers, including the options.
        let at = u.choose_index(bytes.len().min(100))?;
        bytes[at] = u.arbitrary()?;
    }
    Ok(bytes)
}

/// Two fragments of an IPv4 packet, cut at a multiple of eight bytes of its payload.
#[must_use]
pub fn fragments(bytes: &[u8], at: u8) -> Option<[Vec<u8>; 2]> {
    let at = 8 * usize::from(at);
    if bytes.first() != Some(&0x45) || bytes.len() <= 20 + at || at == 0 {
        return None;
    }
    let (header, payload) = bytes.split_at(20);
    let piece = |payload: &[u8], word: u16| {
        let mut bytes = header.to_vec();
        bytes[2..4].copy_from_slice(&((20 + payload.len()) as u16).to_be_bytes());
        bytes[6..8].copy_from_slice(&word.to_be_bytes());
        bytes[10..12].fill(0);
        let mut sum = checksum::Sum::new();
        sum.add(&bytes);
        bytes[10..12].copy_from_slice(&sum.finish().to_be_bytes());
        bytes.extend_from_slice(payload);
        bytes
    };
    let (first, second) = payload.split_at(at);
    Some([piece(first, 0x2000), piece(second, (at / 8) as u16)])
}
