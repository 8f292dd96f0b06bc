//! Addresses with the length of their network prefix (RFC 4632, RFC 4291 2.3).

use std::net::IpAddr;

/// An address and the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    /// The address. Host bits may be set.
    pub address: IpAddr,
    /// Prefix length in bits: at most 32 or 128.
    pub prefix: u8,
}

impl Cidr {
    /// An address with a prefix length, which is limited to the width of the address family.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Self {
        let width = if address.is_ipv4() { 32 } else { 128 };
        Self {
            address,
            prefix: prefix.min(width),
        }
    }

    /// Whether `other` lies in this network.
    #[must_use]
    pub fn contains(&self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(network), IpAddr::V4(host)) => {
                let differing = network.to_bits() ^ host.to_bits();
                differing.leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V6(network), IpAddr::V6(host)) => {
                let differing = network.to_bits() ^ host.to_bits();
                differing.leading_zeros() >= u32::from(self.prefix)
            }
            _ => false,
        }
    }

    /// The network's directed broadcast address, if it has one (IPv4 with at least two host bits).
    #[must_use]
    pub fn broadcast(&self) -> Option<IpAddr> {
        match self.address {
            IpAddr::V4(address) if self.prefix <= 30 => {
                let hosts = u32::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0);
                Some(IpAddr::V4((address.to_bits() | hosts).into()))
            }
            _ => None,
        }
    }
}
