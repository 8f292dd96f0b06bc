//! The sockets to which a datagram may lead, by addresses and ports.
//!
//! A connected socket is found by the four-tuple, any other by its local end alone: the tuple with
//! an unspecified remote end. A query is therefore at most four probes of one hash table, whatever
//! the number of sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hashbrown::HashTable;

use crate::tuple::FourTuple;

const ANY_V4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const ANY_V6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// The indices of the sockets with one key, in the order in which they were bound.
#[derive(Clone, Debug)]
enum Members {
    One(u32),
    Several(Vec<u32>),
}

impl Members {
    fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(index) => std::slice::from_ref(index),
            Self::Several(indices) => indices,
        }
    }
}

#[derive(Debug)]
struct Entry {
    key: FourTuple,
    members: Members,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Table {
    entries: HashTable<Entry>,
    secret: [u8; 16],
}

impl Table {
    /// `secret` keeps the hash secret, so that no peer can direct all datagrams into one bucket.
    pub(crate) fn new(secret: [u8; 16]) -> Self {
        Self {
            entries: HashTable::new(),
            secret,
        }
    }

    /// Makes `key` lead to the socket.
    pub(crate) fn insert(&mut self, key: FourTuple, index: u32) {
        let secret = self.secret;
        let entry = self.entries.entry(
            hash(&secret, &key),
            |entry| entry.key == key,
            |entry| hash(&secret, &entry.key),
        );
        match entry {
            hashbrown::hash_table::Entry::Vacant(vacant) => {
                vacant.insert(Entry {
                    key,
                    members: Members::One(index),
                });
            }
            hashbrown::hash_table::Entry::Occupied(mut entry) => {
                let members = &mut entry.get_mut().members;
                match members {
                    Members::One(first) => *members = Members::Several(vec![*first, index]),
                    Members::Several(indices) => indices.push(index),
                }
            }
        }
    }

    /// Undoes [`insert`](Self::insert).
    pub(crate) fn remove(&mut self, key: &FourTuple, index: u32) {
        let hash = hash(&self.secret, key);
        let Ok(mut entry) = self.entries.find_entry(hash, |entry| entry.key == *key) else {
            return;
        };
        match &mut entry.get_mut().members {
            Members::Several(indices) => {
                // A socket that is connected after it was bound is usually the last one.
                if let Some(at) = indices.iter().rposition(|member| *member == index) {
                    indices.remove(at);
                }
                if indices.is_empty() {
                    entry.remove();
                }
            }
            Members::One(member) if *member == index => {
                entry.remove();
            }
            Members::One(_) => {}
        }
    }

    /// The socket for a datagram to a single host; `tuple` is seen from this host. A connected
    /// socket precedes one bound to the address, and that one a socket bound to every address. Of
    /// several, it is the last one bound, as on Linux.
    pub(crate) fn find(&self, tuple: &FourTuple) -> Option<u32> {
        self.candidates(tuple)
            .find_map(|members| members.last().copied())
    }

    /// The sockets for a datagram to many hosts, whatever their groups.
    pub(crate) fn all(&self, tuple: &FourTuple) -> impl Iterator<Item = u32> {
        self.candidates(tuple).flatten().copied()
    }

    /// The sockets with each key that matches the tuple, the most specific key first.
    fn candidates(&self, tuple: &FourTuple) -> impl Iterator<Item = &[u32]> {
        let on = |ip| bound_key(SocketAddr::new(ip, tuple.local_port));
        let (any, other) = match tuple.local_ip {
            IpAddr::V4(_) => (on(ANY_V4), Some(dual_key(tuple.local_port))),
            IpAddr::V6(_) => (on(ANY_V6), None),
        };
        let keys = [Some(*tuple), Some(on(tuple.local_ip)), Some(any), other];
        keys.into_iter()
            .flatten()
            .filter_map(|key| self.members(&key))
    }

