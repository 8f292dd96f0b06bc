//! Fair use of a bounded resource: the amount that each owner holds, and the entry that gives way
//! when there is no room for a new one.
//!
//! Entries have an owner and a weight. When room is needed, an owner that holds more than its fair
//! part gives way to all others: the oldest entry of the largest holder is removed. If no owner
//! exceeds its fair part, the oldest entry of all is removed: a very large number of owners, which
//! may be one attacker in disguise, can be distinguished only by age. The cost of each step is
//! logarithmic in the number of entries.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The weight and owner of one entry, and its place in the order of age.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holding {
    owner: IpAddr,
    serial: u64,
    weight: usize,
}

/// See the module. `N` names an entry.
#[derive(Debug)]
pub(crate) struct Shares<N> {
    /// The weight above which an owner exceeds its fair part.
    fair: usize,
    held: usize,
    by_age: BTreeMap<u64, N>,
    by_owner: BTreeMap<(IpAddr, u64), N>,
    owners: BTreeMap<IpAddr, usize>,
    /// Owners ordered by the weight that they hold.
    ranking: BTreeSet<(usize, IpAddr)>,
    next_serial: u64,
}

impl<N: Copy> Shares<N> {
    /// Creates an empty set. Owners of more than `fair` give way first.
    pub(crate) const fn new(fair: usize) -> Self {
        Self {
            fair,
            held: 0,
            by_age: BTreeMap::new(),
            by_owner: BTreeMap::new(),
            owners: BTreeMap::new(),
            ranking: BTreeSet::new(),
            next_serial: 0,
        }
    }

    /// Total weight of all entries.
    pub(crate) const fn held(&self) -> usize {
        self.held
    }

    /// The oldest entry.
    pub(crate) fn oldest(&self) -> Option<N> {
        self.by_age.first_key_value().map(|(_, &name)| name)
    }

    /// The entry that gives way next.
    pub(crate) fn first_to_go(&self) -> Option<N> {
        match self.ranking.last() {
            Some(&(held, owner)) if held > self.fair => {
                let mut entries = self.by_owner.range((owner, 0)..=(owner, u64::MAX));
                entries.next().map(|(_, &name)| name)
            }
            _ => self.oldest(),
        }
    }

    /// Adds a new entry, the youngest.
    pub(crate) fn add(&mut self, owner: IpAddr, weight: usize, name: N) -> Holding {
        let serial = self.next_serial;
        self.next_serial += 1;
        self.by_age.insert(serial, name);
        self.by_owner.insert((owner, serial), name);
        let mut holding = Holding {
            owner,
            serial,
            weight: 0,
        };
        self.grow(&mut holding, weight);
        holding
    }

    /// Increases the weight of an entry by `more`.
    pub(crate) fn grow(&mut self, holding: &mut Holding, more: usize) {
        holding.weight += more;
        self.held += more;
        let held = self.owners.entry(holding.owner).or_default();
        self.ranking.remove(&(*held, holding.owner));
        *held += more;
        self.ranking.insert((*held, holding.owner));
    }

    /// Removes an entry.
    pub(crate) fn remove(&mut self, holding: &Holding) {
        let Holding {
            owner,
            serial,
            weight,
        } = *holding;
        self.by_age.remove(&serial);
        self.by_owner.remove(&(owner, serial));
        self.held -= weight;
        let Some(held) = self.owners.get_mut(&owner) else {
            return;
        };
        self.ranking.remove(&(*held, owner));
        *held -= weight;
        if *held == 0 {
            self.owners.remove(&owner);
        } else {
            self.ranking.insert((*held, owner));
        }
    }
}

/// The network of a host, which counts as one owner: the first `v4` or `v6` bits of its address.
pub(crate) fn network(host: IpAddr, v4: u32, v6: u32) -> IpAddr {
    match host {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - v4).unwrap_or(0);
            IpAddr::V4((ip.to_bits() & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - v6).unwrap_or(0);
            IpAddr::V6((ip.to_bits() & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    #[test]
    fn the_oldest_of_the_greediest_goes_first() {
        let mut shares = Shares::new(100);
        let mut holdings = Vec::new();
        for (name, (number, weight)) in [(1, 50), (2, 60), (3, 70), (2, 60), (3, 70)]
            .into_iter()
            .enumerate()
        {
            holdings.push(shares.add(owner(number), weight, name));
        }
        let mut order = Vec::new();
        while let Some(name) = shares.first_to_go() {
            shares.remove(&holdings[name]);
            order.push(name);
        }
        // Owner 3 holds 140 and owner 2 holds 120. After that no owner holds more than 100, and age
        // decides.
        assert_eq!(order, [2, 1, 0, 3, 4]);
        assert_eq!(shares.held(), 0);
        assert!(shares.owners.is_empty() && shares.ranking.is_empty());
    }

    #[test]
    fn an_entry_that_grows_makes_its_owner_greedy() {
        let mut shares = Shares::new(100);
        shares.add(owner(1), 90, 'a');
        let mut grown = shares.add(owner(2), 90, 'b');
        assert_eq!(shares.first_to_go(), Some('a'));
        shares.grow(&mut grown, 20);
        assert_eq!((shares.first_to_go(), shares.held()), (Some('b'), 200));
        shares.remove(&grown);
        assert_eq!((shares.first_to_go(), shares.held()), (Some('a'), 90));
    }

    #[test]
    fn networks() {
        let v6: IpAddr = "2001:db8:1:2::3".parse().unwrap();
        assert_eq!(network(owner(9), 24, 64), owner(0));
        assert_eq!(network(owner(9), 32, 64), owner(9));
        assert_eq!(network(v6, 32, 48).to_string(), "2001:db8:1::");
        assert_eq!(network(v6, 32, 128), v6);
    }
}
