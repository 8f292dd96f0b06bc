//! The diagram as lines of text.

use std::fmt::Write as _;

use millstream_engine::{State, TRANSITIONS};

use super::paths::Path;
use super::{NOTE, label};

/// For each state its arrows: `CLOSED --passive OPEN--> LISTEN`, with the way it belongs to.
#[must_use]
pub fn text() -> String {
    let mut out = String::new();
    let widest = State::ALL.iter().map(|state| state.name().len()).max();
    let width = widest.unwrap_or_default();
    for state in State::ALL {
        for arrow in TRANSITIONS.iter().filter(|arrow| arrow.from == state) {
            let shaft = format!("--{}-->", label(arrow.stimulus));
            let path = Path::of(arrow).name();
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "{state:width$} {shaft:35} {:width$} [{path}]",
                arrow.to
            );
        }
    }
    let _ = writeln!(out, "{NOTE}");
    out
}
