//! A set of positions as disjoint ranges.

use std::collections::BTreeMap;
use std::iter;

/// Half-open ranges that neither overlap nor touch: touching ranges are merged.
#[derive(Clone, Debug, Default)]
pub(crate) struct RangeSet {
    /// End of each range by its start.
    ranges: BTreeMap<u64, u64>,
    covered: u64,
}

impl RangeSet {
    pub(crate) const fn new() -> Self {
        Self {
            ranges: BTreeMap::new(),
            covered: 0,
        }
    }

    /// Adds `start..end`, and calls `added` with each part of it that was not covered before, in
    /// ascending order. O(log n), plus O(log n) for each range merged.
    pub(crate) fn insert(&mut self, start: u64, end: u64, added: &mut impl FnMut(u64, u64)) {
        if start >= end || self.insert_apart(start, end, added) {
            return;
        }
        let before = self.covered;
        let mut covered = before;
        for (from, to) in self.gaps(start, end) {
            covered += to - from;
            added(from, to);
        }
        if covered == before {
            return;
        }
        self.covered = covered;

        let (mut start, mut end) = (start, end);
        if let Some((&from, &to)) = self.ranges.range(..start).next_back()
            && to >= start
        {
            start = from;
            end = end.max(to);
        }
        while let Some((&from, &to)) = self.ranges.range(start..=end).next() {
            self.ranges.remove(&from);
            end = end.max(to);
        }
        self.ranges.insert(start, end);
    }

    /// Removes every position below `position`.
    pub(crate) fn remove_below(&mut self, position: u64) {
        while let Some(first) = self.ranges.first_entry() {
            let (start, end) = (*first.key(), *first.get());
            if start >= position {
                break;
            }
            first.remove();
            self.covered -= end.min(position) - start;
            if end > position {
                self.ranges.insert(position, end);
            }
        }
        if self.ranges.is_empty() {
            self.clear();
        }
    }

    /// Adds a range that overlaps no other and touches none after it: the ordinary case, with fewer
    /// steps. Returns whether this was the case, or the range is covered already.
    fn insert_apart(&mut self, start: u64, end: u64, added: &mut impl FnMut(u64, u64)) -> bool {
        let is_last = match self.ranges.range(start..).next() {
            Some((&from, &to)) if from == start && to >= end => return true,
            Some((&from, _)) => from > end,
            None => true,
        };
        match self.ranges.range_mut(..start).next_back() {
            Some((_, to)) if *to >= end => return true,
            Some((_, to)) if *to > start || !is_last => return false,
            Some((_, to)) if *to == start => *to = end,
            _ if !is_last => return false,
            _ => {
                self.ranges.insert(start, end);
            }
        }
        self.covered += end - start;
        added(start, end);
        true
    }

    /// Removes `start..end`. O(log n), plus O(log n) for each range in it.
    pub(crate) fn remove(&mut self, start: u64, end: u64) {
        // Most ranges are removed from their beginning.
        if start < end
            && let Some(to) = self.ranges.remove(&start)
        {
            self.covered -= to.min(end) - start;
            if to > end {
                self.ranges.insert(end, to);
            }
            if to >= end {
                return;
            }
        }
        if let Some((from, to)) = self.covering(start)
            && from < start
            && start < end
        {
            self.ranges.insert(from, start);
            self.covered -= to.min(end) - start;
            if to > end {
                self.ranges.insert(end, to);
            }
        }
        while start < end
            && let Some((&from, &to)) = self.ranges.range(start..end).next()
        {
            self.ranges.remove(&from);
            self.covered -= to.min(end) - from;
            if to > end {
                self.ranges.insert(end, to);
            }
        }
    }

    /// Removes everything and frees the memory.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The range that covers `position`.
    pub(crate) fn covering(&self, position: u64) -> Option<(u64, u64)> {
        let (&start, &end) = self.ranges.range(..=position).next_back()?;
        (end > position).then_some((start, end))
    }

    /// The first range that intersects `start..end`. O(log n).
    pub(crate) fn first_within(&self, start: u64, end: u64) -> Option<(u64, u64)> {
        if start >= end {
            return None;
        }
        let next = || {
            self.ranges
                .range(start..end)
                .next()
                .map(|(&from, &to)| (from, to))
        };
        self.covering(start).or_else(next)
    }

