//! The comments at the head of a script.
//!
//! The first lines describe the behaviour that the script shows. A line
//! `// linux: differs because ...` states that the kernel behaves differently, and why both
//! behaviours are permitted.

use crate::runner::{Mismatch, Verdict};

/// The beginning of a note on Linux.
const LINUX: &str = "// linux: differs because ";

/// The behaviour that a script shows: its first comment.
#[must_use]
pub fn behaviour(source: &str) -> String {
    let comment = source.lines().map_while(|line| line.strip_prefix("//"));
    let words: Vec<_> = comment
        .filter(|line| !line.trim_start().starts_with("linux:"))
        .map(str::trim)
        .collect();
    words.join(" ")
}

/// The reason for Linux's different behaviour, if the script states one.
#[must_use]
pub fn linux_differs(source: &str) -> Option<&str> {
    source.lines().find_map(|line| line.strip_prefix(LINUX))
}

/// Applies the script's note to a verdict on Linux: a failure with a note becomes a skip, and a
/// pass with a note becomes a failure.
pub(crate) fn in_its_light(source: &str, verdict: Verdict) -> Verdict {
    let line = source.lines().position(|line| line.starts_with(LINUX));
    match (linux_differs(source), verdict) {
        (Some(reason), Verdict::Failed(_)) => Verdict::Skipped(format!("Linux differs: {reason}")),
        (Some(reason), Verdict::Passed) => Verdict::Failed(Mismatch {
            line: line.map_or(1, |index| index + 1),
            column: None,
            what: "the note on Linux does not hold".to_owned(),
            expected: format!("a difference, because {reason}"),
            actual: "Linux does as the script says".to_owned(),
        }),
        (_, verdict) => verdict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTED: &str =
        "// What is shown\n// (RFC 9293 3.5).\n// linux: differs because of reasons\n0 x\n// y";

    fn failed() -> Verdict {
        Verdict::Failed(Mismatch {
            line: 4,
            column: None,
            what: String::new(),
            expected: String::new(),
            actual: String::new(),
        })
    }

    #[test]
    fn the_first_comment_is_the_behaviour() {
        assert_eq!(behaviour(NOTED), "What is shown (RFC 9293 3.5).");
        assert_eq!(behaviour("0 x\n// y"), "");
    }

    #[test]
    fn a_note_turns_only_a_failure_into_a_skip() {
        assert!(matches!(in_its_light(NOTED, failed()), Verdict::Skipped(_)));
        assert_eq!(in_its_light("0 x", failed()), failed());
        assert_eq!(in_its_light("0 x", Verdict::Passed), Verdict::Passed);
    }

    #[test]
    fn a_wrong_note_is_a_failure_at_its_line() {
        let verdict = in_its_light(NOTED, Verdict::Passed);
        assert!(matches!(verdict, Verdict::Failed(mismatch) if mismatch.line == 3));
    }
}
