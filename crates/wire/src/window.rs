//! Windows and segment sizes as headers carry them.

use std::num::NonZeroU16;

/// The shift count between a window in bytes and the 16-bit field of a header (RFC 7323 2), at most
/// 14.
///
/// Its two conversions are the only way from one to the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowScale(u8);

impl WindowScale {
    /// The largest shift count (RFC 7323 2.3).
    pub const MAX: Self = Self(14);

    /// The scale for an option's `shift`; more than 14 counts as 14 (RFC 7323 2.3).
    #[must_use]
    pub const fn new(shift: u8) -> Self {
        if shift > Self::MAX.0 {
            Self::MAX
        } else {
            Self(shift)
        }
    }

    /// The smallest scale whose largest window covers a buffer of `bytes`.
    #[must_use]
    pub const fn for_buffer(bytes: u32) -> Self {
        let mut scale = Self(0);
        while scale.0 < Self::MAX.0 && scale.widen(u16::MAX) < bytes {
            scale = Self::new(scale.0.saturating_add(1));
        }
        scale
    }

    /// The shift count, 0 to 14, as in the option.
    #[must_use]
    pub const fn shift(self) -> u8 {
        self.0
    }

    /// The window in bytes for the header field `raw`.
    #[must_use]
    pub const fn widen(self, raw: u16) -> u32 {
        (raw as u32) << self.0
    }

    /// The header field for a window of `bytes`: rounded down, so that it never offers more, and
    /// 65535 for a window that is too large.
    #[must_use]
    pub const fn narrow(self, bytes: u32) -> u16 {
        let scaled = bytes >> self.0;
        if scaled > u16::MAX as u32 {
            u16::MAX
        } else {
            scaled as u16
        }
    }
}

/// A maximum segment size in bytes of payload, without headers (RFC 9293 3.7.1); never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mss(NonZeroU16);

impl Mss {
    /// The segment size of an IPv4 peer that sends no MSS option (RFC 9293 3.7.1).
    pub const DEFAULT_V4: Self = Self::of(536);
    /// The segment size of an IPv6 peer that sends no MSS option (RFC 9293 3.7.1).
    pub const DEFAULT_V6: Self = Self::of(1220);

    /// A segment size of `bytes`; `None` for zero, which no sender could use.
    #[must_use]
    pub const fn new(bytes: u16) -> Option<Self> {
        match NonZeroU16::new(bytes) {
            Some(bytes) => Some(Self(bytes)),
            None => None,
        }
    }

    /// The size in bytes.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    #[expect(clippy::panic, reason = "for constants, when they are compiled")]
    const fn of(bytes: u16) -> Self {
        match Self::new(bytes) {
            Some(mss) => mss,
            None => panic!("an MSS of zero"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_shift_beyond_14_counts_as_14() {
        assert_eq!(WindowScale::new(15), WindowScale::MAX);
        assert_eq!(WindowScale::new(255).widen(u16::MAX), 0x3FFF_C000);
        assert_eq!(WindowScale::new(14).shift(), 14);
    }

    #[test]
    fn the_captured_window_is_40192_bytes() {
        // scenarios S7: window 314, scaling factor 128.
        assert_eq!(WindowScale::new(7).widen(314), 40_192);
    }

    #[test]
    fn a_buffer_gets_the_smallest_scale_that_covers_it() {
        let cases = [
            (0, 0),
            (65_535, 0),
            (65_536, 1),
            (131_070, 1),
            (131_071, 2),
            (6 << 20, 7),
            (u32::MAX, 14),
        ];
        for (bytes, shift) in cases {
            assert_eq!(WindowScale::for_buffer(bytes).shift(), shift, "{bytes}");
        }
    }

    #[test]
    fn a_zero_mss_is_none() {
        assert_eq!(Mss::new(0), None);
        assert_eq!(Mss::new(1460).map(Mss::get), Some(1460));
        assert!(Mss::DEFAULT_V4 < Mss::DEFAULT_V6);
    }

    proptest! {
        #[test]
        fn narrow_never_promises_more(bytes: u32, shift in 0u8..=14) {
            let scale = WindowScale::new(shift);
            let promised = scale.widen(scale.narrow(bytes));
            prop_assert!(promised <= bytes);
            prop_assert!(bytes - promised < 1 << shift || promised == scale.widen(u16::MAX));
        }

        #[test]
        fn widen_then_narrow_is_lossless(raw: u16, shift in 0u8..=14) {
            let scale = WindowScale::new(shift);
            prop_assert_eq!(scale.narrow(scale.widen(raw)), raw);
        }
    }
}
