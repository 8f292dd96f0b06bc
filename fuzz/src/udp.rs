//! The commands and packets of UDP sockets.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use bytes::Bytes;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use millstream_engine::{Fragmentation, Instant, Stack, Transmit, UdpId, UdpOptions, UdpSend};
use millstream_testbed::packet;
use millstream_wire::icmp::{ErrorKind, Unreachable};
use millstream_wire::membership::{self, Record};
use millstream_wire::{ip, udp};

use crate::peer;
use crate::stack;

/// The maximum number of identifiers kept, of existing sockets and of removed ones.
const MOST_NAMES: usize = 8;

const GROUP: [u8; 4] = [239, 1, 2, 3];
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xFF15, 0, 0, 0, 0, 0, 0, 1);

/// The sockets of a stack whose addresses are 10.0.0.1 and fd00::1.
#[derive(Default)]
pub struct Sockets {
    ids: Vec<UdpId>,
}

fn hosts() -> [IpAddr; 12] {
    let v6 = |last| IpAddr::V6(Ipv6Addr::new(0xFD00, 0, 0, 0, 0, 0, 0, last));
    [
        [10, 0, 0, 1].into(),
        v6(1),
        [10, 0, 0, 2].into(),
        v6(2),
        [0; 4].into(),
        Ipv6Addr::UNSPECIFIED.into(),
        GROUP.into(),
        GROUP_V6.into(),
        [10, 0, 0, 255].into(),
        [127, 0, 0, 1].into(),
        [198, 51, 100, 7].into(),
        Ipv6Addr::new(0xFE80, 0, 0, 0, 0, 0, 0, 2).into(),
    ]
}

fn address(u: &mut Unstructured<'_>) -> Result<SocketAddr> {
    Ok(SocketAddr::new(
        *u.choose(&hosts())?,
        u.int_in_range(0..=3u16)?,
    ))
}

fn change(u: &mut Unstructured<'_>, options: &mut UdpOptions) -> Result<()> {
    match u.int_in_range(0..=9u8)? {
        0 => options.hop_limit = u.arbitrary()?,
        1 => options.multicast_hop_limit = u.arbitrary()?,
        2 => options.multicast_loop = u.arbitrary()?,
        3 => options.multicast_all = u.arbitrary()?,
        4 => options.broadcast = u.arbitrary()?,
        5 => options.receive_buffer = u.arbitrary::<u16>()?.into(),
        6 => options.send_buffer = u.arbitrary::<u16>()?.into(),
        7 => options.v6_only = u.arbitrary()?,
        8 => options.reuse_addr = u.arbitrary()?,
        _ => {
            options.fragmentation = *u.choose(&[
                Fragmentation::Path,
                Fragmentation::Routers,
                Fragmentation::Refused,
                Fragmentation::Probe,
            ])?;
        }
    }
    Ok(())
}

/// A packet for UDP sockets: a datagram, its fragments, a query about groups, or an ICMP error.
pub fn packets(u: &mut Unstructured<'_>) -> Result<Vec<Vec<u8>>> {
    let (src, dst) = (address(u)?, address(u)?);
    let dst = if src.is_ipv4() == dst.is_ipv4() {
        dst
    } else {
        src
    };
    let payload = vec![7; usize::from(u.arbitrary::<u16>()?) >> u.int_in_range(0..=16u8)?];
    let payload = payload.get(..65_000).unwrap_or(&payload);
    let mut bytes = match u.int_in_range(0..=7u8)? {
        0 => {
            let kind = match u.int_in_range(0..=2u8)? {
                0 => ErrorKind::PacketTooBig {
                    mtu: u.arbitrary::<u16>()?.into(),
                },
                1 => ErrorKind::Unreachable(Unreachable::Port),
                _ => ErrorKind::TimeExceeded { code: 0 },
            };
            let quoted = packet::udp(dst, src, b"x");
            packet::icmp_error(src.ip(), dst.ip(), kind, &quoted).unwrap_or(quoted)
        }
        1 => match (src.ip(), dst.ip()) {
            (IpAddr::V4(src), _) => membership::report_v4(src, &[(GROUP.into(), Record::Joined)]),
            (IpAddr::V6(src), _) => membership::report_v6(src, &[(GROUP_V6, Record::Joined)]),
        },
        2 => {
            let mut query = vec![0x11, u.arbitrary()?, 0, 0];
            query.extend(if u.arbitrary()? { [0; 4] } else { GROUP });
            let mut sum = millstream_wire::checksum::Sum::new();
            sum.add(&query);
            query[2..4].copy_from_slice(&sum.finish().to_be_bytes());
            let all = [224, 0, 0, 1].into();
            packet::ip(
                ip::Header::new([10, 0, 0, 2].into(), all, membership::IGMP),
                &query,
            )
        }
        _ => packet::udp(src, dst, payload),
    };
    if u.ratio(1, 8)? {
        let at = u.choose_index(bytes.len())?;
        bytes[at] ^= u.arbitrary::<u8>()?;
    }
    match u.ratio(1, 4)? {
        true => Ok(peer::fragments(&bytes, u.arbitrary()?).map_or_else(Vec::new, Vec::from)),
        false => Ok(vec![bytes]),
    }
}

