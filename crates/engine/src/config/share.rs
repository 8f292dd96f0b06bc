//! The share of one stack in the four-tuples of a host.

use std::num::NonZeroU16;

/// The share of a [`Stack`](crate::Stack) in all four-tuples.
///
/// Stacks that have the shares of one [`split`](Self::split), and the same addresses and seed,
/// appear to others as one host. A packet may arrive at any of them (a network card or a kernel
/// with several queues distributes flows arbitrarily): the packets that
/// [`Stack::poll_misdirected`](crate::Stack::poll_misdirected) returns must be passed to their
/// owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Share {
    pub(crate) index: u16,
    pub(crate) count: NonZeroU16,
}

impl Share {
    /// All four-tuples: the share of a single stack.
    pub const WHOLE: Self = Self {
        index: 0,
        count: NonZeroU16::MIN,
    };

    /// `count` shares that together cover all four-tuples, in the order of their indices.
    pub fn split(count: NonZeroU16) -> impl ExactSizeIterator<Item = Self> {
        (0..count.get()).map(move |index| Self { index, count })
    }

    /// The number of shares in its split.
    #[must_use]
    pub const fn count(self) -> NonZeroU16 {
        self.count
    }

    /// The index of the share in its split.
    #[must_use]
    pub const fn index(self) -> u16 {
        self.index
    }
}

impl Default for Share {
    fn default() -> Self {
        Self::WHOLE
    }
}