    /// The parts of `start..end` that are not covered, in ascending order.
    pub(crate) fn gaps(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, u64)> {
        let mut cursor = self.covering(start).map_or(start, |(_, end)| end).min(end);
        let inside = self
            .ranges
            .range(cursor..end)
            .map(|(&start, &end)| (start, end));
        inside
            .chain(iter::once((end, end)))
            .filter_map(move |(from, to)| {
                let gap = (cursor, from);
                cursor = to;
                (gap.0 < gap.1).then_some(gap)
            })
    }

    /// The ranges, in ascending order.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> {
        self.ranges.iter().map(|(&start, &end)| (start, end))
    }

    /// Number of covered positions. O(1).
    pub(crate) fn covered_bytes(&self) -> u64 {
        self.covered
    }

    /// Whether no position is covered.
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u64, u64),
        Remove(u64, u64),
        RemoveBelow(u64),
        Clear,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            // Includes empty and reversed ranges.
            12 => (0u64..60, 0i64..12).prop_map(|(a, n)| Op::Insert(a, a.saturating_add_signed(n - 2))),
            4 => (0u64..60, 0i64..12).prop_map(|(a, n)| Op::Remove(a, a.saturating_add_signed(n - 2))),
            2 => (0u64..60).prop_map(Op::RemoveBelow),
            1 => Just(Op::Clear),
        ]
    }

    fn ranges_of(set: &BTreeSet<u64>) -> Vec<(u64, u64)> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for &at in set {
            match ranges.last_mut() {
                Some(last) if last.1 == at => last.1 += 1,
                _ => ranges.push((at, at + 1)),
            }
        }
        ranges
    }

    proptest! {
        #[test]
        fn the_ranges_behave_as_a_set_of_numbers(ops in prop::collection::vec(op(), 1..80)) {
            let mut set = RangeSet::default();
            let mut oracle = BTreeSet::new();
            for op in ops {
                match op {
                    Op::Insert(start, end) => {
                        let fresh: BTreeSet<_> = (start..end).filter(|at| !oracle.contains(at)).collect();
                        prop_assert_eq!(set.gaps(start, end).collect::<Vec<_>>(), ranges_of(&fresh));
                        let mut added = Vec::new();
                        set.insert(start, end, &mut |from, to| added.push((from, to)));
                        prop_assert_eq!(added, ranges_of(&fresh));
                        oracle.extend(fresh);
                    }
                    Op::Remove(start, end) => {
                        set.remove(start, end);
                        oracle.retain(|at| !(start..end).contains(at));
                    }
                    Op::RemoveBelow(position) => {
                        set.remove_below(position);
                        oracle = oracle.split_off(&position);
                    }
                    Op::Clear => {
                        set.clear();
                        oracle.clear();
                    }
                }
                let expected = ranges_of(&oracle);
                prop_assert_eq!(set.iter().collect::<Vec<_>>(), expected.clone());
                prop_assert!(set.iter().rev().eq(expected.iter().rev().copied()));
                prop_assert_eq!(set.covered_bytes(), oracle.len() as u64);
                prop_assert_eq!(set.is_empty(), oracle.is_empty());
                for at in 0..75 {
                    let within = expected.iter().copied().find(|&(start, end)| start < at + 5 && end > at);
                    prop_assert_eq!(set.first_within(at, at + 5), within);
                    prop_assert_eq!(set.first_within(at, at), None);
                    let covering = expected.iter().copied().find(|&(start, end)| start <= at && at < end);
                    prop_assert_eq!(set.covering(at), covering);
                }
            }
        }
    }

    #[test]
    fn the_ends_of_the_number_line_are_ordinary() {
        let mut set = RangeSet::default();
        set.insert(u64::MAX - 1, u64::MAX, &mut |_, _| {});
        set.insert(0, 1, &mut |_, _| {});
        assert_eq!(set.covering(u64::MAX - 1), Some((u64::MAX - 1, u64::MAX)));
        assert_eq!(set.covering(u64::MAX), None);
        set.insert(0, u64::MAX, &mut |from, to| {
            assert_eq!((from, to), (1, u64::MAX - 1));
        });
        assert_eq!(set.covered_bytes(), u64::MAX);
        set.remove_below(u64::MAX);
        assert!(set.is_empty());
    }
}
