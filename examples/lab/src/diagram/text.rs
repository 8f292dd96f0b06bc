//! The diagram as text: the figure, and a list of its arrows.

use std::fmt::Write as _;

use millstream_engine::{State, TRANSITIONS};

use super::figure::{figure, stroke};
use super::paths::Path;
use super::{NOTE, label};

/// The figure, and below it each arrow with its number: `1 CLOSED --passive OPEN--> LISTEN`, and
/// the name of its path.
#[must_use]
pub fn text() -> String {
    let mut out = figure().join("\n");
    out.push_str("\n\n");
    let widest = State::ALL.iter().map(|state| state.name().len()).max();
    let width = widest.unwrap_or_default();
    for (number, arrow) in (1..).zip(TRANSITIONS) {
        let shaft = format!("--{}-->", label(arrow.stimulus));
        let path = Path::of(arrow).name();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{number:3} {:width$} {shaft:35} {:width$} [{path}]",
            arrow.from, arrow.to
        );
    }
    let ways = Path::ALL.map(|path| format!("{0}{0}{0} {1}", stroke(path), path.name()));
    let _ = writeln!(out, "{}", ways.join("   "));
    let _ = writeln!(out, "{NOTE}");
    out
}
