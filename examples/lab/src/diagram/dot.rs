//! The diagram for Graphviz.

use std::fmt::Write as _;

use millstream_engine::{State, TRANSITIONS};

use super::layout::{END, ROWS, place};
use super::paths::Path;
use super::{NOTE, label};

/// The diagram in the dot language; `dot -Tsvg` computes a layout, `neato -n` keeps the positions
/// of the figure.
#[must_use]
pub fn dot() -> String {
    let mut out = String::from(
        "digraph tcp {\n  node [shape=box, fontname=\"monospace\"];\n  edge [fontname=\"monospace\", fontsize=10];\n",
    );
    // Writing to a String cannot fail.
    let _ = writeln!(out, "  label=\"{NOTE}\\n{}\";", legend());
    for state in State::ALL {
        let _ = writeln!(out, "  \"{state}\" [pos=\"{}\"];", pos(place(state)));
    }
    // Arrows to CLOSED end at a second box, as in the figure of the RFC.
    let _ = writeln!(
        out,
        "  \"{LAST}\" [label=\"CLOSED\", pos=\"{}\"];",
        pos(END)
    );
    for arrow in TRANSITIONS {
        let path = Path::of(arrow);
        let _ = writeln!(
            out,
            "  \"{}\" -> \"{}\" [label=\"{}\", color=\"{}\", style={}, class=\"{}\"];",
            arrow.from,
            if arrow.to == State::Closed {
                LAST
            } else {
                arrow.to.name()
            },
            label(arrow.stimulus),
            path.color(),
            style(path),
            path.name(),
        );
    }
    out.push_str("}\n");
    out
}

/// The node at which arrows to CLOSED end.
const LAST: &str = "CLOSED again";

/// The position in points from the lower left.
fn pos((column, row): (u8, u8)) -> String {
    format!(
        "{},{}",
        u32::from(column) * 300,
        u32::from(ROWS - 1 - row) * 110
    )
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
