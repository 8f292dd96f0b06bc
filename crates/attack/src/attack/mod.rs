//! The attacks, a file a family. Each makes its scene, plays its part and notes its figures.

mod accept_any;
mod ack_lies;
mod blind;
mod closing;
mod fragments;
mod headers;
mod machine;
mod prediction;
mod reassembly;
mod syn_flood;
mod zero_window;

use anyhow::Result;

use crate::report::Report;

/// How much of an attack is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Enough to see a fault: for CI.
    Short,
    /// As an attacker would.
    Full,
}

impl Scale {
    /// One number or the other.
    pub(crate) fn pick<T>(self, short: T, full: T) -> T {
        match self {
            Self::Short => short,
            Self::Full => full,
        }
    }
}

/// One attack.
pub(crate) struct Attack {
    /// Its name on the command line and in the table of limits.
    pub(crate) name: &'static str,
    /// What the attacker does, in one line.
    pub(crate) about: &'static str,
    /// Plays it.
    pub(crate) play: fn(Scale, &mut Report) -> Result<()>,
}

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Attack> {
    [
        syn_flood::ATTACKS,
        accept_any::ATTACKS,
        blind::ATTACKS,
        prediction::ATTACKS,
        reassembly::ATTACKS,
        ack_lies::ATTACKS,
        zero_window::ATTACKS,
        closing::ATTACKS,
        fragments::ATTACKS,
        headers::ATTACKS,
        machine::ATTACKS,
    ]
    .into_iter()
    .flatten()
}
