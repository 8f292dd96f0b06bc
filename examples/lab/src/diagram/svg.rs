//! The diagram as an SVG image.

use std::collections::BTreeSet;

use millstream_engine::{Arrow, State, Stimulus, TRANSITIONS};
use svg::Document;
use svg::node::element::{
    Definitions, Group, Line, Marker, Path as Outline, Polyline, Rectangle, Text,
};

use super::layout::{COLUMNS, END, ROWS, place, target};
use super::paths::Path;
use super::{NOTE, label};

/// Pixels from one column to the next, and from one row to the next.
const STEP: (f64, f64) = (270.0, 105.0);
/// Width and height of a state's box in pixels.
const BOX: (f64, f64) = (130.0, 34.0);
/// Pixels around the figure.
const MARGIN: (f64, f64) = (90.0, 40.0);
/// Height of the legend below the figure in pixels.
const LEGEND: f64 = 60.0;
/// Width and height of a label's letter in pixels.
const LETTER: (f64, f64) = (6.1, 12.0);
/// The colour of a traversed path.
const TAKEN: &str = "#d4a200";

/// Width and height of the whole figure in pixels.
#[must_use]
pub fn size() -> (f64, f64) {
    (
        2.0 * MARGIN.0 + STEP.0 * f64::from(COLUMNS - 1),
        2.0 * MARGIN.1 + STEP.1 * f64::from(ROWS - 1) + LEGEND,
    )
}

/// The figure as a document. `highlight` has the state sequences of connections; their boxes and
/// arrows are marked.
#[must_use]
pub fn svg(highlight: &[Vec<State>]) -> Document {
    let (width, height) = size();
    sheet(width, height).add(group(highlight))
}

/// An empty white document of this size in pixels.
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

/// The figure of [`svg()`] as a group for another document, with its origin at zero.
#[must_use]
pub fn group(highlight: &[Vec<State>]) -> Group {
    let mut group = Group::new()
        .set("font-family", "monospace")
        .set("font-size", 12)
        .add(arrow_heads());
    let steps = steps(highlight);
    let aborts: Vec<_> = State::ALL
        .into_iter()
        .filter(|from| is_abort(*from, &steps))
        .collect();
    for arrow in TRANSITIONS {
        group = group.add(draw_arrow(arrow, steps.contains(&(arrow.from, arrow.to))));
    }
    for from in &aborts {
        group = group.add(draw_abort(*from));
    }
    // Labels are drawn after all arrows, so that no arrow crosses a letter.
    for arrow in TRANSITIONS {
        let (start, end) = ends(arrow);
        let middle = (f64::midpoint(start.0, end.0), f64::midpoint(start.1, end.1));
        group = group.add(draw_label(arrow.stimulus, middle, Path::of(arrow)));
    }
    for from in &aborts {
        group = group.add(draw_label(Stimulus::Abort, abort_label(*from), Path::Other));
    }
    for state in State::ALL {
        // Connections begin at the upper box of CLOSED.
        let visited = match state {
            State::Closed => steps.iter().any(|(from, _)| *from == State::Closed),
            _ => highlight.iter().any(|walk| walk.contains(&state)),
        };
        group = group.add(draw_state(state, place(state), visited));
    }
    let closed = steps.iter().any(|(_, to)| *to == State::Closed);
    group
        .add(draw_state(State::Closed, END, closed))
        .add(legend())
}

/// Every step of the paths, as start and end.
fn steps(ways: &[Vec<State>]) -> BTreeSet<(State, State)> {
    let steps = ways.iter().flat_map(|way| way.windows(2));
    steps.map(|step| (step[0], step[1])).collect()
}

/// Whether a path ends in this state by a reset, an abort or a timeout, for which the table has no
/// arrow.
fn is_abort(from: State, steps: &BTreeSet<(State, State)>) -> bool {
    let step = (from, State::Closed);
    let in_table = TRANSITIONS
        .iter()
        .any(|arrow| (arrow.from, arrow.to) == step);
    steps.contains(&step) && !in_table
}

