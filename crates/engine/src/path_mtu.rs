//! What routers have told of the paths to other hosts: the largest packet that gets through, for all
//! connections to the same destination (RFC 1191 6.2, RFC 8201 5.2).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::time::Instant;

/// How long a message counts: then a larger packet is tried (RFC 1191 6.3, RFC 8201 5.3: ten minutes).
const LIFETIME: Duration = Duration::from_secs(600);

/// Destinations remembered. One more takes the place of the one that would be forgotten first.
const CAPACITY: usize = 1024;

#[derive(Clone, Copy, Debug)]
struct Entry {
    mtu: u32,
    until: Instant,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct PathMtus {
    entries: BTreeMap<IpAddr, Entry>,
    /// Changes with every change of an entry.
    generation: u32,
    /// When the first entry has to be forgotten.
    first_end: Option<Instant>,
}

impl PathMtus {
    /// Packets of more than `mtu` bytes do not reach `destination`.
    pub(crate) fn lower(&mut self, destination: IpAddr, mtu: u32, now: Instant) {
        if self.entries.len() >= CAPACITY && !self.entries.contains_key(&destination) {
            self.forget_first();
        }
        let until = now + LIFETIME;
        self.entries.insert(destination, Entry { mtu, until });
        self.changed();
    }

    /// A number that is another one whenever something has changed, with time or by a message.
    pub(crate) fn generation(&mut self, now: Instant) -> u32 {
        if self.first_end.is_some_and(|end| end <= now) {
            self.entries.retain(|_, entry| entry.until > now);
            self.changed();
        }
        self.generation
    }

    /// The largest packet to `destination`, if a router said so lately.
    pub(crate) fn mtu(&self, destination: IpAddr) -> Option<u32> {
        self.entries.get(&destination).map(|entry| entry.mtu)
    }

    fn forget_first(&mut self) {
        let first = self.entries.iter().min_by_key(|(_, entry)| entry.until);
        if let Some((&destination, _)) = first {
            self.entries.remove(&destination);
        }
    }

    fn changed(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.first_end = self.entries.values().map(|entry| entry.until).min();
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
        let mut paths = PathMtus::default();
        paths.lower(host(1), 1400, at(0));
        paths.lower(host(2), 1300, at(100));
        let told = paths.generation(at(599));
        assert_eq!((paths.mtu(host(1)), paths.mtu(host(3))), (Some(1400), None));
        assert_ne!(paths.generation(at(600)), told);
        assert_eq!((paths.mtu(host(1)), paths.mtu(host(2))), (None, Some(1300)));
        paths.generation(at(700));
        assert_eq!(paths.mtu(host(2)), None);
    }

    #[test]
    fn the_latest_message_counts() {
        let mut paths = PathMtus::default();
        paths.lower(host(1), 1400, at(0));
        let told = paths.generation(at(0));
        paths.lower(host(1), 1300, at(500));
        assert_ne!(paths.generation(at(500)), told);
        paths.generation(at(700));
        assert_eq!(paths.mtu(host(1)), Some(1300));
    }

    #[test]
    fn the_number_of_destinations_is_bounded() {
        let mut paths = PathMtus::default();
        for number in 0..2000 {
            paths.lower(
                host(number),
                1400,
                at(0) + Duration::from_millis(number.into()),
            );
        }
        assert_eq!(paths.entries.len(), CAPACITY);
        assert_eq!(
            (paths.mtu(host(975)), paths.mtu(host(976))),
            (None, Some(1400))
        );
    }
}
