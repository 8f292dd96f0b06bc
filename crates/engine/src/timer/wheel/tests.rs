use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// The wheel and an ordered map with the same timers.
#[derive(Default)]
struct Checked {
    wheel: Wheel,
    /// Tick and key of each timer, with its id.
    oracle: BTreeMap<(u64, u32), TimerId>,
    now: Instant,
    keys: u32,
    /// A timer was removed before its time, so that `next_deadline` may be early.
    disturbed: bool,
}

impl Checked {
    /// The tick at which a timer started now must fire.
    fn tick(&self, deadline: Instant) -> u64 {
        let tick = deadline.as_nanos().div_ceil(TICK_NANOS);
        tick.max(self.now.as_nanos() / TICK_NANOS).min(MAX_TICK)
    }

    fn insert(&mut self, deadline: Instant) -> TimerId {
        let id = self.wheel.insert(deadline, self.keys);
        self.oracle.insert((self.tick(deadline), self.keys), id);
        self.keys += 1;
        id
    }

    fn pick(&self, n: usize) -> Option<((u64, u32), TimerId)> {
        let n = n % self.oracle.len().max(1);
        self.oracle.iter().nth(n).map(|(&place, &id)| (place, id))
    }

    fn cancel(&mut self, n: usize) {
        if let Some((place, id)) = self.pick(n) {
            assert!(self.wheel.cancel(id));
            assert!(!self.wheel.cancel(id));
            self.oracle.remove(&place);
            self.disturbed = true;
        }
    }

    fn rearm(&mut self, n: usize, deadline: Instant) {
        if let Some((place, id)) = self.pick(n) {
            self.wheel.rearm(id, deadline);
            self.oracle.remove(&place);
            self.oracle.insert((self.tick(deadline), place.1), id);
            self.disturbed = true;
        }
    }

    /// The next timer that is due, processed in units of three steps. While a timer is due, the
    /// wheel reports it in between.
    fn next_due(wheel: &mut Wheel, now: Instant, is_due: bool) -> Option<u32> {
        loop {
            let mut steps = 3;
            match wheel.expire_within(now, &mut steps) {
                None if steps == 0 => {
                    let due = wheel.next_deadline().is_some_and(|next| next <= now);
                    assert!(due || !is_due, "what is due is forgotten");
                }
                found => return found,
            }
        }
    }

    /// Advances the time, and checks that exactly the due timers fire, in order of their ticks.
    fn advance(&mut self, now: Instant) {
        self.now = now;
        let later = self.oracle.split_off(&(now.as_nanos() / TICK_NANOS + 1, 0));
        let mut due = mem::replace(&mut self.oracle, later);
        while let Some(key) = Self::next_due(&mut self.wheel, now, !due.is_empty()) {
            let first = due.first_key_value().map(|(place, _)| place.0);
            let tick = first.expect("nothing more is due");
            let id = due
                .remove(&(tick, key))
                .expect("the timers of the earliest tick fire first");
            assert!(!self.wheel.cancel(id), "a timer that fired is gone");
        }
        assert!(due.is_empty(), "not fired: {due:?}");
    }

    fn check(&self) {
        let earliest = self.oracle.first_key_value().map(|(place, _)| place.0);
        let earliest = earliest.map(|tick| Instant::from_nanos(tick * TICK_NANOS));
        let next = self.wheel.next_deadline();
        assert_eq!(next.is_some(), earliest.is_some());
        assert!(
            next <= earliest,
            "would wake at {next:?}, too late for {earliest:?}"
        );
        assert!(
            self.disturbed || next == earliest,
            "would wake at {next:?} for {earliest:?}"
        );
        assert_eq!(self.wheel.len(), self.oracle.len());
        assert_eq!(self.wheel.is_empty(), self.oracle.is_empty());
    }
}

#[derive(Clone, Debug)]
enum Op {
    Insert(u64),
    Overdue(u64),
    Cancel(usize),
    Rearm(usize, u64),
    Advance(u64),
    /// To the time that the wheel requests.
    Follow,
}

/// A time span, with all magnitudes equally likely and often near the boundary of a level.
fn span() -> impl Strategy<Value = u64> {
    prop_oneof![
        (0u32..63, any::<u64>()).prop_map(|(shift, n)| n >> (63 - shift)),
        (0u32..10, 0u64..3).prop_map(|(level, n)| ((1 << (6 * level)) - 1 + n) * TICK_NANOS),
        0u64..5_000,
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => span().prop_map(Op::Insert),
        1 => span().prop_map(Op::Overdue),
        2 => any::<usize>().prop_map(Op::Cancel),
        2 => (any::<usize>(), span()).prop_map(|(n, span)| Op::Rearm(n, span)),
        3 => span().prop_map(Op::Advance),
        3 => Just(Op::Follow),
    ]
}

