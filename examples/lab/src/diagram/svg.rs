//! The diagram as a picture.

use millstream_engine::{Arrow, State, TRANSITIONS};
use svg::Document;
use svg::node::element::{Definitions, Group, Line, Marker, Path as Outline, Rectangle, Text};

use super::layout::{COLUMNS, END, ROWS, place, target};
use super::paths::Path;
use super::{NOTE, label};

/// Pixels from one column to the next, and from one row to the next.
const STEP: (f64, f64) = (270.0, 105.0);
/// Pixels of a state's box.
const BOX: (f64, f64) = (130.0, 34.0);
/// Pixels around the figure.
const MARGIN: (f64, f64) = (90.0, 40.0);
/// Pixels of the legend below it.
const LEGEND: f64 = 60.0;
/// The colour of a way that was taken.
const TAKEN: &str = "#d4a200";

/// Width and height of the whole figure in pixels.
#[must_use]
pub fn size() -> (f64, f64) {
    (
        2.0 * MARGIN.0 + STEP.0 * f64::from(COLUMNS - 1),
        2.0 * MARGIN.1 + STEP.1 * f64::from(ROWS - 1) + LEGEND,
    )
}

/// The figure as a document. `highlight` are the ways that connections took, each the states in order; their
/// boxes and arrows are marked.
#[must_use]
pub fn svg(highlight: &[Vec<State>]) -> Document {
    let (width, height) = size();
    sheet(width, height).add(group(highlight))
}

/// An empty white document of so many pixels.
#[must_use]
pub fn sheet(width: f64, height: f64) -> Document {
    let white = Rectangle::new()
        .set("width", "100%")
        .set("height", "100%")
        .set("fill", "white");
    Document::new()
        .set("width", width)
        .set("height", height)
        .set("viewBox", (0, 0, width, height))
        .add(white)
}

/// The figure of [`svg()`] as a part of another document, from its origin.
#[must_use]
pub fn group(highlight: &[Vec<State>]) -> Group {
    let mut group = Group::new()
        .set("font-family", "monospace")
        .set("font-size", 12)
        .add(arrow_heads());
    for arrow in TRANSITIONS {
        group = group.add(draw_arrow(arrow, took(highlight, arrow)));
    }
    for state in State::ALL {
        let visited = highlight.iter().any(|walk| walk.contains(&state));
        group = group.add(draw_state(state, place(state), visited));
    }
    let closed = highlight
        .iter()
        .any(|walk| walk.len() > 1 && walk.ends_with(&[State::Closed]));
    group
        .add(draw_state(State::Closed, END, closed))
        .add(legend())
}

fn took(highlight: &[Vec<State>], arrow: &Arrow) -> bool {
    highlight
        .iter()
        .any(|walk| walk.windows(2).any(|step| step == [arrow.from, arrow.to]))
}

/// The middle of a place, in pixels.
fn middle((column, row): (u8, u8)) -> (f64, f64) {
    (
        MARGIN.0 + STEP.0 * f64::from(column),
        MARGIN.1 + STEP.1 * f64::from(row),
    )
}

fn draw_state(state: State, place: (u8, u8), visited: bool) -> Group {
    let (x, y) = middle(place);
    let outline = Rectangle::new()
        .set("x", x - BOX.0 / 2.0)
        .set("y", y - BOX.1 / 2.0)
        .set("width", BOX.0)
        .set("height", BOX.1)
        .set("rx", 6)
        .set("fill", if visited { "#fff3c4" } else { "white" })
        .set("stroke", "black");
    let name = Text::new(state.name())
        .set("x", x)
        .set("y", y + 4.0)
        .set("text-anchor", "middle");
    Group::new()
        .set("class", "state")
        .set("data-state", state.name())
        .add(outline)
        .add(name)
}

fn draw_arrow(arrow: &Arrow, taken: bool) -> Group {
    let path = Path::of(arrow);
    let (from, to) = (middle(place(arrow.from)), middle(target(arrow.to)));
    let (start, end) = (edge(from, to), edge(to, from));
    let mut group = Group::new()
        .set(
            "class",
            format!("arrow {}{}", path.name(), if taken { " taken" } else { "" }),
        )
        .set("data-from", arrow.from.name())
        .set("data-to", arrow.to.name())
        .set("data-stimulus", format!("{:?}", arrow.stimulus));
    if taken {
        group = group.add(
            line(start, end)
                .set("stroke", TAKEN)
                .set("stroke-width", 8)
                .set("stroke-opacity", 0.5),
        );
    }
    group
        .add(shaft(start, end, path).set("marker-end", format!("url(#head-{})", path.name())))
        .add(labels(arrow, start, end, path))
}

/// Where the line from the middle of one box to another point leaves the box.
fn edge(from: (f64, f64), to: (f64, f64)) -> (f64, f64) {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let share = (BOX.0 / 2.0 / dx.abs()).min(BOX.1 / 2.0 / dy.abs());
    (from.0 + dx * share, from.1 + dy * share)
}

fn line(start: (f64, f64), end: (f64, f64)) -> Line {
    Line::new()
        .set("x1", start.0)
        .set("y1", start.1)
        .set("x2", end.0)
        .set("y2", end.1)
}

fn shaft(start: (f64, f64), end: (f64, f64), path: Path) -> Line {
    let shaft = line(start, end)
        .set("stroke", path.color())
        .set("stroke-width", 2);
    match path.dashes() {
        Some(dashes) => shaft.set("stroke-dasharray", dashes),
        None => shaft,
    }
}

/// What triggers the arrow above what is sent upon it, at the middle of the arrow.
fn labels(arrow: &Arrow, start: (f64, f64), end: (f64, f64), path: Path) -> Group {
    let (x, y) = (f64::midpoint(start.0, end.0), f64::midpoint(start.1, end.1));
    let text = label(arrow.stimulus);
    let lines: Vec<_> = text.split(" / ").collect();
    let mut group = Group::new()
        .set("fill", path.color())
        .set("font-size", 10)
        .set("text-anchor", "middle");
    for (number, line) in lines.iter().enumerate() {
        let down = 12.0 * number as f64 - if lines.len() == 1 { 0.0 } else { 4.0 };
        // A white rim keeps the text readable upon the shaft.
        let text = Text::new(*line)
            .set("x", x)
            .set("y", y + down)
            .set("stroke", "white")
            .set("stroke-width", 6)
            .set("paint-order", "stroke");
        group = group.add(text);
    }
    group
}

fn arrow_heads() -> Definitions {
    Path::ALL
        .into_iter()
        .fold(Definitions::new(), |heads, path| {
            let head = Outline::new()
                .set("d", "M0,0 L8,4 L0,8 z")
                .set("fill", path.color());
            let marker = Marker::new()
                .set("id", format!("head-{}", path.name()))
                .set("markerWidth", 8)
                .set("markerHeight", 8)
                .set("refX", 8)
                .set("refY", 4)
                .set("orient", "auto")
                .set("markerUnits", "userSpaceOnUse")
                .add(head);
            heads.add(marker)
        })
}

fn legend() -> Group {
    let top = size().1 - LEGEND;
    let mut group = Group::new().set("class", "legend");
    for (number, path) in Path::ALL.into_iter().enumerate() {
        let x = 30.0 + 165.0 * number as f64;
        let name = Text::new(path.name())
            .set("x", x + 48.0)
            .set("y", top + 4.0);
        group = group.add(shaft((x, top), (x + 40.0, top), path)).add(name);
    }
    group.add(Text::new(NOTE).set("x", 30.0).set("y", top + 30.0))
}
