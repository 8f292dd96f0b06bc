//! How a script ended.

use std::time::Duration;

/// What one script has shown.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Passed, failed or skipped.
    pub verdict: Verdict,
    /// Every packet, both ways.
    pub trace: Vec<TraceLine>,
}

impl Outcome {
    /// Of a script that was not played.
    #[must_use]
    pub fn skipped(reason: String) -> Self {
        Self {
            verdict: Verdict::Skipped(reason),
            trace: Vec::new(),
        }
    }
}

/// The end of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything was as the script says.
    Passed,
    /// Something was not.
    Failed(Mismatch),
    /// Something in it cannot be honoured.
    Skipped(String),
}

/// Where stack and script part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Line of the script, from 1.
    pub line: usize,
    /// Column of that line, from 1, where the script is none.
    pub column: Option<usize>,
    /// What is wrong, in a word or two.
    pub what: String,
    /// What the script says.
    pub expected: String,
    /// What happened.
    pub actual: String,
}

/// One packet of a trace.
#[derive(Clone, Debug)]
pub struct TraceLine {
    /// Time since the script began.
    pub at: Duration,
    /// The peer sent it.
    pub inbound: bool,
    /// The packet in the script's notation and numbers.
    pub text: String,
    /// The packet from its IP header on.
    pub bytes: Vec<u8>,
}

/// Why a script cannot go on.
#[derive(Clone, Debug)]
pub(super) enum Stop {
    Failed(Mismatch),
    Skipped(String),
}

impl Stop {
    pub(super) fn failed(
        line: usize,
        what: impl Into<String>,
        expected: impl Into<String>,
        actual: impl Into<String>,
    ) -> Self {
        Self::Failed(Mismatch {
            line,
            column: None,
            what: what.into(),
            expected: expected.into(),
            actual: actual.into(),
        })
    }

    pub(super) fn skipped(reason: impl Into<String>) -> Self {
        Self::Skipped(reason.into())
    }
}
