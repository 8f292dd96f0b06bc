//! The hierarchical timing wheel of a stack's timers.

use std::fmt;
use std::mem;
use std::num::NonZeroU32;

use crate::time::Instant;

#[cfg(test)]
mod tests;

const TICK_NANOS: u64 = 1_000;
/// Bits of the tick that one level resolves.
const LEVEL_BITS: usize = 6;
const SLOTS: usize = 1 << LEVEL_BITS;
const LEVELS: usize = 9;
/// The last tick of the top level, about 571 years after the origin.
const MAX_TICK: u64 = (1 << (LEVEL_BITS * LEVELS)) - 1;
/// The index that means "no entry".
const NONE: u32 = u32::MAX;

/// Names one timer on a [`Wheel`], until it fires or is cancelled. An id that has outlived its
/// timer is recognised and matches nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId {
    index: u32,
    generation: NonZeroU32,
}

/// A hierarchical timing wheel: insert, cancel and re-arm take constant time, whatever the number
/// of timers.
///
/// Time is divided into ticks of one microsecond, deadlines are rounded up to the tick, and a timer
/// carries a `key` whose meaning only the caller knows. Nine levels of 64 slots cover all
/// representable time. A timer lies on the level of the highest 6-bit digit in which its tick
/// differs from the wheel's own time, in the slot of that digit; it falls to a lower level when the
/// wheel's time reaches its slot. So a timer on a lower level is always due before one on a higher
/// level, slots never wrap, and the time between two occupied slots is skipped in one step.
///
/// The wheel's own time advances only in [`expire`](Self::expire), and may lag behind the clock
/// while nothing is due. Timers are stored in a slab, which allocates only when there are more of
/// them than ever before.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use millstream_engine::{Instant, Wheel};
///
/// let mut wheel = Wheel::new();
/// let start = Instant::from_millis(5);
/// let retransmit = wheel.insert(start + Duration::from_millis(200), 1);
/// wheel.insert(start + Duration::from_millis(40), 2);
/// assert_eq!(wheel.next_deadline(), Some(Instant::from_millis(45)));
///
/// let now = Instant::from_millis(45);
/// assert_eq!(wheel.expire(now), Some(2));
/// assert_eq!(wheel.expire(now), None);
/// assert!(wheel.cancel(retransmit));
/// assert!(wheel.is_empty());
/// ```
pub struct Wheel {
    /// The wheel's own time, in ticks. No timer is filed before it.
    elapsed: u64,
    /// The slots of each level that hold timers, one bit each.
    occupied: [u64; LEVELS],
    slots: Box<[Slot; LEVELS * SLOTS]>,
    entries: Vec<Entry>,
    /// The first free entry; the others follow by `next`.
    free: u32,
    len: usize,
    /// The slot that the wheel's time has reached, while timers in it have not fallen to lower
    /// levels.
    falling: Option<usize>,
}

#[derive(Clone, Copy)]
struct Slot {
    /// Lower bound of the ticks in the slot: the earliest tick inserted since the slot was last
    /// empty.
    min: u64,
    /// The entry inserted last.
    head: u32,
}

struct Entry {
    /// The tick at which it is due.
    tick: u64,
    next: u32,
    prev: u32,
    key: u32,
    /// Changes whenever the entry is freed, so that older ids do not match.
    generation: NonZeroU32,
    /// Index into [`Wheel::slots`].
    slot: u16,
}

const _: () = assert!(size_of::<Entry>() == 32);

#[expect(
    clippy::indexing_slicing,
    reason = "entries are linked by their own indices, and a slot's is part of a tick"
)]
impl Wheel {
    /// An empty wheel, at the origin of time.
    #[must_use]
    pub fn new() -> Self {
        let empty = Slot { min: 0, head: NONE };
        Self {
            elapsed: 0,
            occupied: [0; LEVELS],
            slots: Box::new([empty; LEVELS * SLOTS]),
            entries: Vec::new(),
            free: NONE,
            len: 0,
            falling: None,
        }
    }

    /// Starts a timer: [`expire`](Self::expire) returns `key` once `deadline` is reached, never
    /// before it and less than a microsecond late. A deadline in the past is due at once; one
    /// beyond the wheel's 571 years is due at their end.
    pub fn insert(&mut self, deadline: Instant, key: u32) -> TimerId {
        let tick = self.tick_of(deadline);
        let index = self.allocate(tick, key);
        self.link(index);
        self.len += 1;
        TimerId {
            index,
            generation: self.entries[index as usize].generation,
        }
    }

    /// Stops a timer. Returns whether there was one: `false` after it fired or was cancelled.
    pub fn cancel(&mut self, id: TimerId) -> bool {
        let live = self.is_live(id);
        if live {
            self.remove(id.index);
        }
        live
    }

    /// Moves a timer to another deadline, earlier or later. Does nothing after it fired or was
    /// cancelled.
    pub fn rearm(&mut self, id: TimerId, deadline: Instant) {
        if self.is_live(id) {
            self.unlink(id.index);
            self.entries[id.index as usize].tick = self.tick_of(deadline);
            self.link(id.index);
        }
    }

    /// Removes one timer that is due at `now` and returns its key, in the order of their ticks;
    /// `None` when no more timers are due. Call it until then. A `now` before an earlier one counts
    /// as the earlier one.
    ///
    /// A call takes at most one step per level and per timer that falls to a lower level, however
    /// much time has passed.
    pub fn expire(&mut self, now: Instant) -> Option<u32> {
        let mut steps = usize::MAX;
        self.expire_within(now, &mut steps)
    }

