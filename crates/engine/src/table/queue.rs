//! Queues of records in a slab. A record stores its own links, so that it can leave from any
//! position, and the cost of an operation does not depend on the length of the queue.

use crate::table::slab::Slab;

/// The index that means "no record".
const NONE: u32 = u32::MAX;

/// A record's neighbours in a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    before: u32,
    after: u32,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            before: NONE,
            after: NONE,
        }
    }
}

/// Access to the links that a record stores for queues of one kind.
type LinkOf<T> = fn(&mut T) -> &mut Link;

/// Records in the order of insertion. All calls must pass the same slab and the same `link`.
#[derive(Debug)]
pub(crate) struct Queue {
    first: u32,
    last: u32,
    len: u32,
}

impl Queue {
    pub(crate) const fn new() -> Self {
        Self {
            first: NONE,
            last: NONE,
            len: 0,
        }
    }

    /// Appends a record that is in no queue of this kind.
    pub(crate) fn push<T>(&mut self, records: &mut Slab<T>, index: u32, link: LinkOf<T>) {
        let Some(record) = records.at_mut(index) else {
            return;
        };
        *link(record) = Link {
            before: self.last,
            after: NONE,
        };
        match records.at_mut(self.last) {
            Some(last) => link(last).after = index,
            None => self.first = index,
        }
        self.last = index;
        self.len += 1;
    }

    /// Removes a record, which must be in this queue.
    pub(crate) fn remove<T>(&mut self, records: &mut Slab<T>, index: u32, link: LinkOf<T>) {
        let Some(record) = records.at_mut(index) else {
            return;
        };
        let Link { before, after } = std::mem::take(link(record));
        match records.at_mut(before) {
            Some(record) => link(record).after = after,
            None => self.first = after,
        }
        match records.at_mut(after) {
            Some(record) => link(record).before = before,
            None => self.last = before,
        }
        self.len -= 1;
    }

    pub(crate) const fn first(&self) -> Option<u32> {
        some(self.first)
    }

    pub(crate) const fn len(&self) -> usize {
        self.len as usize
    }
}

impl Link {
    /// The record after this one.
    pub(crate) const fn after(&self) -> Option<u32> {
        some(self.after)
    }
}

const fn some(index: u32) -> Option<u32> {
    if index == NONE { None } else { Some(index) }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn in_order(queue: &Queue, records: &mut Slab<Link>) -> Vec<u32> {
        let next = |index: &u32| records.at(*index).and_then(Link::after);
        std::iter::successors(queue.first(), next).collect()
    }

    proptest! {
        #[test]
        fn a_queue_keeps_the_order_whoever_leaves(steps in prop::collection::vec(any::<Option<u8>>(), 0..60)) {
            let link: LinkOf<Link> = |link| link;
            let (mut records, mut queue) = (Slab::new(), Queue::new());
            let mut oracle = VecDeque::new();
            for step in steps {
                match step.filter(|_| !oracle.is_empty()) {
                    Some(which) => {
                        let index = oracle.remove(usize::from(which) % oracle.len()).unwrap();
                        queue.remove(&mut records, index, link);
                        records.remove(index);
                    }
                    None => {
                        let (index, _) = records.insert(Link::default());
                        queue.push(&mut records, index, link);
                        oracle.push_back(index);
                    }
                }
                prop_assert_eq!(queue.len(), oracle.len());
                prop_assert_eq!(in_order(&queue, &mut records), Vec::from(oracle.clone()));
            }
        }
    }
}
