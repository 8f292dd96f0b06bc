//! The ladder for a terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use millstream_engine::State;
use millstream_wire::tcp::Flags;

use super::{Between, Row, Writer, rows, time};
use crate::segment::Segment;
use crate::trace::{Fate, Trace};

/// Columns for a time.
const TIME: usize = 12;
/// Columns for the longest name of a state.
const STATE: usize = 12;

const STATES: Style = AnsiColor::Cyan.on_default();
const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();
const ERROR: Style = AnsiColor::Red.on_default();

/// Columns of everything except the segment.
const BESIDE: usize = TIME + 2 + STATE + 2 + 2 + STATE;
/// Columns of an arrow without its text, with the longest word for a segment's fate.
const ARROW: usize = 10;
/// The minimum columns for a segment.
const NARROWEST: usize = 30;

/// The ladder in colour, one line for each row. It keeps to this number of columns if possible, and
/// shortens segments that are too long.
#[must_use]
pub fn text(trace: &Trace, columns: Option<usize>) -> String {
    let writer = Writer::new(trace);
    let lengths = trace
        .segments()
        .map(|(_, s)| writer.write(s).chars().count());
    let longest = lengths.max().unwrap_or(0) + ARROW;
    let room = columns.map(|columns| columns.saturating_sub(BESIDE).max(NARROWEST));
    let width = room.map_or(longest, |room| longest.min(room));
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{:TIME$}  {BOLD}{:STATE$}{BOLD:#}  {:width$}  {BOLD}{}{BOLD:#}",
        "seconds", trace.hosts[0].name, "", trace.hosts[1].name
    );
    for row in rows(trace) {
        let line = line(&row, &writer, width);
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn line(row: &Row<'_>, writer: &Writer, width: usize) -> String {
    let at = time(row.at);
    let between = match row.between {
        Between::Remark(text) => return format!("{DIM}{at:>TIME$}{DIM:#}  {BOLD}* {text}{BOLD:#}"),
        Between::Call { call, host } => {
            let style = if call.answer.is_ok() { BOLD } else { ERROR };
            return format!("{DIM}{at:>TIME$}{DIM:#}  {style}! {host}: {call}{style:#}");
        }
        Between::Nothing => " ".repeat(width),
        Between::Segment {
            segment,
            rightwards,
        } => arrow(segment, rightwards, &writer.write(segment), width),
    };
    let [left, right] = row.states.map(|state| state.map_or("", State::name));
    let right = if right.is_empty() {
        String::new()
    } else {
        format!("  {STATES}{right}{STATES:#}")
    };
    let padding = STATE - left.len();
    format!(
        "{DIM}{at:>TIME$}{DIM:#}  {STATES}{left}{STATES:#}{:padding$}  {between}{right}",
        ""
    )
}

/// The segment on its arrow, `width` columns wide.
fn arrow(segment: &Segment, rightwards: bool, text: &str, width: usize) -> String {
    let style = style(segment);
    let fate = match segment.fate {
        Fate::Passed => "",
        Fate::Lost => " lost",
        Fate::Held => " held",
    };
    let text = shortened(text, width - 4 - fate.len());
    let line = "─".repeat(width - 4 - fate.len() - text.chars().count());
    let arrow = match (segment.fate, rightwards) {
        (Fate::Lost, true) => format!("─ {text}{fate} {line}✗"),
        (Fate::Lost, false) => format!("✗{line} {text}{fate} ─"),
        (Fate::Held, true) => format!("─ {text}{fate} {line}‖"),
        (Fate::Held, false) => format!("‖{line} {text}{fate} ─"),
        (_, true) => format!("─ {text}{fate} {line}▶"),
        (_, false) => format!("◀{line} {text}{fate} ─"),
    };
    format!("{style}{arrow}{style:#}")
}

/// The beginning of a text, with a mark if the rest is omitted.
fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept = text.chars().take(width.saturating_sub(1));
    kept.chain(['…']).collect()
}

/// The colour of a segment, by its effect on a connection.
fn style(segment: &Segment) -> Style {
    let flags = segment.flags;
    if segment.fate == Fate::Lost {
        DIM
    } else if flags.contains(Flags::RST) {
        AnsiColor::Red.on_default()
    } else if flags.contains(Flags::SYN) {
        AnsiColor::Green.on_default()
    } else if flags.contains(Flags::FIN) {
        AnsiColor::Magenta.on_default()
    } else if segment.length > 0 {
        AnsiColor::Yellow.on_default()
    } else {
        Style::new()
    }
}
