//! Random yes-or-no decisions.

use fastrand::Rng;

/// A probability. The default is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Chance(f64);

impl Chance {
    /// # Panics
    /// If the probability is not between 0 and 1.
    pub(crate) fn new(probability: f64) -> Self {
        assert!(
            (0.0..=1.0).contains(&probability),
            "a probability is between 0 and 1, not {probability}"
        );
        Self(probability)
    }

    /// Decides once. Draws exactly one number whatever the probability is, so that the random
    /// stream does not depend on it.
    pub(crate) fn happens(self, rng: &mut Rng) -> bool {
        rng.f64() < self.0
    }
}
