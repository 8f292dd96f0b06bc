//! The attacks, one family per file. Each creates its scene, plays its part and notes its figures.

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

/// The extent of an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Enough to reveal a fault: for CI.
    Short,
    /// The extent that an attacker would choose.
    Full,
}

impl Scale {
    /// Returns the number for this scale.
    pub(crate) fn pick<T>(self, short: T, full: T) -> T {
        match self {
            Self::Short => short,
            Self::Full => full,
        }
    }
}

/// One attack.
pub(crate) struct Attack {
    /// The attack's name on the command line and in the table of limits.
    pub(crate) name: &'static str,
    /// The attacker's behaviour, in one line.
    pub(crate) about: &'static str,
    /// Plays the attack.
    pub(crate) play: fn(Scale, &mut Report) -> Result<()>,
}

/// All attacks.
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
