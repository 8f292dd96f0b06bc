//! The kinds of addresses: which of them can appear in a packet (RFC 1122 3.2.1.3, RFC 1812 5.3.7,
//! RFC 4291, RFC 6890).

use std::net::IpAddr;

/// The origin of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Device,
    Ourselves,
}

/// The kind of an address, the same for all hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It may belong to one host.
    Host,
    /// The host itself, on any host: never on a wire (RFC 1122 3.2.1.3 (g), RFC 4291 2.5.3).
    Loopback,
    Unspecified,
    Multicast,
    /// All hosts of the link.
    Broadcast,
    /// Invalid in packets: the rest of 0.0.0.0/8 and of 240.0.0.0/4, and IPv4-mapped IPv6
    /// addresses, which denote IPv4 to the programs of one host (RFC 4291 2.5.5.2) and would be
    /// mistaken for that if they came from a wire.
    Reserved,
}

impl Kind {
    pub(crate) fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => match ip.octets()[0] {
                0 if ip.is_unspecified() => Self::Unspecified,
                0 => Self::Reserved,
                127 => Self::Loopback,
                224..=239 => Self::Multicast,
                240..=255 if ip.is_broadcast() => Self::Broadcast,
                240..=255 => Self::Reserved,
                _ => Self::Host,
            },
            IpAddr::V6(ip) if ip.is_multicast() => Self::Multicast,
            // All others begin with zeros.
            IpAddr::V6(ip) if ip.segments()[0] != 0 => Self::Host,
            IpAddr::V6(ip) if ip.is_unspecified() => Self::Unspecified,
            IpAddr::V6(ip) if ip.is_loopback() => Self::Loopback,
            IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => Self::Reserved,
            IpAddr::V6(_) => Self::Host,
        }
    }
}
