//! Burst loss by the Gilbert-Elliott model: a link is in a good or a bad state, each with its own
//! loss probability.

use fastrand::Rng;

use super::chance::Chance;

/// A link that may change between a good and a bad state with each packet. The state belongs to the
/// link, so it is kept when the model is changed.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct GilbertElliott {
    to_bad: Chance,
    to_good: Chance,
    loss_in_good: Chance,
    loss_in_bad: Chance,
}

impl GilbertElliott {
    /// Enters the bad state with probability `to_bad` per packet and leaves it with `to_good`: a
    /// burst has `1 / to_good` packets on average, and `to_bad / (to_bad + to_good)` of all packets
    /// are in bursts. All packets of a burst are lost, and no others.
    ///
    /// # Panics
    /// If a probability is not between 0 and 1.
    pub fn new(to_bad: f64, to_good: f64) -> Self {
        Self {
            to_bad: Chance::new(to_bad),
            to_good: Chance::new(to_good),
            loss_in_good: Chance::new(0.0),
            loss_in_bad: Chance::new(1.0),
        }
    }

    /// Sets the loss probabilities of the good and the bad state.
    ///
    /// # Panics
    /// If a probability is not between 0 and 1.
    pub fn losing(mut self, in_good: f64, in_bad: f64) -> Self {
        self.loss_in_good = Chance::new(in_good);
        self.loss_in_bad = Chance::new(in_bad);
        self
    }
}

/// The state that the link is in.
#[derive(Debug)]
pub(super) struct BurstState {
    rng: Rng,
    bad: bool,
}

impl BurstState {
    pub(super) fn new(rng: Rng) -> Self {
        Self { rng, bad: false }
    }

    pub(super) fn takes_next(&mut self, model: &GilbertElliott) -> bool {
        let change = if self.bad {
            model.to_good
        } else {
            model.to_bad
        };
        self.bad ^= change.happens(&mut self.rng);
        let loss = if self.bad {
            model.loss_in_bad
        } else {
            model.loss_in_good
        };
        loss.happens(&mut self.rng)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(model: GilbertElliott, count: usize) -> Vec<bool> {
        let mut state = BurstState::new(Rng::with_seed(11));
        (0..count).map(|_| state.takes_next(&model)).collect()
    }

    #[test]
    fn bursts_have_the_configured_length_and_share() {
        let fates = fates(GilbertElliott::new(0.01, 0.25), 1_000_000);
        let lost = fates.iter().filter(|lost| **lost).count();
        let bursts = fates.chunk_by(|a, b| a == b).filter(|run| run[0]).count();
        let share = lost as f64 / fates.len() as f64;
        let length = lost as f64 / bursts as f64;
        assert!((share - 0.01 / 0.26).abs() < 0.002, "{share} in bursts");
        assert!((length - 4.0).abs() < 0.1, "{length} packets a burst");
    }

    #[test]
    fn each_state_has_its_own_loss_probability() {
        // The first never leaves the good state, the second never the bad one.
        let good = fates(GilbertElliott::new(0.0, 0.5).losing(0.1, 1.0), 100_000);
        let bad = fates(GilbertElliott::new(1.0, 0.0).losing(0.0, 0.6), 100_000);
        let share = |fates: &[bool]| fates.iter().filter(|lost| **lost).count() as f64 / 1e5;
        assert!((share(&good) - 0.1).abs() < 0.005, "{}", share(&good));
        assert!((share(&bad) - 0.6).abs() < 0.01, "{}", share(&bad));
    }
}
