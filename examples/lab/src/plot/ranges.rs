//! The set of sequence numbers seen, in any order.

use std::collections::BTreeMap;

/// Ranges that neither touch nor overlap.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges(BTreeMap<i64, i64>);

impl Ranges {
    /// Adds the numbers from `start` up to but not including `end`; returns the new ranges among
    /// them, in order.
    pub(super) fn insert(&mut self, start: i64, end: i64) -> Vec<(i64, i64)> {
        let (mut left, mut right) = (start, end);
        let mut news = Vec::new();
        // From the last range that begins at or before `end` downwards, until one ends before
        // `start`.
        let mut unseen = end;
        while let Some((&from, &to)) = self.0.range(..=end).next_back() {
            if to < start {
                break;
            }
            self.0.remove(&from);
            if to < unseen {
                news.push((to.max(start), unseen));
            }
            unseen = unseen.min(from);
            left = left.min(from);
            right = right.max(to);
        }
        if start < unseen {
            news.push((start, unseen));
        }
        if left < right {
            self.0.insert(left, right);
        }
        news.retain(|(from, to)| from < to);
        news.reverse();
        news
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ranges_agree_with_a_set_of_numbers() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..200 {
            let (mut ranges, mut seen) = (Ranges::default(), BTreeSet::new());
            for _ in 0..30 {
                let start = random.i64(0..60);
                let end = start + random.i64(0..12);
                let news = ranges.insert(start, end);
                let told: Vec<_> = news.iter().flat_map(|(from, to)| *from..*to).collect();
                let expected: Vec<_> = (start..end).filter(|n| seen.insert(*n)).collect();
                assert_eq!(told, expected);
            }
            let kept = ranges.0.iter().flat_map(|(from, to)| *from..*to);
            assert!(kept.eq(seen), "{ranges:?}");
            let ends: Vec<_> = ranges.0.iter().collect();
            assert!(ends.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }
}