    fn members(&self, key: &FourTuple) -> Option<&[u32]> {
        let entry = self
            .entries
            .find(hash(&self.secret, key), |entry| entry.key == *key)?;
        Some(entry.members.as_slice())
    }
}

/// The key of a socket that is bound to `local` and not connected.
pub(crate) fn bound_key(local: SocketAddr) -> FourTuple {
    let anyone = match local {
        SocketAddr::V4(_) => ANY_V4,
        SocketAddr::V6(_) => ANY_V6,
    };
    FourTuple::new(local, SocketAddr::new(anyone, 0))
}

/// The second key of a socket that is bound to the unspecified IPv6 address and receives IPv4 too.
/// No other socket has it: a socket bound to an address has an unspecified remote end of its own
/// family.
pub(crate) fn dual_key(port: u16) -> FourTuple {
    FourTuple::new(SocketAddr::new(ANY_V4, port), SocketAddr::new(ANY_V6, 0))
}

fn hash(secret: &[u8; 16], key: &FourTuple) -> u64 {
    key.keyed_hash(secret, b'u')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A socket of the oracle: its local end, its peer, and whether it is an IPv6 socket that
    /// receives IPv4 too.
    #[derive(Clone, Copy, Debug)]
    struct Model {
        local: SocketAddr,
        peer: Option<SocketAddr>,
        dual: bool,
    }

    impl Model {
        fn keys(&self) -> Vec<FourTuple> {
            match self.peer {
                Some(peer) => vec![FourTuple::new(self.local, peer)],
                None if self.dual => vec![bound_key(self.local), dual_key(self.local.port())],
                None => vec![bound_key(self.local)],
            }
        }

        /// How well the socket fits a datagram; `None` if it does not.
        fn rank(&self, tuple: &FourTuple) -> Option<u32> {
            if self.local.port() != tuple.local_port {
                return None;
            }
            let (own, theirs) = (self.local.ip(), tuple.local_ip);
            if let Some(peer) = self.peer {
                return (own == theirs && peer == tuple.remote()).then_some(0);
            }
            match (
                own == theirs,
                own.is_unspecified(),
                own.is_ipv4() == theirs.is_ipv4(),
            ) {
                (true, ..) => Some(1),
                (_, true, true) => Some(2),
                (_, true, false) if self.dual => Some(3),
                _ => None,
            }
        }
    }

    fn ips() -> impl Strategy<Value = IpAddr> {
        prop::sample::select(vec!["10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"])
            .prop_map(|text| text.parse().unwrap())
    }

    fn locals() -> impl Strategy<Value = IpAddr> {
        prop_oneof![ips(), Just(ANY_V4), Just(ANY_V6)]
    }

    fn models() -> impl Strategy<Value = Model> {
        (locals(), 1..3u16, prop::option::of(1..3u16), any::<bool>()).prop_map(
            |(ip, port, peer, dual)| {
                let far = if ip.is_ipv4() { "10.0.0.9" } else { "fd00::9" };
                Model {
                    local: SocketAddr::new(ip, port),
                    peer: peer
                        .filter(|_| !ip.is_unspecified())
                        .map(|port| SocketAddr::new(far.parse().unwrap(), port)),
                    dual: dual && ip == ANY_V6,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn the_table_finds_what_a_search_of_all_sockets_finds(
            steps in prop::collection::vec((models(), any::<bool>(), any::<u8>()), 1..40),
            packets in prop::collection::vec((ips(), 1..3u16, 1..4u16), 1..20),
        ) {
            let mut table = Table::new([9; 16]);
            let mut sockets: Vec<(u32, Model)> = Vec::new();
            for (number, (model, removes, which)) in steps.into_iter().enumerate() {
                if removes && !sockets.is_empty() {
                    let (index, old) = sockets.remove(usize::from(which) % sockets.len());
                    for key in old.keys() {
                        table.remove(&key, index);
                    }
                }
                for key in model.keys() {
                    table.insert(key, number as u32);
                }
                sockets.push((number as u32, model));
            }
            for (ip, port, from) in packets {
                let far = if ip.is_ipv4() { "10.0.0.9" } else { "fd00::9" };
                let far = SocketAddr::new(far.parse().unwrap(), from);
                let tuple = FourTuple::new(SocketAddr::new(ip, port), far);
                let fits = || sockets.iter().filter_map(|(index, model)| {
                    Some((model.rank(&tuple)?, std::cmp::Reverse(*index)))
                });
                let best = fits().min().map(|(_, index)| index.0);
                prop_assert_eq!(table.find(&tuple), best);
                let mut all: Vec<_> = table.all(&tuple).collect();
                let mut expected: Vec<_> = fits().map(|(_, index)| index.0).collect();
                all.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(all, expected);
            }
            for (index, model) in sockets {
                for key in model.keys() {
                    table.remove(&key, index);
                }
            }
            prop_assert!(table.entries.is_empty());
        }
    }
}
