//! The ladder for a terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use millstream_engine::State;
use millstream_wire::tcp::Flags;

use super::{Between, Row, Writer, rows, time};
use crate::segment::Segment;
use crate::trace::{Fate, Trace};

/// Columns of a time.
const TIME: usize = 12;
/// Columns of the longest name of a state.
const STATE: usize = 12;

const STATES: Style = AnsiColor::Cyan.on_default();
const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// The ladder, a line for each row, in colour.
#[must_use]
pub fn text(trace: &Trace) -> String {
    let writer = Writer::new(trace);
    let lengths = trace
        .segments()
        .map(|(_, s)| writer.write(s).chars().count());
    let width = lengths.max().unwrap_or(0) + 8;
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

/// The segment upon its arrow, `width` columns.
fn arrow(segment: &Segment, rightwards: bool, text: &str, width: usize) -> String {
    let style = style(segment);
    let fate = match segment.fate {
        Fate::Passed => "",
        Fate::Lost => " lost",
        Fate::Held => " held",
    };
    let line = "─".repeat((width - 4).saturating_sub(text.chars().count() + fate.len()));
    let arrow = match (segment.fate, rightwards) {
        (Fate::Lost, true) => format!("─ {text}{fate} {line}✗"),
        (Fate::Lost, false) => format!("✗{line} {text}{fate} ─"),
        (_, true) => format!("─ {text}{fate} {line}▶"),
        (_, false) => format!("◀{line} {text}{fate} ─"),
    };
    format!("{style}{arrow}{style:#}")
}

/// A colour for what a segment does to a connection.
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