    /// Removes a timer as [`expire`](Self::expire) does, with bounded work: each timer that is
    /// removed or falls to a lower level uses one of `steps`. `None` with no step left does not
    /// tell whether more timers are due; [`next_deadline`](Self::next_deadline) does.
    pub fn expire_within(&mut self, now: Instant, steps: &mut usize) -> Option<u32> {
        let target = (now.as_nanos() / TICK_NANOS).clamp(self.elapsed, MAX_TICK);
        while let Some((level, slot)) = self.first_slot() {
            let reached = self.start_of(level, slot);
            if reached > target {
                break;
            }
            *steps = steps.checked_sub(1)?;
            self.elapsed = reached;
            let index = self.slots[slot].head;
            if level == 0 {
                let key = self.entries[index as usize].key;
                self.remove(index);
                return Some(key);
            }
            // All timers in the slot fall before any timer on a lower level is due: they may be due
            // earlier.
            self.falling = Some(slot);
            self.unlink(index);
            self.link(index);
        }
        // No slot begins between the old time and the new one, so every timer stays on its level.
        self.elapsed = target;
        None
    }

    /// The time of the next call of [`expire`](Self::expire): the earliest deadline, rounded up to
    /// the tick, or `None` without timers. After a cancel or re-arm it may be the deadline of the
    /// removed timer; `expire` then finds nothing due, and the next answer is later.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let (level, slot) = self.first_slot()?;
        let tick = if level == 0 || self.falling.is_some() {
            self.start_of(level, slot)
        } else {
            self.slots[slot].min
        };
        Some(Instant::from_nanos(tick * TICK_NANOS))
    }

    /// Number of running timers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no timer is running.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn is_live(&self, id: TimerId) -> bool {
        self.entries
            .get(id.index as usize)
            .is_some_and(|entry| entry.generation == id.generation)
    }

    /// The tick at which `deadline` has passed, or the wheel's time if that is later.
    fn tick_of(&self, deadline: Instant) -> u64 {
        deadline
            .as_nanos()
            .div_ceil(TICK_NANOS)
            .clamp(self.elapsed, MAX_TICK)
    }

    /// The occupied slot that is reached first, with its level.
    fn first_slot(&self) -> Option<(usize, usize)> {
        if let Some(slot) = self.falling {
            return Some((slot / SLOTS, slot));
        }
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        let digit = self.occupied[level].trailing_zeros() as usize;
        Some((level, level * SLOTS + digit))
    }

    /// The tick at which an occupied slot begins.
    fn start_of(&self, level: usize, slot: usize) -> u64 {
        let shift = level * LEVEL_BITS;
        let above = self.elapsed >> (shift + LEVEL_BITS) << LEVEL_BITS;
        (above | (slot % SLOTS) as u64) << shift
    }

    /// Inserts an entry into the slot of its tick.
    fn link(&mut self, index: u32) {
        let tick = self.entries[index as usize].tick;
        let differing = (tick ^ self.elapsed) | (SLOTS as u64 - 1);
        let level = differing.ilog2() as usize / LEVEL_BITS;
        let digit = (tick >> (level * LEVEL_BITS)) as usize % SLOTS;

        let slot = level * SLOTS + digit;
        let Slot { min, head } = self.slots[slot];
        if head == NONE {
            self.occupied[level] |= 1 << digit;
            self.slots[slot] = Slot {
                min: tick,
                head: index,
            };
        } else {
            self.entries[head as usize].prev = index;
            self.slots[slot] = Slot {
                min: min.min(tick),
                head: index,
            };
        }
        let entry = &mut self.entries[index as usize];
        entry.prev = NONE;
        entry.next = head;
        entry.slot = slot as u16;
    }

    /// Removes an entry from its slot.
    fn unlink(&mut self, index: u32) {
        let Entry {
            prev, next, slot, ..
        } = self.entries[index as usize];
        let slot = usize::from(slot);
        if next != NONE {
            self.entries[next as usize].prev = prev;
        }
        if prev != NONE {
            self.entries[prev as usize].next = next;
        } else {
            self.slots[slot].head = next;
            if next == NONE {
                self.occupied[slot / SLOTS] &= !(1 << (slot % SLOTS));
                self.falling = self.falling.filter(|&falling| falling != slot);
            }
        }
    }

    fn allocate(&mut self, tick: u64, key: u32) -> u32 {
        if let Some(entry) = self.entries.get_mut(self.free as usize) {
            let index = mem::replace(&mut self.free, entry.next);
            entry.tick = tick;
            entry.key = key;
            return index;
        }
        // 2^32 entries would be 128 GiB.
        let index = self.entries.len() as u32;
        self.entries.push(Entry {
            tick,
            next: NONE,
            prev: NONE,
            key,
            generation: NonZeroU32::MIN,
            slot: 0,
        });
        index
    }

    /// Removes an entry from the wheel and frees it.
    fn remove(&mut self, index: u32) {
        self.unlink(index);
        self.len -= 1;
        let entry = &mut self.entries[index as usize];
        entry.generation = entry.generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        entry.next = mem::replace(&mut self.free, index);
    }
}

impl Default for Wheel {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Wheel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wheel")
            .field("len", &self.len)
            .field("next_deadline", &self.next_deadline())
            .finish_non_exhaustive()
    }
}
