//! How likely something is.

use fastrand::Rng;

/// A probability. The default never happens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Chance(f64);

impl Chance {
    /// # Panics
    /// Outside of 0 to 1.
    pub(crate) fn new(probability: f64) -> Self {
        assert!(
            (0.0..=1.0).contains(&probability),
            "a probability lies between 0 and 1, {probability} does not"
        );
        Self(probability)
    }

    /// Draws one number, however likely it is.
    pub(crate) fn happens(self, rng: &mut Rng) -> bool {
        rng.f64() < self.0
    }
}