/// The centre of a position in pixels.
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
    let (start, end) = ends(arrow);
    let mut group = describe(arrow, path, taken);
    if taken {
        group = group.add(
            line(start, end)
                .set("stroke", TAKEN)
                .set("stroke-width", 8)
                .set("stroke-opacity", 0.5),
        );
    }
    group.add(shaft(start, end, path).set("marker-end", head(path)))
}

/// A group whose attributes identify the arrow.
fn describe(arrow: &Arrow, path: Path, taken: bool) -> Group {
    let taken = if taken { " taken" } else { "" };
    Group::new()
        .set("class", format!("arrow {}{taken}", path.name()))
        .set("data-from", arrow.from.name())
        .set("data-to", arrow.to.name())
        .set("data-stimulus", format!("{:?}", arrow.stimulus))
}

fn head(path: Path) -> String {
    format!("url(#head-{})", path.name())
}

/// The end points of an arrow.
fn ends(arrow: &Arrow) -> ((f64, f64), (f64, f64)) {
    let (from, to) = (middle(place(arrow.from)), middle(target(arrow.to)));
    (edge(from, to), edge(to, from))
}

/// Draws a step from a state directly to CLOSED.
fn draw_abort(from: State) -> Group {
    let arrow = Arrow {
        from,
        stimulus: Stimulus::Abort,
        to: State::Closed,
    };
    let points: Vec<_> = abort_corners(from)
        .iter()
        .map(|(x, y)| format!("{x},{y}"))
        .collect();
    let points = points.join(" ");
    let bent = |color: &str, width: f64| {
        Polyline::new()
            .set("points", points.as_str())
            .set("fill", "none")
            .set("stroke", color)
            .set("stroke-width", width)
    };
    describe(&arrow, Path::Other, true)
        .add(bent(TAKEN, 8.0).set("stroke-opacity", 0.5))
        .add(bent(Path::Other.color(), 2.0).set("marker-end", head(Path::Other)))
}

/// A straight line, or a line around the boxes in the column that has CLOSED at its bottom.
fn abort_corners(from: State) -> Vec<(f64, f64)> {
    let (start, end) = (middle(place(from)), middle(END));
    if place(from).0 != END.0 {
        return vec![edge(start, end), edge(end, start)];
    }
    let right = BOX.0 / 2.0;
    let beside = start.0 + right + 16.0;
    vec![
        (start.0 + right, start.1),
        (beside, start.1),
        (beside, end.1),
        (end.0 + right, end.1),
    ]
}

/// The centre of the label, in a place free of the table's arrows.
fn abort_label(from: State) -> (f64, f64) {
    let corners = abort_corners(from);
    let [first, second, ..] = corners.as_slice() else {
        return middle(END);
    };
    if corners.len() == 2 {
        let share = 0.36;
        return (
            first.0 + (second.0 - first.0) * share,
            first.1 + (second.1 - first.1) * share,
        );
    }
    (second.0 - 84.0, first.1 + STEP.1)
}

/// The point where the line from the centre of a box to another point leaves the box.
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

/// Draws a label around `middle`: the trigger of an arrow, and below it the segment sent.
fn draw_label(stimulus: Stimulus, middle: (f64, f64), path: Path) -> Group {
    let lines: Vec<_> = label(stimulus).split(" / ").collect();
    let longest = lines.iter().map(|line| line.len()).max().unwrap_or(0);
    let (width, height) = (
        LETTER.0 * longest as f64 + 6.0,
        LETTER.1 * lines.len() as f64 + 2.0,
    );
    let (left, top) = (middle.0 - width / 2.0, middle.1 - height / 2.0);
    let white = Rectangle::new()
        .set("x", left)
        .set("y", top)
        .set("width", width)
        .set("height", height)
        .set("fill", "white");
    let mut group = Group::new()
        .set("class", "label")
        .set("fill", path.color())
        .set("font-size", 10)
        .set("text-anchor", "middle")
        .add(white);
    for (number, line) in lines.iter().enumerate() {
        let text = Text::new(*line)
            .set("x", middle.0)
            .set("y", top + LETTER.1 * (number as f64 + 0.8) + 1.0);
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