fn run(start: u64, ops: Vec<Op>) {
    let mut checked = Checked {
        now: Instant::from_nanos(start),
        ..Checked::default()
    };
    // The wheel's own time has not advanced yet: `tick` counts from `now`, the wheel from the
    // origin.
    checked.advance(Instant::from_nanos(start));
    for op in ops {
        let after = |span| checked.now + Duration::from_nanos(span);
        match op {
            Op::Insert(span) => {
                checked.insert(after(span));
            }
            Op::Overdue(span) => {
                checked.insert(Instant::from_nanos(
                    checked.now.as_nanos().saturating_sub(span),
                ));
            }
            Op::Cancel(n) => checked.cancel(n),
            Op::Rearm(n, span) => checked.rearm(n, after(span)),
            Op::Advance(span) => checked.advance(after(span)),
            Op::Follow => {
                if let Some(next) = checked.wheel.next_deadline() {
                    checked.advance(next.max(checked.now));
                    assert!(
                        checked
                            .wheel
                            .next_deadline()
                            .is_none_or(|later| later > next)
                    );
                }
            }
        }
        checked.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_wheel_behaves_as_an_ordered_map(start in span(), ops in prop::collection::vec(op(), 1..150)) {
        run(start, ops);
    }

    #[test]
    fn undisturbed_it_always_wakes_exactly(start in span(), ops in prop::collection::vec(op(), 1..150)) {
        let only_fires = |op: &Op| !matches!(op, Op::Cancel(_) | Op::Rearm(..));
        run(start, ops.into_iter().filter(only_fires).collect());
    }

    /// `expire` was not called for a long time, because nothing was due.
    #[test]
    fn a_wheel_that_lags_behind_the_clock_is_right(
        now in span(), spans in prop::collection::vec(span(), 1..20),
    ) {
        let mut checked = Checked { now: Instant::from_nanos(now), ..Checked::default() };
        for span in &spans {
            checked.insert(checked.now + Duration::from_nanos(*span));
            checked.check();
        }
        while let Some(next) = checked.wheel.next_deadline() {
            checked.advance(next);
            checked.check();
        }
        prop_assert!(checked.oracle.is_empty());
    }
}

#[test]
fn a_timer_fires_at_the_boundary_of_every_level_and_not_before() {
    for level in 0..LEVELS {
        let boundary = 1u64 << (LEVEL_BITS * level);
        for start in [0, 1, boundary - 1, boundary, boundary * 63] {
            for tick in [start + boundary - 1, start + boundary, start + boundary + 1] {
                let mut wheel = Wheel::new();
                assert_eq!(wheel.expire(Instant::from_nanos(start * TICK_NANOS)), None);
                let tick = tick.min(MAX_TICK);
                let deadline = Instant::from_nanos(tick * TICK_NANOS);
                wheel.insert(deadline, 7);
                if tick > start {
                    assert_eq!(
                        wheel.expire(Instant::from_nanos(tick * TICK_NANOS - 1)),
                        None
                    );
                }
                assert_eq!(wheel.next_deadline(), Some(deadline));
                assert_eq!(wheel.expire(deadline), Some(7), "from {start} to {tick}");
            }
        }
    }
}

#[test]
fn a_deadline_within_a_tick_is_rounded_up() {
    let mut wheel = Wheel::new();
    wheel.insert(Instant::from_nanos(1_001), 1);
    assert_eq!(wheel.expire(Instant::from_nanos(1_999)), None);
    assert_eq!(wheel.next_deadline(), Some(Instant::from_nanos(2_000)));
    assert_eq!(wheel.expire(Instant::from_nanos(2_000)), Some(1));
}

#[test]
fn the_end_of_time_is_reached() {
    let mut wheel = Wheel::new();
    wheel.insert(Instant::from_nanos(u64::MAX), 1);
    let last = Instant::from_nanos(MAX_TICK * TICK_NANOS);
    assert_eq!(wheel.next_deadline(), Some(last));
    assert_eq!(
        wheel.expire(Instant::from_nanos(MAX_TICK * TICK_NANOS - 1)),
        None
    );
    assert_eq!(wheel.expire(Instant::from_nanos(u64::MAX)), Some(1));
    wheel.insert(Instant::from_nanos(u64::MAX), 2);
    assert_eq!(wheel.expire(Instant::from_nanos(u64::MAX)), Some(2));
}

#[test]
fn time_does_not_go_back() {
    let mut wheel = Wheel::new();
    assert_eq!(wheel.expire(Instant::from_millis(10)), None);
    wheel.insert(Instant::from_millis(11), 1);
    assert_eq!(wheel.expire(Instant::from_millis(5)), None);
    assert_eq!(wheel.next_deadline(), Some(Instant::from_millis(11)));
    assert_eq!(wheel.expire(Instant::from_millis(11)), Some(1));
}

#[test]
fn a_stale_id_touches_nobody_else() {
    let mut wheel = Wheel::new();
    let old = wheel.insert(Instant::from_millis(1), 1);
    assert!(wheel.cancel(old));
    let new = wheel.insert(Instant::from_millis(2), 2);
    assert_eq!(old.index, new.index, "the entry is used again");
    assert!(!wheel.cancel(old));
    wheel.rearm(old, Instant::from_millis(9));
    assert_eq!(wheel.next_deadline(), Some(Instant::from_millis(2)));
    assert_eq!(wheel.expire(Instant::from_millis(2)), Some(2));
}

#[test]
fn entries_are_used_again() {
    let mut wheel = Wheel::new();
    for round in 0..1_000 {
        let ids: Vec<_> = (0..10)
            .map(|n| wheel.insert(Instant::from_millis(round + n), n as u32))
            .collect();
        assert!(ids.into_iter().all(|id| wheel.cancel(id)));
    }
    assert_eq!(wheel.entries.len(), 10);
}
