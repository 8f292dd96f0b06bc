//! All short sequences of arrivals over a few positions, against an array of bytes.

use super::*;

/// Number of positions tested.
const DOMAIN: usize = 8;
/// The first position.
const BASE: u64 = 1 << 32;
/// Room for all of them.
const AMPLE: usize = 1 << 16;

type Range = (usize, usize);

/// The byte held at each position, and the latest arrivals.
#[derive(Default)]
struct Model {
    held: [Option<u8>; DOMAIN],
    arrivals: Vec<usize>,
}

impl Model {
    fn insert(&mut self, (start, end): Range, data: &[u8], limit: usize) -> Inserted {
        let mut inserted = Inserted::default();
        for (at, byte) in (start..end).zip(data) {
            if self.held[at].is_some() {
                if inserted.duplicate.is_none_or(|(_, to)| to == position(at)) {
                    let from = inserted.duplicate.map_or(position(at), |(from, _)| from);
                    inserted.duplicate = Some((from, position(at) + 1));
                }
            } else if self.held.iter().flatten().count() < limit {
                self.held[at] = Some(*byte);
            } else {
                inserted.dropped = end - at;
                break;
            }
        }
        let held = &self.held;
        self.arrivals
            .retain(|&old| old != start && held[old].is_some());
        self.arrivals.insert(0, start);
        self.arrivals.truncate(ARRIVALS);
        inserted
    }

    fn take(&mut self, next: usize) -> Vec<u8> {
        let taken: Vec<u8> = self.held[next..].iter().map_while(|byte| *byte).collect();
        self.held[..next + taken.len()].fill(None);
        taken
    }

    /// The contiguous range around `at`.
    fn around(&self, at: usize) -> Option<(u64, u64)> {
        self.held[at]?;
        let before = self.held[..at].iter().rev();
        let start = at - before.take_while(|byte| byte.is_some()).count();
        let behind = self.held[at..].iter();
        let end = at + behind.take_while(|byte| byte.is_some()).count();
        Some((position(start), position(end)))
    }
}

fn position(at: usize) -> u64 {
    BASE + at as u64
}

fn ranges() -> impl Iterator<Item = Range> + Clone {
    (0..DOMAIN).flat_map(|start| (start + 1..=DOMAIN).map(move |end| (start, end)))
}

/// The bytes of arrival number `turn`, different at each position and turn.
fn bytes((start, end): Range, turn: usize) -> Bytes {
    (start..end).map(|at| (turn * DOMAIN + at) as u8).collect()
}

fn replay(sequence: &[Range], limit: usize) -> (Assembler, Model) {
    let (mut assembler, mut model) = (Assembler::default(), Model::default());
    for (turn, &range) in sequence.iter().enumerate() {
        let data = bytes(range, turn);
        let expected = model.insert(range, &data, limit);
        let inserted = assembler.insert(position(range.0), data, limit, 0);
        assert_eq!(inserted, expected, "{sequence:?} within {limit}");
    }
    (assembler, model)
}

fn compare(assembler: &Assembler, model: &Model, said: &impl std::fmt::Debug) {
    for at in 0..DOMAIN {
        let held = assembler.first_held(position(at), position(at) + 1);
        assert_eq!(held.is_some(), model.held[at].is_some(), "{said:?}");
    }
    let latest = model.arrivals.iter().filter_map(|&at| model.around(at));
    assert!(assembler.latest().eq(latest), "{said:?}");
    let empty = model.held.iter().all(Option::is_none);
    assert_eq!(
        (assembler.is_empty(), assembler.memory() == 0),
        (empty, empty),
        "{said:?}"
    );
}

/// Removes everything that continues the stream at `next`, as the connection does.
fn take(assembler: &mut Assembler, next: usize) -> Vec<u8> {
    let mut taken = Vec::new();
    while let Some((piece, _)) = assembler.take_contiguous(position(next + taken.len())) {
        taken.extend_from_slice(&piece);
    }
    taken
}

/// Calls `check` with every sequence of at most `longest` ranges.
fn for_all(longest: usize, sequence: &mut Vec<Range>, check: &mut impl FnMut(&[Range])) {
    check(sequence);
    if sequence.len() < longest {
        for range in ranges() {
            sequence.push(range);
            for_all(longest, sequence, check);
            sequence.pop();
        }
    }
}

#[test]
fn four_arrivals_leave_what_an_array_would_hold() {
    let mut count = 0;
    for_all(4, &mut Vec::new(), &mut |sequence| {
        let (assembler, model) = replay(sequence, AMPLE);
        compare(&assembler, &model, &sequence);
        count += 1;
    });
    assert_eq!(count, (0..=4).map(|len| 36_usize.pow(len)).sum::<usize>());
}

#[test]
fn three_arrivals_where_room_is_scarce() {
    for limit in 0..DOMAIN {
        for_all(3, &mut Vec::new(), &mut |sequence| {
            let (assembler, model) = replay(sequence, limit);
            compare(&assembler, &model, &(sequence, limit));
        });
    }
}

#[test]
fn what_is_taken_is_what_came_first() {
    for_all(3, &mut Vec::new(), &mut |sequence| {
        for next in 0..=DOMAIN {
            let (mut assembler, mut model) = replay(sequence, AMPLE);
            let said = (sequence, next);
            assert_eq!(take(&mut assembler, next), model.take(next), "{said:?}");
            compare(&assembler, &model, &said);
        }
    });
}
