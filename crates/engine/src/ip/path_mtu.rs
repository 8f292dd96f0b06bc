//! Path MTUs reported by routers: the largest packet that reaches a destination, for all
//! connections to it (RFC 1191 6.2, RFC 8201 5.2).

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::net::IpAddr;
use std::time::Duration;

use hashbrown::HashMap;

use crate::table::fair_shares::{Holding, Shares, network};
use crate::table::keyed::BuildKeyed;
use crate::time::Instant;

/// Time after which a report expires and a larger packet is tried (RFC 1191 6.3, RFC 8201 5.3: ten
/// minutes).
const LIFETIME: Duration = Duration::from_secs(600);

/// Maximum number of destinations. A further one replaces the oldest of the network with the most
/// entries, if that exceeds its fair part, and otherwise the oldest of all.
const MAX_DESTINATIONS: usize = 4096;
/// The fraction, 1/64, of the destinations that is the fair part of one network.
const NETWORK_PART: usize = 64;

/// Maximum number of expired entries removed in one call; later calls remove the rest.
const FORGOTTEN_AT_ONCE: usize = 8;

#[derive(Clone, Copy, Debug)]
struct Entry {
    mtu: u32,
    until: Instant,
    holding: Holding,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct PathMtus {
    entries: HashMap<IpAddr, Entry, BuildKeyed>,
    shares: Shares<IpAddr>,
    /// Changes with every change of an entry. Never zero.
    generation: u32,
    /// Time at which the first entry expires.
    first_end: Option<Instant>,
}

impl PathMtus {
    /// Creates an empty table. `key` keeps the hash of the table secret.
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Self {
            entries: HashMap::with_hasher(BuildKeyed::new(key)),
            shares: Shares::new(MAX_DESTINATIONS / NETWORK_PART),
            generation: 1,
            first_end: None,
        }
    }

    /// Records that packets of more than `mtu` bytes do not reach `destination`.
    pub(crate) fn lower(&mut self, destination: IpAddr, mtu: u32, now: Instant) {
        self.forget(destination);
        if self.entries.len() >= MAX_DESTINATIONS
            && let Some(other) = self.shares.first_to_go()
        {
            self.forget(other);
        }
        let entry = Entry {
            mtu,
            until: now + LIFETIME,
            holding: self
                .shares
                .add(network(destination, 24, 48), 1, destination),
        };
        self.entries.insert(destination, entry);
        self.changed();
    }

    /// A number that differs after every change, caused by time or by a report. It is never zero.
    pub(crate) fn generation(&mut self, now: Instant) -> u32 {
        if self.first_end.is_some_and(|end| end <= now) {
            self.forget_old(now);
        }
        self.generation
    }

    /// The largest packet to `destination`, if a router has reported it recently.
    pub(crate) fn mtu(&self, destination: IpAddr, now: Instant) -> Option<u32> {
        let entry = self.entries.get(&destination)?;
        (entry.until > now).then_some(entry.mtu)
    }

    fn forget_old(&mut self, now: Instant) {
        for _ in 0..FORGOTTEN_AT_ONCE {
            match self.shares.oldest() {
                Some(oldest) if self.mtu(oldest, now).is_none() => self.forget(oldest),
                _ => break,
            }
        }
        self.changed();
    }

    fn forget(&mut self, destination: IpAddr) {
        if let Some(entry) = self.entries.remove(&destination) {
            self.shares.remove(&entry.holding);
        }
    }

    fn changed(&mut self) {
        self.generation = self.generation.wrapping_add(1).max(1);
        // All entries have the same lifetime: the oldest expires first.
        let oldest = self.shares.oldest();
        self.first_end = oldest.and_then(|oldest| Some(self.entries.get(&oldest)?.until));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn host(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(1000 * seconds)
    }

    #[test]
    fn a_message_counts_for_ten_minutes() {
        let mut paths = PathMtus::new([3; 16]);
        paths.lower(host(1), 1400, at(0));
        paths.lower(host(2), 1300, at(100));
        let told = paths.generation(at(599));
        assert_eq!(
            (paths.mtu(host(1), at(599)), paths.mtu(host(3), at(599))),
            (Some(1400), None)
        );
        assert_ne!(paths.generation(at(600)), told);
        assert_eq!(
            (paths.mtu(host(1), at(600)), paths.mtu(host(2), at(600))),
            (None, Some(1300))
        );
        paths.generation(at(700));
        assert_eq!(paths.mtu(host(2), at(700)), None);
    }

    #[test]
    fn the_latest_message_counts() {
        let mut paths = PathMtus::new([3; 16]);
        paths.lower(host(1), 1400, at(0));
        let told = paths.generation(at(0));
        paths.lower(host(1), 1300, at(500));
        assert_ne!(paths.generation(at(500)), told);
        paths.generation(at(700));
        assert_eq!(paths.mtu(host(1), at(700)), Some(1300));
    }

    /// Destinations, each in a network of its own.
    fn far_apart(number: u32) -> IpAddr {
        host(number << 8)
    }

    #[test]
    fn the_number_of_destinations_is_bounded() {
        let mut paths = PathMtus::new([3; 16]);
        let number = MAX_DESTINATIONS as u32 + 1000;
        for number in 0..number {
            let now = at(0) + Duration::from_millis(number.into());
            paths.lower(far_apart(number), 1400, now);
        }
        assert_eq!(paths.entries.len(), MAX_DESTINATIONS);
        let known = |number: u32| paths.mtu(far_apart(number), at(10));
        assert_eq!((known(999), known(1000)), (None, Some(1400)));
    }

    #[test]
    fn many_destinations_of_one_network_do_not_displace_others() {
        let mut paths = PathMtus::new([3; 16]);
        for number in 0..1000 {
            paths.lower(far_apart(1000 + number), 1400, at(0));
        }
        let of_one = |number: u32| -> IpAddr {
            let low = u128::from(number);
            IpAddr::V6((0x2001_0DB8_0001 << 80 | low << 64 | 1).into())
        };
        for number in 0..20_000 {
            paths.lower(of_one(number), 1300, at(1));
        }
        assert_eq!(paths.entries.len(), MAX_DESTINATIONS);
        let known = |number: u32| paths.mtu(far_apart(1000 + number), at(1)).is_some();
        assert!((0..1000).all(known));
    }

    #[test]
    fn what_has_ended_counts_no_more_though_it_is_forgotten_bit_by_bit() {
        let mut paths = PathMtus::new([3; 16]);
        for number in 0..100 {
            paths.lower(far_apart(number), 1400, at(0));
        }
        let mut told = paths.generation(at(599));
        for call in 1..=13 {
            let now = paths.generation(at(600));
            assert_ne!(std::mem::replace(&mut told, now), now);
            let left = 100usize.saturating_sub(call * FORGOTTEN_AT_ONCE);
            assert_eq!(paths.entries.len(), left);
            assert_eq!(paths.mtu(far_apart(99), at(600)), None);
        }
        assert_eq!(paths.generation(at(600)), told);
    }
}