impl Sockets {
    /// One command.
    pub fn step(
        &mut self,
        u: &mut Unstructured<'_>,
        stack: &mut Stack,
        now: Instant,
    ) -> Result<()> {
        let command = u.int_in_range(0..=15u8)?;
        if command < 3 {
            let mut options = UdpOptions::default();
            change(u, &mut options)?;
            if let Ok(id) = stack.udp_bind(address(u)?, options) {
                if self.ids.len() >= MOST_NAMES {
                    let oldest = self.ids.remove(0);
                    stack.udp_close(now, oldest);
                }
                self.ids.push(id);
            }
            return Ok(());
        }
        if self.ids.is_empty() {
            return Ok(());
        }
        let id = *u.choose(&self.ids)?;
        let group = *u.choose(&[IpAddr::from(GROUP), GROUP_V6.into(), [224, 0, 0, 1].into()])?;
        match command {
            3 => drop(stack.udp_connect(id, address(u)?)),
            4 => stack.udp_close(now, id),
            5 => drop(stack.udp_join(now, id, group)),
            6 => drop(stack.udp_leave(now, id, group)),
            7 => {
                let mut result = Ok(());
                let _ = stack.udp_set_options(id, |options| result = change(u, options));
                result?;
            }
            8 => drop(stack.udp_take_error(id)),
            9 => {
                let mut out = Transmit::new();
                while stack.poll_transmit_of_socket(now, id, &mut out) {
                    stack::packet(stack, &out);
                }
            }
            10 | 11 => {
                let readable = stack.udp_has_unread(id);
                let peeked = stack.udp_peek(id).map(|datagram| datagram.cloned());
                assert!(readable || matches!(peeked, Ok(None)));
                if let Ok(Some(datagram)) = peeked {
                    assert_eq!(stack.udp_recv(id), Ok(Some(datagram)));
                }
            }
            _ => self.send(u, stack, now, id)?,
        }
        let local = stack.udp_local_addr(id).is_some();
        assert_eq!(local, stack.udp_options(id).is_some());
        assert!(local || stack.udp_peer_addr(id).is_none());
        let _ = (stack.udp_is_readable(id), stack.udp_is_writable(id));
        Ok(())
    }

    fn send(
        &self,
        u: &mut Unstructured<'_>,
        stack: &mut Stack,
        now: Instant,
        id: UdpId,
    ) -> Result<()> {
        let len = u.arbitrary::<u32>()? >> u.int_in_range(15..=31u8)?;
        let mut send = UdpSend::new(Bytes::from(vec![1; len as usize]))
            .segment_size(u.arbitrary()?)
            .hop_limit(u.arbitrary()?);
        // Nobody marks its own packets.
        send.tos = u.arbitrary::<Option<u8>>()?.map(|tos| tos & !1);
        if u.arbitrary()? {
            send.to = Some(address(u)?);
        }
        if u.ratio(1, 8)? {
            send.from = Some(*u.choose(&hosts())?);
        }
        if stack.udp_send(now, id, &send) == Ok(true) {
            assert!(send.payload.len() <= usize::from(u16::MAX) - udp::HEADER_LEN);
        }
        Ok(())
    }
}
