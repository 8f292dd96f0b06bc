//! Linked lists through the records of a slab. The links are stored in the records, each of which
//! is in at most one list, so that appending a record and removing one from any position take
//! constant time.

use super::slab::Slab;

/// The index that means "no record".
const NONE: u32 = u32::MAX;

/// A record's neighbours in its list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Links {
    prev: u32,
    next: u32,
}

impl Default for Links {
    fn default() -> Self {
        Self {
            prev: NONE,
            next: NONE,
        }
    }
}

/// A record that can be in a list.
pub(crate) trait Linked {
    fn links(&mut self) -> &mut Links;
}

/// See the module.
#[derive(Debug)]
pub(crate) struct List {
    first: u32,
    last: u32,
    len: usize,
}

impl Default for List {
    fn default() -> Self {
        Self {
            first: NONE,
            last: NONE,
            len: 0,
        }
    }
}

impl List {
    /// Appends a record, which must not be in a list.
    pub(crate) fn push<T: Linked>(&mut self, slab: &mut Slab<T>, index: u32) {
        let links = Links {
            prev: self.last,
            next: NONE,
        };
        let Some(record) = slab.at_mut(index) else {
            return;
        };
        *record.links() = links;
        match slab.at_mut(self.last) {
            Some(last) => last.links().next = index,
            None => self.first = index,
        }
        self.last = index;
        self.len += 1;
    }

    /// Removes a record, which must be in this list.
    pub(crate) fn remove<T: Linked>(&mut self, slab: &mut Slab<T>, index: u32) {
        let Some(record) = slab.at_mut(index) else {
            return;
        };
        let Links { prev, next } = std::mem::take(record.links());
        match slab.at_mut(prev) {
            Some(before) => before.links().next = next,
            None => self.first = next,
        }
        match slab.at_mut(next) {
            Some(after) => after.links().prev = prev,
            None => self.last = prev,
        }
        self.len -= 1;
    }

    /// The record that has been in the list longest.
    pub(crate) fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Record(Links);

    impl Linked for Record {
        fn links(&mut self) -> &mut Links {
            &mut self.0
        }
    }

    proptest! {
        /// `None` appends a record; a number removes the record at that position.
        #[test]
        fn a_list_behaves_as_a_queue(
            ops in prop::collection::vec(prop::option::of(0usize..20), 1..100),
        ) {
            let mut slab = Slab::new();
            let mut list = List::default();
            let mut oracle = VecDeque::new();
            for op in ops {
                match op {
                    None => {
                        let (index, _) = slab.insert(Record::default());
                        list.push(&mut slab, index);
                        oracle.push_back(index);
                    }
                    Some(n) => {
                        if let Some(index) = oracle.remove(n % oracle.len().max(1)) {
                            list.remove(&mut slab, index);
                            slab.remove(index);
                        }
                    }
                }
                prop_assert_eq!(list.first(), oracle.front().copied());
                prop_assert_eq!(list.len(), oracle.len());
            }
            while let Some(index) = list.first() {
                prop_assert_eq!(oracle.pop_front(), Some(index));
                list.remove(&mut slab, index);
                slab.remove(index);
            }
            prop_assert!(oracle.is_empty());
        }
    }
}
