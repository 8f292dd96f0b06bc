//! Whole packets, with their lengths and checksums, made from headers and payload.
//!
//! [`tcp`], [`udp()`], [`echo_request`] and [`icmp_error`] make the packets that most callers need.
//! [`tcp_in`] and [`ip()`] take an IP header with other fields than the usual ones, [`tcp_raw`] a TCP
//! header that [`Header`] cannot express.

use std::net::{IpAddr, SocketAddr};

use millstream_wire::checksum::{self, Sum};
use millstream_wire::icmp::{self, ErrorKind};
use millstream_wire::tcp::{Header, MIN_HEADER_LEN};
use millstream_wire::{ip, udp};

/// A TCP segment from `src` to `dst`; the ports are those of `header`.
///
/// # Panics
/// If the addresses are of two families, or if no IP packet is large enough. This holds for all
/// functions here.
#[must_use]
pub fn tcp(src: IpAddr, dst: IpAddr, header: &Header, payload: &[u8]) -> Vec<u8> {
    tcp_in(ip::Header::new(src, dst, ip::TCP), header, payload)
}

/// A TCP segment in an IP packet with the other fields of `ip`.
#[must_use]
pub fn tcp_in(ip: ip::Header, header: &Header, payload: &[u8]) -> Vec<u8> {
    let mut packet = head(ip, header.len(), payload.len());
    header.emit(&mut packet[ip.len()..]);
    finish_tcp(packet, &ip, payload)
}

/// A TCP segment with the header's bytes as they are, except that the checksum is filled in.
///
/// # Panics
/// If `header` has less than 20 bytes.
#[must_use]
pub fn tcp_raw(ip: ip::Header, header: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut packet = head(ip, header.len(), payload.len());
    packet[ip.len()..].copy_from_slice(header);
    finish_tcp(packet, &ip, payload)
}

/// The bytes of a TCP header for [`tcp_raw`], with `options` as they are in place of its own.
///
/// # Panics
/// If the options are not a multiple of 4 bytes, or more than 40.
#[must_use]
pub fn tcp_header(header: &Header, options: &[u8]) -> Vec<u8> {
    assert!(options.len().is_multiple_of(4) && options.len() <= 40);
    let plain = Header {
        options: Default::default(),
        ..*header
    };
    let mut bytes = vec![0; MIN_HEADER_LEN];
    plain.emit(&mut bytes);
    bytes.extend_from_slice(options);
    bytes[12] = (bytes.len() as u8 / 4) << 4;
    bytes
}

/// A UDP datagram.
#[must_use]
pub fn udp(src: SocketAddr, dst: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let length = (udp::HEADER_LEN + payload.len()) as u16;
    let mut datagram = Vec::with_capacity(length.into());
    for field in [src.port(), dst.port(), length, 0] {
        datagram.extend(field.to_be_bytes());
    }
    datagram.extend_from_slice(payload);
    let (src, dst) = (src.ip(), dst.ip());
    let mut sum = checksum::pseudo_header(src, dst, ip::UDP, length.into());
    sum.add(&datagram);
    // RFC 768: zero would mean that there is no checksum.
    let sum = match sum.finish() {
        0 => u16::MAX,
        sum => sum,
    };
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    ip(ip::Header::new(src, dst, ip::UDP), &datagram)
}

/// An echo request with `data`.
#[must_use]
pub fn echo_request(src: IpAddr, dst: IpAddr, ident: u16, seq: u16, data: &[u8]) -> Vec<u8> {
    let message = echo_message(src, dst, ident, seq, data);
    ip(ip::Header::new(src, dst, icmp_of(src)), &message)
}

/// An ICMP error about a packet that begins with `quoted`; `None` if the family has no such error.
#[must_use]
pub fn icmp_error(src: IpAddr, dst: IpAddr, kind: ErrorKind, quoted: &[u8]) -> Option<Vec<u8>> {
    let message = error_message(src, dst, kind, quoted)?;
    Some(ip(ip::Header::new(src, dst, icmp_of(src)), &message))
}

