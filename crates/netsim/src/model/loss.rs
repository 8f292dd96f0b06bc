//! Loss: independent for each packet, and in bursts.

use fastrand::Rng;

use super::LinkConfig;
use super::burst::BurstState;

/// Decides which packets are lost.
#[derive(Debug)]
pub(super) struct Loss {
    independent: Rng,
    burst: BurstState,
}

impl Loss {
    pub(super) fn new(seeds: &mut Rng) -> Self {
        Self {
            independent: seeds.fork(),
            burst: BurstState::new(seeds.fork()),
        }
    }

    pub(super) fn takes_next(&mut self, config: &LinkConfig) -> bool {
        let alone = config.loss.happens(&mut self.independent);
        let in_burst = match &config.burst_loss {
            Some(model) => self.burst.takes_next(model),
            None => false,
        };
        alone | in_burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_losses_matches_the_probability() {
        let config = LinkConfig::new().loss(0.03);
        let mut loss = Loss::new(&mut Rng::with_seed(1));
        let count = 200_000;
        let lost = (0..count).filter(|_| loss.takes_next(&config)).count();
        // Five standard deviations of a binomial distribution.
        let deviation = (f64::from(count) * 0.03 * 0.97).sqrt();
        let expected = f64::from(count) * 0.03;
        assert!((lost as f64 - expected).abs() < 5.0 * deviation, "{lost}");
    }

    #[test]
    fn losses_are_independent() {
        let config = LinkConfig::new().loss(0.2);
        let mut loss = Loss::new(&mut Rng::with_seed(2));
        let fates: Vec<bool> = (0..200_000).map(|_| loss.takes_next(&config)).collect();
        let after_loss: Vec<bool> = fates
            .windows(2)
            .filter(|pair| pair[0])
            .map(|pair| pair[1])
            .collect();
        let lost = after_loss.iter().filter(|lost| **lost).count();
        let share = lost as f64 / after_loss.len() as f64;
        assert!((share - 0.2).abs() < 0.01, "{share} after a loss");
    }

    #[test]
    fn probabilities_zero_and_one_are_exact() {
        let mut loss = Loss::new(&mut Rng::with_seed(3));
        assert!((0..1000).all(|_| loss.takes_next(&LinkConfig::new().loss(1.0))));
        assert!((0..1000).all(|_| !loss.takes_next(&LinkConfig::new())));
    }

    #[test]
    #[should_panic(expected = "between 0 and 1")]
    fn a_percentage_is_rejected_as_a_probability() {
        let _ = LinkConfig::new().loss(3.0);
    }
}
