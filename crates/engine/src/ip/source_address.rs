//! The source address of a connection for which the application chose none (RFC 6724 5).

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::address::Kind;
use crate::cidr::Cidr;

/// RFC 6724 2.1: prefixes with their labels, longest first. Addresses with the same label are
/// preferred for each other.
const LABELS: [(Ipv6Addr, u8, u8); 9] = [
    (Ipv6Addr::LOCALHOST, 128, 0),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xFFFF, 0, 0), 96, 4),
    (Ipv6Addr::UNSPECIFIED, 96, 3),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, 5),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 2),
    (Ipv6Addr::new(0x3FFE, 0, 0, 0, 0, 0, 0, 0), 16, 12),
    (Ipv6Addr::new(0xFEC0, 0, 0, 0, 0, 0, 0, 0), 10, 11),
    (Ipv6Addr::new(0xFC00, 0, 0, 0, 0, 0, 0, 0), 7, 13),
    (Ipv6Addr::UNSPECIFIED, 0, 1),
];

/// The scope of an address (RFC 4007 5, RFC 6724 3.1 and 3.2): the numbers of multicast scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    Link = 2,
    Site = 5,
    Global = 14,
}

impl Scope {
    fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) if ip.is_link_local() => Self::Link,
            IpAddr::V6(ip) if ip.is_unicast_link_local() => Self::Link,
            // RFC 6724 3.1: a group names its scope.
            IpAddr::V6(ip) if ip.is_multicast() => match ip.octets()[1] & 0xF {
                0..=2 => Self::Link,
                3..=5 => Self::Site,
                _ => Self::Global,
            },
            IpAddr::V6(ip) if ip.segments()[0] & 0xFFC0 == 0xFEC0 => Self::Site,
            IpAddr::V4(_) | IpAddr::V6(_) => Self::Global,
        }
    }
}

/// The address of `own` to use toward `remote`: `remote` itself if it is among them, otherwise by
/// the rules of RFC 6724 5. A host with one interface, without mobility, and whose addresses
/// are all preferred needs rules 1, 2, 6 and 8 (RFC 9293 MUST-44).
pub(crate) fn source_for(own: &[Cidr], remote: IpAddr) -> Option<IpAddr> {
    if Kind::of(remote) == Kind::Loopback {
        // As on Linux: 127.0.0.1 also toward the other addresses of its network.
        return Some(match remote {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let own = own.iter().filter(|own| {
        own.address.is_ipv4() == remote.is_ipv4() && Kind::of(own.address) != Kind::Loopback
    });
    // Of equal addresses the first in the configuration.
    own.min_by_key(|own| Reverse(merit(own, remote)))
        .map(|own| own.address)
}

/// The preference of a local address toward `remote`; the greatest is best.
fn merit(own: &Cidr, remote: IpAddr) -> impl Ord + use<> {
    let (scope, needed) = (Scope::of(own.address), Scope::of(remote));
    // Rule 2: the smallest scope that is large enough, otherwise the largest scope.
    let reach = if scope >= needed {
        (true, Reverse(scope as u8))
    } else {
        (false, Reverse(u8::MAX - scope as u8))
    };
    let same_label = label(own.address) == label(remote);
    (
        own.address == remote,
        reach,
        same_label,
        common_prefix(own, remote),
    )
}

fn label(ip: IpAddr) -> Option<u8> {
    let IpAddr::V6(ip) = ip else {
        return None;
    };
    LABELS
        .iter()
        .find(|(prefix, length, _)| Cidr::new((*prefix).into(), *length).contains(ip.into()))
        .map(|(_, _, label)| *label)
}

/// Rule 8: the number of common prefix bits within the local network. For IPv4, only whether the
/// network is the same, as on Linux: the numbers of IPv4 prefixes have no order.
fn common_prefix(own: &Cidr, remote: IpAddr) -> u32 {
    match (own.address, remote) {
        (IpAddr::V6(address), IpAddr::V6(remote)) => {
            let differing = address.to_bits() ^ remote.to_bits();
            differing.leading_zeros().min(own.prefix.into())
        }
        _ if own.contains(remote) => 1 + u32::from(own.prefix),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The source address that a stack with the addresses `own` uses toward `remote`.
    fn source(own: &[&str], remote: &str) -> String {
        let cidr = |text: &&str| {
            let (address, prefix) = text.split_once('/').unwrap();
            Cidr::new(address.parse().unwrap(), prefix.parse().unwrap())
        };
        let own: Vec<_> = own.iter().map(cidr).collect();
        let found = source_for(&own, remote.parse().unwrap());
        found.map_or("none".to_owned(), |ip| ip.to_string())
    }

    #[test]
    fn the_address_of_the_destinations_scope_and_kind_is_used() {
        let own = [
            "fe80::2/64",
            "fd00::2/64",
            "2001:db8::2/64",
            "2002:c633:6401::2/48",
        ];
        for (remote, expected) in [
            ("2607::1", "2001:db8::2"),
            ("2001:db8::9", "2001:db8::2"),
            ("2002:c633:6401::d5e3", "2002:c633:6401::2"),
            ("2002:836b:2179::1", "2002:c633:6401::2"),
            ("fe80::9", "fe80::2"),
            ("fd00::9", "fd00::2"),
            ("fd77::9", "fd00::2"),
            ("fd00::2", "fd00::2"),
            ("ff02::16", "fe80::2"),
            ("::1", "::1"),
            ("127.9.9.9", "127.0.0.1"),
            ("10.0.0.1", "none"),
        ] {
            assert_eq!(source(&own, remote), expected, "{remote}");
        }
    }

    /// The examples of RFC 6724 10.1 that concern a host with one interface.
    #[test]
    fn the_examples_of_the_rfc() {
        for (remote, own, expected) in [
            (
                "2001:db8:1::1",
                ["2001:db8:3::1/64", "fe80::1/64"],
                "2001:db8:3::1",
            ),
            ("fe80::1", ["fe80::2/64", "2001:db8:1::1/64"], "fe80::2"),
            (
                "2001:db8:1::1",
                ["2001:db8:1::2/64", "2001:db8:3::2/64"],
                "2001:db8:1::2",
            ),
            (
                "2002:c633:6401::1",
                ["2002:c633:6401::d5e3:7953:13eb:22e8/64", "2001:db8:1::2/64"],
                "2002:c633:6401:0:d5e3:7953:13eb:22e8",
            ),
        ] {
            assert_eq!(
                source(&own, remote),
                expected.parse::<Ipv6Addr>().unwrap().to_string()
            );
            let [first, second] = own;
            assert_eq!(
                source(&[second, first], remote),
                expected.parse::<Ipv6Addr>().unwrap().to_string(),
                "whatever their order"
            );
        }
    }

    #[test]
    fn in_ipv4_the_network_decides_and_then_the_order() {
        let own = [
            "169.254.1.1/16",
            "10.0.0.1/24",
            "192.168.1.1/24",
            "10.0.0.129/25",
        ];
        for (remote, expected) in [
            ("192.168.1.9", "192.168.1.1"),
            ("10.0.0.9", "10.0.0.1"),
            ("10.0.0.200", "10.0.0.129"),
            ("192.168.7.7", "10.0.0.1"),
            ("198.51.100.1", "10.0.0.1"),
            ("169.254.7.7", "169.254.1.1"),
        ] {
            assert_eq!(source(&own, remote), expected, "{remote}");
        }
    }
}