/// The ICMP message of [`echo_request`], for [`ip()`].
#[must_use]
pub fn echo_message(src: IpAddr, dst: IpAddr, ident: u16, seq: u16, data: &[u8]) -> Vec<u8> {
    let mut header = [0; icmp::HEADER_LEN];
    icmp::emit_echo_request(&mut header, src, dst, ident, seq, data);
    [&header[..], data].concat()
}

/// The ICMP message of [`icmp_error`], for [`ip()`]. The quote is truncated so that the packet stays
/// within the bounds of RFC 1812 and RFC 4443.
#[must_use]
pub fn error_message(src: IpAddr, dst: IpAddr, kind: ErrorKind, quoted: &[u8]) -> Option<Vec<u8>> {
    let most = match src {
        IpAddr::V4(_) => icmp::MAX_QUOTED_V4,
        IpAddr::V6(_) => icmp::MAX_QUOTED_V6,
    };
    let quoted = &quoted[..quoted.len().min(most)];
    let mut header = [0; icmp::HEADER_LEN];
    icmp::emit_error(&mut header, src, dst, kind, quoted).then(|| [&header[..], quoted].concat())
}

/// An IP packet with any payload; the header's length is set.
#[must_use]
pub fn ip(header: ip::Header, payload: &[u8]) -> Vec<u8> {
    let mut packet = head(header, 0, payload.len());
    packet.extend_from_slice(payload);
    packet
}

/// A fragment of an IPv4 datagram with the other fields of `header`: `payload` stands at
/// `offset`, and `more` says whether further fragments follow.
///
/// # Panics
/// If the header is of IPv6, or the offset is not a multiple of 8 within the largest datagram.
#[must_use]
pub fn fragment(header: ip::Header, offset: usize, more: bool, payload: &[u8]) -> Vec<u8> {
    assert!(header.src.is_ipv4(), "IPv6 has a header of its own for it");
    assert!(offset.is_multiple_of(8) && offset < 1 << 16, "{offset}");
    let header = ip::Header {
        dont_fragment: false,
        ..header
    };
    let mut packet = ip(header, payload);
    let field = (offset / 8) as u16 | u16::from(more) << 13;
    let (header, _) = packet.split_at_mut(header.len());
    header[6..8].copy_from_slice(&field.to_be_bytes());
    header[10..12].fill(0);
    let mut sum = Sum::new();
    sum.add(header);
    header[10..12].copy_from_slice(&sum.finish().to_be_bytes());
    packet
}

/// The protocol number of ICMP in the family of `address`.
#[must_use]
pub fn icmp_of(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => ip::ICMP,
        IpAddr::V6(_) => ip::ICMPV6,
    }
}

/// The IP header and `header` bytes of zeros, with room for `payload` bytes.
fn head(ip: ip::Header, header: usize, payload: usize) -> Vec<u8> {
    let ip = ip::Header {
        payload_len: header + payload,
        ..ip
    };
    let mut packet = Vec::with_capacity(ip.len() + header + payload);
    packet.resize(ip.len() + header, 0);
    ip.emit(&mut packet);
    packet
}

/// Fills the checksum of the TCP header that ends `packet`, and appends the payload.
fn finish_tcp(mut packet: Vec<u8>, ip: &ip::Header, payload: &[u8]) -> Vec<u8> {
    let header = &mut packet[ip.len()..];
    let length = (header.len() + payload.len()) as u32;
    let mut sum = checksum::pseudo_header(ip.src, ip.dst, ip::TCP, length);
    sum.add(payload);
    Header::fill_checksum(header, sum);
    packet.extend_from_slice(payload);
    packet
}

#[cfg(test)]
mod tests {
    use millstream_wire::icmp::{Message, Unreachable};
    use millstream_wire::ip::Packet;
    use millstream_wire::tcp::{Flags, Options, View};

    use super::*;

