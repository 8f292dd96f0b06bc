//! The complete report on a scenario for a terminal: the ladder, the classic trace that it
//! reproduces, and the results of the applications' calls.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use anyhow::Result;

use crate::ladder;
use crate::scenarios::Scenario;
use crate::trace::{Trace, What};

const HEADING: Style = Style::new().bold().underline();
const REMARK: Style = Style::new().bold();
const ERROR: Style = AnsiColor::Red.on_default();

/// The maximum width of running text in columns.
const PROSE: usize = 100;

/// The report, in colour: `about` is the description, and `columns` the width of the ladder.
#[must_use]
pub fn report(scenario: &Scenario, about: &str, trace: &Trace, columns: Option<usize>) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{HEADING}{}{HEADING:#}\n", scenario.heading());
    let width = columns.unwrap_or(PROSE).min(PROSE);
    let _ = writeln!(out, "{}\n", wrapped(about, width).join("\n"));
    let _ = writeln!(out, "{}", ladder::text(trace, columns));
    let _ = writeln!(
        out,
        "{HEADING}The states of both ends{HEADING:#}\n{}",
        states(trace)
    );
    let _ = writeln!(
        out,
        "{HEADING}The results of the applications' calls{HEADING:#}\n{}",
        calls(trace)
    );
    out
}

/// The states of each end in order, one line for each end.
#[must_use]
pub fn states(trace: &Trace) -> String {
    let lines = trace.path_lines().into_iter();
    lines.map(|line| format!("  {line}\n")).collect()
}

/// The results of the applications' calls in colour, one line for each, after the remarks about the
/// hosts.
#[must_use]
pub fn calls(trace: &Trace) -> String {
    let mut out = String::new();
    for entry in &trace.entries {
        let at = entry.at.as_secs_f64();
        match &entry.what {
            What::Call(call) => {
                let style = if call.answer.is_ok() {
                    Style::new()
                } else {
                    ERROR
                };
                let host = &trace.hosts[call.host].name;
                let _ = writeln!(out, "{at:12.6}  {host}: {style}{call}{style:#}");
            }
            What::Remark { text } => {
                let _ = writeln!(out, "{at:12.6}  {REMARK}* {text}{REMARK:#}");
            }
            What::Segment(_) | What::State(_) => {}
        }
    }
    out
}

/// The trace in the style of the tcpdump of its time, each line with the remarks about the classic
/// print.
#[must_use]
pub fn printed(scenario: &Scenario, trace: &Trace) -> Option<String> {
    let print = scenario.printed?;
    let mut out = String::new();
    for (line, sentences) in print.lines_of(trace) {
        let _ = writeln!(out, "  {line}");
        for sentence in sentences {
            let _ = writeln!(out, "       {ERROR}^{ERROR:#} {sentence}");
        }
    }
    Some(out)
}

/// The example bytes of this section, field by field.
///
/// # Errors
/// If an example is not of the stated kind.
pub fn examples(scenario: &Scenario) -> Result<String> {
    let mut out = String::new();
    for example in scenario.examples {
        let _ = writeln!(out, "{HEADING}{}{HEADING:#}", example.caption);
        for field in example.decode()? {
            let _ = writeln!(out, "{field}");
        }
    }
    Ok(out)
}

/// Breaks a text into lines of at most `width` characters.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let full = lines
            .last()
            .is_some_and(|line| line.len() + 1 + word.len() > width);
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
