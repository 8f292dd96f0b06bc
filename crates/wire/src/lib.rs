//! The wire formats of millstream: IPv4, IPv6, TCP, UDP, ICMP, checksums, sequence numbers and the
//! virtio-net header.
//!
//! Each header comes in two forms. A *view* borrows the bytes of a packet, checks them once in
//! `parse` and then reads without failing. A *header* is plain fields and can always be emitted.
//! Parsing is safe for any bytes: it never panics, never loops without a bound and never allocates.
//!
//! | module | contents |
//! |---|---|
//! | [`ip`] | [`ip::Packet`] and [`ip::Header`] of both families; views in [`ipv4`], [`ipv6`] |
//! | [`tcp`] | segments, flags and options |
//! | [`udp`] | datagrams |
//! | [`icmp`] | echo and error messages of both families |
//! | [`membership`] | queries and reports of multicast groups |
//! | [`checksum`] | the Internet checksum, complete, partial and incremental |
//! | [`coalesce`], [`cut`] | TCP packets merged, and split, if the device does not do it |
//! | [`virtio_net`] | the header that a device with offloads puts before each packet |
//! | [`pretty`] | a packet as tcpdump prints it |
//!
//! # Examples
//!
//! ```
//! use millstream_wire::{SeqNum, ip, tcp};
//!
//! let segment = tcp::Header {
//!     src_port: 34120,
//!     dst_port: 7,
//!     seq: SeqNum::new(1),
//!     flags: tcp::Flags::SYN,
//!     window: 64240,
//!     ..tcp::Header::default()
//! };
//! let header = ip::Header {
//!     payload_len: segment.len(),
//!     ..ip::Header::new([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), ip::TCP)
//! };
//! let mut packet = vec![0; header.len() + segment.len()];
//! header.emit(&mut packet);
//! segment.emit(&mut packet[header.len()..]);
//!
//! let packet = ip::Packet::parse(&packet)?;
//! assert_eq!(packet.to_string(), "IP 10.0.0.1.34120 > 10.0.0.2.7: Flags [S], seq 1, win 64240, length 0");
//! # Ok::<(), millstream_wire::ParseError>(())
//! ```
#![deny(unsafe_code)]
// The network controls every byte that is parsed here. Calls that cannot fail for another reason
// state it in place.
#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

pub mod checksum;
pub mod coalesce;
pub mod cut;
mod error;
mod field;
pub mod icmp;
pub mod ip;
pub mod ipv4;
pub mod ipv6;
pub mod membership;
mod plain;
pub mod pretty;
mod seq;
pub mod tcp;
#[cfg(test)]
mod testing;
pub mod udp;
pub mod virtio_net;
mod window;

pub use error::ParseError;
pub use ipv4::Ipv4View;
pub use ipv6::Ipv6View;
pub use seq::SeqNum;
pub use window::{Mss, WindowScale};