    fn ends() -> [(IpAddr, IpAddr); 2] {
        [
            ([10, 0, 0, 1].into(), [10, 0, 0, 2].into()),
            (
                [0xfd00, 0, 0, 0, 0, 0, 0, 1].into(),
                [0xfd00, 0, 0, 0, 0, 0, 0, 2].into(),
            ),
        ]
    }

    #[test]
    fn a_segment_is_what_its_header_says() {
        for (src, dst) in ends() {
            let header = Header {
                src_port: 7,
                dst_port: 9,
                flags: Flags::ACK | Flags::PSH,
                window: 100,
                options: Options {
                    mss: Some(1000),
                    ..Options::default()
                },
                ..Header::default()
            };
            let around = ip::Header {
                tos: 3,
                hop_limit: 9,
                ..ip::Header::new(src, dst, ip::TCP)
            };
            let packet = tcp_in(around, &header, b"odd");
            let packet = Packet::parse(&packet).expect("an IP packet");
            assert_eq!((packet.src(), packet.dst()), (src, dst));
            assert_eq!((packet.tos(), packet.hop_limit()), (3, 9));
            let view = View::parse(packet.payload()).expect("a segment");
            assert!(view.checksum_ok(src, dst));
            assert_eq!(Header::from(&view), header);
            assert_eq!(view.payload(), b"odd");
        }
    }

    #[test]
    fn options_are_taken_as_they_are() {
        for (src, dst) in ends() {
            let around = ip::Header::new(src, dst, ip::TCP);
            let bytes = tcp_header(&Header::default(), &[253, 4, 1, 2]);
            let packet = tcp_raw(around, &bytes, b"data");
            let packet = Packet::parse(&packet).expect("an IP packet");
            let view = View::parse(packet.payload()).expect("a segment");
            assert!(view.checksum_ok(src, dst));
            assert_eq!(view.options_bytes(), [253, 4, 1, 2]);
            assert_eq!(view.payload(), b"data");
        }
    }

    #[test]
    fn a_datagram_and_the_error_about_it_are_valid() {
        for (src, dst) in ends() {
            let datagram = udp((src, 5000).into(), (dst, 53).into(), &[7; 2001]);
            let packet = Packet::parse(&datagram).expect("an IP packet");
            let view = udp::View::parse(packet.payload()).expect("a datagram");
            assert!(view.checksum_ok(src, dst));
            assert_eq!((view.src_port(), view.dst_port()), (5000, 53));
            assert_eq!(view.payload(), [7; 2001]);

            let kind = ErrorKind::Unreachable(Unreachable::Port);
            let error = icmp_error(dst, src, kind, &datagram).expect("an error of both families");
            assert_eq!(error.len(), if src.is_ipv4() { 576 } else { 1280 });
            let packet = Packet::parse(&error).expect("an IP packet");
            let Ok(Message::Error(error)) = Message::parse(&packet) else {
                panic!("no error");
            };
            assert_eq!(error.kind, kind);
            assert!(datagram.starts_with(error.quoted));
        }
    }

    #[test]
    fn an_echo_request_is_valid() {
        for (src, dst) in ends() {
            let request = echo_request(src, dst, 3, 4, b"hello");
            let packet = Packet::parse(&request).expect("an IP packet");
            let message = Message::parse(&packet).expect("a message");
            let Message::EchoRequest { ident, seq, data } = message else {
                panic!("{message:?}");
            };
            assert_eq!((ident, seq, data), (3, 4, &b"hello"[..]));
        }
    }

    #[test]
    fn a_fragment_has_its_place() {
        let (src, dst) = ends()[0];
        let header = ip::Header {
            ident: 77,
            ..ip::Header::new(src, dst, 132)
        };
        let piece = fragment(header, 800, true, &[1; 16]);
        let packet = Packet::parse(&piece).expect("an IP packet");
        let place = packet.fragment().expect("a fragment");
        assert_eq!((place.id, place.offset, place.more), (77, 800, true));
        assert_eq!(packet.payload(), [1; 16]);
    }
}
