//! Linked lists through the records of a slab. A record stores its own links, so that it can leave
//! from any position, and the cost of an operation does not depend on the length of the list. A
//! record that can be in several lists at once stores links for each of them.

use crate::table::slab::Slab;

/// The index that means "no record".
const NONE: u32 = u32::MAX;

/// A record's neighbours in a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Links {
    before: u32,
    after: u32,
}

impl Default for Links {
    fn default() -> Self {
        Self {
            before: NONE,
            after: NONE,
        }
    }
}

/// Access to the links that a record stores for lists of one kind.
type LinksOf<T> = fn(&mut T) -> &mut Links;

/// Records in the order of insertion. All calls must pass the same slab and the same `links`.
#[derive(Debug)]
pub(crate) struct List {
    first: u32,
    last: u32,
    len: u32,
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

impl List {
    pub(crate) const fn new() -> Self {
        Self {
            first: NONE,
            last: NONE,
            len: 0,
        }
    }

    /// Appends a record that is in no list of this kind.
    pub(crate) fn push<T>(&mut self, records: &mut Slab<T>, index: u32, links: LinksOf<T>) {
        let Some(record) = records.at_mut(index) else {
            return;
        };
        *links(record) = Links {
            before: self.last,
            after: NONE,
        };
        match records.at_mut(self.last) {
            Some(last) => links(last).after = index,
            None => self.first = index,
        }
        self.last = index;
        self.len += 1;
    }

    /// Removes a record, which must be in this list.
    pub(crate) fn remove<T>(&mut self, records: &mut Slab<T>, index: u32, links: LinksOf<T>) {
        let Some(record) = records.at_mut(index) else {
            return;
        };
        let Links { before, after } = std::mem::take(links(record));
        match records.at_mut(before) {
            Some(record) => links(record).after = after,
            None => self.first = after,
        }
        match records.at_mut(after) {
            Some(record) => links(record).before = before,
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

impl Links {
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

    fn in_order(list: &List, records: &Slab<Links>) -> Vec<u32> {
        let next = |index: &u32| records.at(*index).and_then(Links::after);
        std::iter::successors(list.first(), next).collect()
    }

    proptest! {
        /// `None` appends a record; a number removes the record at that position.
        #[test]
        fn a_list_keeps_the_order_when_any_record_leaves(
            steps in prop::collection::vec(any::<Option<u8>>(), 0..60),
        ) {
            let links: LinksOf<Links> = |record| record;
            let (mut records, mut list) = (Slab::new(), List::new());
            let mut oracle = VecDeque::new();
            for step in steps {
                match step.filter(|_| !oracle.is_empty()) {
                    Some(which) => {
                        let index = oracle.remove(usize::from(which) % oracle.len()).unwrap();
                        list.remove(&mut records, index, links);
                        records.remove(index);
                    }
                    None => {
                        let (index, _) = records.insert(Links::default());
                        list.push(&mut records, index, links);
                        oracle.push_back(index);
                    }
                }
                prop_assert_eq!(list.len(), oracle.len());
                prop_assert_eq!(in_order(&list, &records), Vec::from(oracle.clone()));
            }
        }
    }
}
