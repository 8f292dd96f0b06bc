//! The diagram for Graphviz.

use std::fmt::Write as _;

use millstream_engine::{State, TRANSITIONS};

use super::layout::{ROWS, place};
use super::paths::Path;
use super::{NOTE, label};

/// The diagram in the dot language; `dot -Tsvg` lays it out, `neato -n` keeps the places of the figure.
#[must_use]
pub fn dot() -> String {
    let mut out = String::from("digraph tcp {\n  node [shape=box, fontname=\"monospace\"];\n");
    // Writing to a String cannot fail.
    let _ = writeln!(out, "  label=\"{NOTE}\\n{}\";", legend());
    for state in State::ALL {
        let (column, row) = place(state);
        let (x, y) = (u32::from(column) * 240, u32::from(ROWS - 1 - row) * 100);
        let _ = writeln!(out, "  \"{state}\" [pos=\"{x},{y}\"];");
    }
    for arrow in TRANSITIONS {
        let path = Path::of(arrow);
        let _ = writeln!(
            out,
            "  \"{}\" -> \"{}\" [label=\"{}\", color=\"{}\", style={}, class=\"{}\"];",
            arrow.from,
            arrow.to,
            label(arrow.stimulus),
            path.color(),
            style(path),
            path.name(),
        );
    }
    out.push_str("}\n");
    out
}

fn style(path: Path) -> &'static str {
    match path {
        Path::Client => "bold",
        Path::Server => "dashed",
        Path::Simultaneous | Path::Other => "dotted",
    }
}

fn legend() -> String {
    Path::ALL
        .map(|path| format!("{}: {} {}", path.name(), style(path), path.color()))
        .join(", ")
}
