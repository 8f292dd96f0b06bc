//! The identification of fragmented datagrams: it must not repeat soon for one pair of hosts, and
//! outsiders must not be able to predict it (RFC 6864, RFC 7739 5.3).
//!
//! A keyed hash of both addresses gives the start of a pair's sequence, and the counter of a group
//! of pairs continues it. Datagrams that are not fragmented need none (RFC 6864 4.1).

use std::net::{IpAddr, SocketAddr};

use crate::tuple::FourTuple;

/// Number of counters: an observer of one pair of hosts learns about another pair only if both have
/// the same counter.
const GROUPS: usize = 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Idents {
    secret: [u8; 16],
    /// Allocated on first use.
    counters: Option<Box<[u32]>>,
}

impl Idents {
    pub(crate) fn new(secret: [u8; 16]) -> Self {
        Self {
            secret,
            counters: None,
        }
    }

    /// The identification of the next datagram from `src` to `dst`; of an IPv4 datagram the low 16
    /// bits.
    #[expect(clippy::indexing_slicing, reason = "a counter for each group")]
    pub(crate) fn next(&mut self, src: IpAddr, dst: IpAddr) -> u32 {
        let pair = FourTuple::new(SocketAddr::new(src, 0), SocketAddr::new(dst, 0));
        let start = pair.keyed_hash(&self.secret, b'f') as u32;
        let group = pair.keyed_hash(&self.secret, b'c') as usize % GROUPS;
        let secret = &self.secret;
        let counters = self.counters.get_or_insert_with(|| {
            // The counters start apart, so that two of them tell nothing about each other.
            let first = |group| pair.keyed_hash_with(secret, b'i', &[group]) as u32;
            (0..GROUPS as u32).map(first).collect()
        });
        counters[group] = counters[group].wrapping_add(1);
        start.wrapping_add(counters[group])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn one_pair_of_hosts_sees_no_repetition_for_the_whole_range() {
        let mut idents = Idents::new([1; 16]);
        let (src, dst) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let seen: HashSet<u16> = (0..1 << 16).map(|_| idents.next(src, dst) as u16).collect();
        assert_eq!(seen.len(), 1 << 16);
    }

    #[test]
    fn the_sequence_of_one_pair_does_not_tell_that_of_another() {
        let (src, dst) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let first = |secret| Idents::new([secret; 16]).next(src, dst);
        let distinct: HashSet<u32> = (0..100).map(first).collect();
        assert_eq!(distinct.len(), 100, "the secret decides");
        let mut idents = Idents::new([1; 16]);
        let starts: HashSet<u32> = (0..100)
            .map(|host| idents.next(src, [10, 0, 1, host].into()))
            .collect();
        assert_eq!(starts.len(), 100);
    }
}
