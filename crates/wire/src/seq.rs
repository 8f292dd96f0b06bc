//! Sequence numbers (RFC 9293 3.4).

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// A TCP sequence number: a point on a circle of 2^32.
///
/// It has no `Ord`, because "less" on a circle is not transitive, and no subtraction of two
/// numbers, because that has two results. Compare with [`lt`](Self::lt) and the related methods,
/// which are valid while the numbers are less than 2^31 apart, and measure with
/// [`distance_from`](Self::distance_from).
///
/// ```
/// use millstream_wire::SeqNum;
///
/// let last = SeqNum::new(u32::MAX);
/// assert!(last.lt(last + 1));
/// assert_eq!((last + 10).distance_from(last), 10);
/// assert_eq!(last.distance_from(last + 10), -10);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SeqNum(u32);

impl SeqNum {
    /// The sequence number that a header carries as `raw`.
    #[must_use]
    pub const fn new(raw: u32) -> Self {
        Self(raw)
    }

    /// The number as a header field carries it.
    #[must_use]
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// The distance of `self` after `base`, in bytes of sequence space; negative if it lies before.
    #[must_use]
    pub const fn distance_from(self, base: Self) -> i32 {
        self.0.wrapping_sub(base.0).cast_signed()
    }

    /// Whether `self` lies before `other`.
    #[must_use]
    pub const fn lt(self, other: Self) -> bool {
        self.distance_from(other) < 0
    }

    /// Whether `self` lies before `other` or equals it.
    #[must_use]
    pub const fn le(self, other: Self) -> bool {
        self.distance_from(other) <= 0
    }

    /// Whether `self` lies after `other`.
    #[must_use]
    pub const fn gt(self, other: Self) -> bool {
        self.distance_from(other) > 0
    }

    /// Whether `self` lies after `other` or equals it.
    #[must_use]
    pub const fn ge(self, other: Self) -> bool {
        self.distance_from(other) >= 0
    }
}

impl Add<u32> for SeqNum {
    type Output = Self;

    /// The number `bytes` later, modulo 2^32.
    fn add(self, bytes: u32) -> Self {
        Self(self.0.wrapping_add(bytes))
    }
}

impl AddAssign<u32> for SeqNum {
    fn add_assign(&mut self, bytes: u32) {
        *self = *self + bytes;
    }
}

impl Sub<u32> for SeqNum {
    type Output = Self;

    /// The number `bytes` earlier, modulo 2^32.
    fn sub(self, bytes: u32) -> Self {
        Self(self.0.wrapping_sub(bytes))
    }
}

impl fmt::Debug for SeqNum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SeqNum({})", self.0)
    }
}

impl fmt::Display for SeqNum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 9293 3.4.
    #[test]
    fn comparisons_hold_across_the_wrap() {
        let before = SeqNum::new(u32::MAX - 1);
        let after = before + 3;
        assert_eq!(after.raw(), 1);
        assert!(before.lt(after) && before.le(after) && after.gt(before) && after.ge(before));
        assert!(!after.lt(before) && !before.gt(after));
        assert!(before.le(before) && before.ge(before) && !before.lt(before) && !before.gt(before));
    }

    proptest! {
        #[test]
        fn distance_inverts_addition(base: u32, distance in 0..=i32::MAX.cast_unsigned()) {
            let base = SeqNum::new(base);
            prop_assert_eq!((base + distance).distance_from(base), distance.cast_signed());
            prop_assert_eq!((base - distance).distance_from(base), -distance.cast_signed());
            prop_assert_eq!(base + distance - distance, base);
        }

        #[test]
        fn exactly_one_order_holds(a: u32, b: u32) {
            let (a, b) = (SeqNum::new(a), SeqNum::new(b));
            prop_assert_eq!(u8::from(a.lt(b)) + u8::from(a == b) + u8::from(a.gt(b)), 1);
            prop_assert_eq!(a.le(b), !a.gt(b));
            prop_assert_eq!(a.ge(b), !a.lt(b));
        }
    }
}
