//! The output of a run: a line for each script, or JSON.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::runner::{Outcome, TraceLine, Verdict};

/// The number of scripts by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Scripts that passed.
    pub passed: usize,
    /// Scripts that failed.
    pub failed: usize,
    /// Scripts that require something the target does not support.
    pub skipped: usize,
}

impl Summary {
    /// Counts one more verdict.
    pub fn count(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed(_) => self.failed += 1,
            Verdict::Skipped(_) => self.skipped += 1,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// The report on one script as text: one line, followed for a failure by the expected and the
/// actual behaviour. With `verbose`, every packet is included.
#[must_use]
pub fn text(path: &Path, outcome: &Outcome, verbose: bool) -> String {
    let name = path.display();
    let mut text = match &outcome.verdict {
        Verdict::Passed => format!("passed   {name}"),
        Verdict::Skipped(reason) => format!("skipped  {name}: {reason}"),
        Verdict::Failed(mismatch) => format!(
            "failed   {name}:{}: {}\n    expected: {}\n    actual:   {}",
            mismatch.line, mismatch.what, mismatch.expected, mismatch.actual
        ),
    };
    if verbose {
        for line in &outcome.trace {
            text.push_str("\n    ");
            text.push_str(&packet(line));
        }
    }
    text
}

fn packet(line: &TraceLine) -> String {
    let direction = if line.inbound { '<' } else { '>' };
    format!("{:.6} {direction} {}", line.at.as_secs_f64(), line.text)
}

/// The report on one script as a JSON object on one line.
///
/// # Errors
/// If the path is not valid UTF-8.
pub fn json(path: &Path, outcome: &Outcome, verbose: bool) -> serde_json::Result<String> {
    let mut record = Record {
        script: path,
        verdict: "passed",
        reason: None,
        line: None,
        column: None,
        what: None,
        expected: None,
        actual: None,
        packets: verbose.then(|| outcome.trace.iter().map(packet).collect()),
    };
    match &outcome.verdict {
        Verdict::Passed => {}
        Verdict::Skipped(reason) => {
            record.verdict = "skipped";
            record.reason = Some(reason);
        }
        Verdict::Failed(mismatch) => {
            record.verdict = "failed";
            record.line = Some(mismatch.line);
            record.column = mismatch.column;
            record.what = Some(&mismatch.what);
            record.expected = Some(&mismatch.expected);
            record.actual = Some(&mismatch.actual);
        }
    }
    serde_json::to_string(&record)
}

#[derive(Serialize)]
struct Record<'a> {
    script: &'a Path,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    what: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actual: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packets: Option<Vec<String>>,
}
