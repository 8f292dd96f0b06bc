//! The longest prefix that contains an address, in a number of steps that grows with the logarithm
//! of the number of prefixes.
//!
//! Prefixes are nested or disjoint, so that together they cut the space of addresses into ranges,
//! each with one longest prefix. The table holds the beginnings of the ranges in order.

use std::net::IpAddr;

use crate::cidr::Cidr;

/// See the module. Prefixes are named by their positions in the list of which it was made.
#[derive(Debug)]
pub(crate) struct RouteTable {
    v4: Ranges,
    v6: Ranges,
}

/// The ranges of one family: the first address of each, and its longest prefix. A range ends where
/// the next begins.
type Ranges = Box<[(u128, Option<usize>)]>;

/// A prefix as a range of addresses.
#[derive(Clone, Copy)]
struct Span {
    first: u128,
    last: u128,
    position: usize,
}

impl RouteTable {
    /// Of equal prefixes the last one counts.
    pub(crate) fn new(prefixes: impl Iterator<Item = Cidr>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (position, prefix) in prefixes.enumerate() {
            let family = if prefix.address.is_ipv4() {
                &mut v4
            } else {
                &mut v6
            };
            family.push(span(prefix, position));
        }
        Self {
            v4: ranges(v4),
            v6: ranges(v6),
        }
    }

    /// The position of the longest prefix that contains `ip`.
    pub(crate) fn find(&self, ip: IpAddr) -> Option<usize> {
        let (ranges, ip) = match ip {
            IpAddr::V4(ip) => (&self.v4, ip.to_bits().into()),
            IpAddr::V6(ip) => (&self.v6, ip.to_bits()),
        };
        let after = ranges.partition_point(|&(first, _)| first <= ip);
        ranges.get(after.checked_sub(1)?)?.1
    }
}

fn span(prefix: Cidr, position: usize) -> Span {
    let (bits, width) = match prefix.address {
        IpAddr::V4(ip) => (ip.to_bits().into(), 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    };
    // The prefix length is at most the width; a shift by 128 bits means that no host bit is left.
    let all = u128::MAX >> (128 - width);
    let hosts = all.checked_shr(prefix.prefix.into()).unwrap_or(0);
    Span {
        first: bits & !hosts,
        last: bits | hosts,
        position,
    }
}

fn ranges(mut spans: Vec<Span>) -> Ranges {
    // A prefix stands behind those that contain it.
    spans.sort_by_key(|span| (span.first, std::cmp::Reverse(span.last), span.position));
    let mut ranges = Vec::new();
    // The prefixes that contain the current address, the longest last.
    let mut open: Vec<Span> = Vec::new();
    for span in spans {
        close(&mut open, &mut ranges, |last| last < span.first);
        begin(&mut ranges, span.first, Some(span.position));
        open.push(span);
    }
    close(&mut open, &mut ranges, |_| true);
    ranges.into()
}

/// Ends the prefixes whose last address `is_over`: the one around each continues behind it.
fn close(
    open: &mut Vec<Span>,
    ranges: &mut Vec<(u128, Option<usize>)>,
    is_over: impl Fn(u128) -> bool,
) {
    while let Some(ended) = open.pop_if(|span| is_over(span.last)) {
        if let Some(next) = ended.last.checked_add(1) {
            begin(ranges, next, open.last().map(|span| span.position));
        }
    }
}

/// Begins a range at `first`. One that begins there already is empty.
fn begin(ranges: &mut Vec<(u128, Option<usize>)>, first: u128, position: Option<usize>) {
    ranges.pop_if(|(other, _)| *other == first);
    ranges.push((first, position));
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    /// The position by the definition.
    fn longest(prefixes: &[Cidr], ip: IpAddr) -> Option<usize> {
        let containing = prefixes.iter().enumerate();
        containing
            .filter(|(_, prefix)| prefix.contains(ip))
            .max_by_key(|(_, prefix)| prefix.prefix)
            .map(|(position, _)| position)
    }

    /// Addresses of a few bits at either end, so that prefixes nest, touch and repeat.
    fn address() -> impl Strategy<Value = IpAddr> {
        let bits = prop_oneof![0u128..16, (0u128..16).prop_map(|n| !n)];
        (any::<bool>(), bits, 0u32..128).prop_map(|(v4, bits, turn)| {
            let bits = bits.rotate_right(turn);
            if v4 {
                Ipv4Addr::from_bits(bits as u32).into()
            } else {
                Ipv6Addr::from_bits(bits).into()
            }
        })
    }

    proptest! {
        #[test]
        fn the_table_finds_the_longest_prefix(
            prefixes in prop::collection::vec((address(), 0u8..=128), 0..20),
            others in prop::collection::vec(address(), 20),
        ) {
            let cidr = |&(address, length): &(IpAddr, u8)| Cidr::new(address, length);
            let prefixes: Vec<_> = prefixes.iter().map(cidr).collect();
            let table = RouteTable::new(prefixes.iter().copied());
            let own = prefixes.iter().map(|prefix| prefix.address);
            for ip in own.chain(others) {
                prop_assert_eq!(table.find(ip), longest(&prefixes, ip), "{}", ip);
            }
        }
    }

    #[test]
    fn the_ends_of_the_address_space_belong_to_their_prefixes() {
        let everything = ["0.0.0.0", "::"].map(|ip| Cidr::new(ip.parse().unwrap(), 0));
        let table = RouteTable::new(everything.into_iter());
        for (ip, expected) in [
            ("0.0.0.0", 0),
            ("255.255.255.255", 0),
            ("::", 1),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 1),
        ] {
            assert_eq!(table.find(ip.parse().unwrap()), Some(expected), "{ip}");
        }
        let none = RouteTable::new([].into_iter());
        assert_eq!(none.find(Ipv4Addr::LOCALHOST.into()), None);
    }
}
