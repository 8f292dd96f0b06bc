//! Packets for tests of the models.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use millstream_testbed::packet;
use millstream_wire::ip;

pub(super) type Addresses = (IpAddr, IpAddr);

pub(super) const V4: Addresses = (
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
);
pub(super) const V6: Addresses = (
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2)),
);

/// An IP packet with a total length of `len` bytes.
pub(super) fn packet_with_tos(addresses: Addresses, len: usize, tos: u8) -> Bytes {
    let header = ip::Header {
        tos,
        ..ip::Header::new(addresses.0, addresses.1, ip::TCP)
    };
    packet::ip(header, &vec![0; len - header.len()]).into()
}
