//! The seed of a simulation, printed when its test fails.

use std::fmt;

/// The environment variable that [`Seed::from_env`] reads.
const VARIABLE: &str = "NETSIM_SEED";

/// A seed that is printed if the thread panics while the value is alive.
///
/// A simulation is a function of its seed and of the calls made to it, so the same seed replays a
/// failure packet by packet. A test that should use a different network in each run calls
/// [`from_env`](Self::from_env); when it fails it prints the value to set the variable
/// `NETSIM_SEED` to.
#[derive(Debug)]
pub struct Seed {
    value: u64,
}

impl Seed {
    /// The given seed.
    #[must_use]
    pub fn new(value: u64) -> Self {
        Self { value }
    }

    /// The seed in the environment variable `NETSIM_SEED`, decimal or hexadecimal with `0x`, or a
    /// random one if the variable is not set.
    ///
    /// # Panics
    /// If the variable is not such a number.
    #[must_use]
    pub fn from_env() -> Self {
        let value = match std::env::var(VARIABLE) {
            Ok(text) => match parse(&text) {
                Some(value) => value,
                None => panic!("{VARIABLE}={text} is no 64-bit number"),
            },
            Err(_) => fastrand::u64(..),
        };
        Self { value }
    }

    /// The seed as a number.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.value
    }
}

impl From<u64> for Seed {
    fn from(value: u64) -> Self {
        Self::new(value)
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.value)
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the network's seed was {self} ({VARIABLE}={self})");
        }
    }
}

fn parse(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_seed_can_be_parsed() {
        for value in [0, 1, 0xDEAD_BEEF, u64::MAX] {
            assert_eq!(parse(&Seed::new(value).to_string()), Some(value));
            assert_eq!(parse(&value.to_string()), Some(value));
        }
        for text in ["", "0x", "-1", "seed", "18446744073709551616"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
