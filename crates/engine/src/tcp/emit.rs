//! Writes the headers of a TCP segment, with a complete checksum or one that the device completes.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use arrayvec::ArrayVec;
use bytes::Bytes;
use millstream_wire::{checksum, ip, tcp};

use crate::ip::fields::IpFields;
use crate::transmit::{MAX_HEADER, PartialChecksum};

/// Offset of the checksum field in a TCP header.
const TCP_CHECKSUM_OFFSET: u16 = 16;

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
