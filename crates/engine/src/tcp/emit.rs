//! Writes the headers of a TCP segment, with a complete checksum or one that the device completes.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::net::IpAddr;

use arrayvec::ArrayVec;
use bytes::Bytes;
use millstream_wire::{checksum, ip, tcp};

use crate::transmit::{MAX_HEADER, PartialChecksum};

/// Offset of the checksum field in a TCP header.
const TCP_CHECKSUM_OFFSET: u16 = 16;

/// The fields of the IP header that depend on the socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IpFields {
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) tos: u8,
    pub(crate) hop_limit: u8,
    pub(crate) ident: u16,
}

impl IpFields {
    pub(crate) fn header(&self, protocol: u8, payload_len: usize) -> ip::Header {
        ip::Header {
            src: self.src,
            dst: self.dst,
            protocol,
            tos: self.tos,
            hop_limit: self.hop_limit,
            ident: self.ident,
            dont_fragment: true,
            payload_len,
        }
    }
}

/// Writes IP and TCP headers for `payload` into `out`. With `partial` the checksum field holds only
/// the sum of the pseudo-header, and the return value tells the device how to complete it (RFC 9293
/// MUST-2).
pub(crate) fn tcp_segment(
    out: &mut ArrayVec<u8, MAX_HEADER>,
    ip: &IpFields,
    tcp: &tcp::Header,
    payload: &[Bytes],
    partial: bool,
) -> Option<PartialChecksum> {
    let payload_len: usize = payload.iter().map(Bytes::len).sum();
    let tcp_len = tcp.len();
    let ip_header = ip.header(ip::TCP, tcp_len.saturating_add(payload_len));
    let ip_len = ip_header.len();
    out.clear();
    for _ in 0..ip_len.saturating_add(tcp_len) {
        out.push(0);
    }
    ip_header.emit(out);
    let (_, header) = out.split_at_mut(ip_len);
    tcp.emit(header);
    let length = tcp_len.saturating_add(payload_len) as u32;
    let mut sum = checksum::pseudo_header(ip.src, ip.dst, ip::TCP, length);
    if partial {
        tcp::Header::begin_checksum(header, sum);
        return Some(PartialChecksum {
            start: ip_len as u16,
            offset: TCP_CHECKSUM_OFFSET,
        });
    }
    for slice in payload {
        sum.add(slice);
    }
    tcp::Header::fill_checksum(header, sum);
    None
}
