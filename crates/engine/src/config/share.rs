//! The share that one stack has of the four-tuples of a host.

use std::num::NonZeroU16;

/// Which share of all four-tuples a [`Stack`](crate::Stack) has.
///
/// Stacks that have the shares of one [`split`](Self::split), and the same addresses and seed, are one host
/// to others. A packet may arrive at any of them (a network card or a kernel that has several queues
/// spreads flows as it likes): what [`Stack::poll_misdirected`](crate::Stack::poll_misdirected) gives out is to be taken to its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Share {
    pub(crate) index: u16,
    pub(crate) count: NonZeroU16,
}

impl Share {
    /// All of them: the share of a stack that is alone.
    pub const WHOLE: Self = Self {
        index: 0,
        count: NonZeroU16::MIN,
    };

    /// `count` shares that together are the whole, in the order of their indices.
    pub fn split(count: NonZeroU16) -> impl ExactSizeIterator<Item = Self> {
        (0..count.get()).map(move |index| Self { index, count })
    }

    /// The share's place among those of its split.
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
