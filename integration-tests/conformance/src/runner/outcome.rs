//! The result of a script.

use std::time::Duration;

/// The result of one script.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Passed, failed or skipped.
    pub verdict: Verdict,
    /// Every packet, in both directions.
    pub trace: Vec<TraceLine>,
}

impl Outcome {
    /// The outcome of a script that was not run.
    #[must_use]
    pub fn skipped(reason: String) -> Self {
        Self {
            verdict: Verdict::Skipped(reason),
            trace: Vec::new(),
        }
    }
}

/// The verdict on a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything matched.
    Passed,
    /// A mismatch was found.
    Failed(Mismatch),
    /// A requirement is not supported, with the reason.
    Skipped(String),
}

/// A difference between stack and script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The line of the script, from 1.
    pub line: usize,
    /// The column of that line, from 1, for a syntax error.
    pub column: Option<usize>,
    /// The kind of the mismatch, in a few words.
    pub what: String,
    /// The behaviour that the script expects.
    pub expected: String,
    /// The behaviour of the stack.
    pub actual: String,
}

/// One packet of a trace.
#[derive(Clone, Debug)]
pub struct TraceLine {
    /// Time since the start of the script.
    pub at: Duration,
    /// Whether the peer sent it.
    pub inbound: bool,
    /// The packet in the script's notation and numbers.
    pub text: String,
    /// The packet, starting with its IP header.
    pub bytes: Vec<u8>,
}

/// The reason why a script cannot continue.
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
