//! From a datagram to packets: whole, cut into segments of equal size, or fragmented. Each call
//! writes one packet; the payload is not copied.

use std::net::{IpAddr, SocketAddr};

use arrayvec::ArrayVec;
use bytes::Bytes;
use millstream_wire::ip::Fragment;
use millstream_wire::{checksum, ip, udp};

use super::idents::Idents;
use super::send::{Outgoing, Progress};
use crate::config::Offload;
use crate::transmit::{MAX_HEADER, PartialChecksum, Transmit};

/// Maximum number of datagrams in a super-datagram (Linux's least `UDP_MAX_SEGMENTS`).
const MAX_SEGMENTS: usize = 64;

/// What the builder needs besides the datagram.
#[derive(Debug)]
pub(crate) struct Tools<'a> {
    pub(crate) offload: Offload,
    pub(crate) idents: &'a mut Idents,
}

/// Writes the next packet of a datagram into `out`. Returns whether it was the last one.
pub(crate) fn next_packet(
    datagram: &Outgoing,
    progress: &mut Progress,
    tools: &mut Tools<'_>,
    out: &mut Transmit,
) -> bool {
    out.clear();
    if let Some(segment) = datagram.segment {
        return next_segment(datagram, usize::from(segment), progress, tools, out);
    }
    let headers = ip_len(datagram.src) + udp::HEADER_LEN;
    match datagram.fragment_to {
        Some(most) if headers + datagram.payload.len() > most => {
            next_fragment(datagram, most, progress, tools, out)
        }
        _ => {
            whole(datagram, datagram.payload.clone(), tools, out);
            true
        }
    }
}

/// The next segment, or as many as the device accepts at once.
fn next_segment(
    datagram: &Outgoing,
    size: usize,
    progress: &mut Progress,
    tools: &mut Tools<'_>,
    out: &mut Transmit,
) -> bool {
    let size = size.max(1);
    let rest = datagram.payload.slice(progress.sent..);
    let offload = tools.offload;
    let at_once = if datagram.stays || datagram.loops || !offload.datagram_checksum {
        1
    } else {
        (offload.max_datagrams / size).clamp(1, MAX_SEGMENTS)
    };
    let piece = rest.slice(..rest.len().min(size * at_once));
    progress.sent += piece.len();
    let is_super = piece.len() > size;
    whole(datagram, piece, tools, out);
    if is_super {
        out.segment_size = datagram.segment;
    }
    progress.sent >= datagram.payload.len()
}

/// A packet that is not a fragment.
fn whole(datagram: &Outgoing, payload: Bytes, tools: &mut Tools<'_>, out: &mut Transmit) {
    let length = udp::HEADER_LEN + payload.len();
    let mut header = ip_header(datagram, length);
    if !datagram.dont_fragment && datagram.src.is_ipv4() {
        // Routers may fragment it.
        header.ident = tools.idents.next(header.src, header.dst) as u16;
    }
    let ip_len = header.len();
    reserve(&mut out.header, ip_len + udp::HEADER_LEN);
    header.emit(&mut out.header);
    let (_, udp) = out.header.split_at_mut(ip_len);
    emit_udp(datagram, length, udp);
    let mut sum = checksum::pseudo_header(header.src, header.dst, ip::UDP, length as u32);
    if tools.offload.datagram_checksum {
        udp::Header::begin_checksum(udp, sum);
        out.partial_checksum = Some(PartialChecksum {
            start: ip_len as u16,
            offset: udp::CHECKSUM_OFFSET as u16,
        });
    } else {
        sum.add(&payload);
        udp::Header::fill_checksum(udp, sum);
    }
    if !payload.is_empty() {
        out.payload.push(payload);
    }
}

/// The next fragment, in a packet of at most `most` bytes (RFC 791 3.2, RFC 8200 4.5).
fn next_fragment(
    datagram: &Outgoing,
    most: usize,
    progress: &mut Progress,
    tools: &mut Tools<'_>,
    out: &mut Transmit,
) -> bool {
    let length = udp::HEADER_LEN + datagram.payload.len();
    let mut header = ip_header(datagram, 0);
    let id = *progress
        .fragments
        .get_or_insert_with(|| tools.idents.next(header.src, header.dst));
    let ip_len = header.fragment_len();
    // All fragments but the last have a multiple of eight bytes.
    let room = (most.saturating_sub(ip_len) & !0b111).max(8);
    let (start, end) = (progress.sent, length.min(progress.sent + room));
    let is_first = start == 0;
    header.payload_len = end - start;
    let fragment = Fragment {
        id,
        offset: start as u16,
        more: end < length,
    };
    let udp_len = if is_first { udp::HEADER_LEN } else { 0 };
    reserve(&mut out.header, ip_len + udp_len);
    header.emit_fragment(fragment, &mut out.header);
    let (_, udp) = out.header.split_at_mut(ip_len);
    if is_first {
        emit_udp(datagram, length, udp);
        let mut sum = checksum::pseudo_header(header.src, header.dst, ip::UDP, length as u32);
        sum.add(&datagram.payload);
        udp::Header::fill_checksum(udp, sum);
    }
    let from = start.saturating_sub(udp::HEADER_LEN);
    out.payload
        .push(datagram.payload.slice(from..end - udp::HEADER_LEN));
    progress.sent = end;
    end == length
}

fn ip_header(datagram: &Outgoing, payload_len: usize) -> ip::Header {
    ip::Header {
        src: datagram.src.ip(),
        dst: datagram.dst.ip(),
        protocol: ip::UDP,
        tos: datagram.tos,
        hop_limit: datagram.hop_limit,
        ident: 0,
        dont_fragment: datagram.dont_fragment,
        payload_len,
    }
}

fn emit_udp(datagram: &Outgoing, length: usize, out: &mut [u8]) {
    let header = udp::Header {
        src_port: datagram.src.port(),
        dst_port: datagram.dst.port(),
        length: length as u16,
    };
    header.emit(out);
}

fn reserve(header: &mut ArrayVec<u8, MAX_HEADER>, len: usize) {
    for _ in 0..len {
        header.push(0);
    }
}

/// Length in bytes of an IP header of the family.
pub(crate) fn ip_len(addr: SocketAddr) -> usize {
    match addr.ip() {
        IpAddr::V4(_) => millstream_wire::ipv4::HEADER_LEN,
        IpAddr::V6(_) => millstream_wire::ipv6::HEADER_LEN,
    }
}
