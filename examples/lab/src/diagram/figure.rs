//! The figure in characters: the states in boxes, and arrows with their numbers in the list below.

use millstream_engine::{Arrow, State, TRANSITIONS};

use super::layout::{COLUMNS, END, ROWS, place, target};
use super::paths::Path;

/// Characters from one column to the next, and lines from one row to the next.
const STEP: (i32, i32) = (32, 6);
/// Characters and lines from the middle of a box to its edge.
const HALF: (i32, i32) = (8, 1);

/// The lines of the figure.
pub(super) fn figure() -> Vec<String> {
    let mut canvas = Canvas::new();
    for arrow in TRANSITIONS {
        canvas.shaft(arrow);
    }
    for state in State::ALL {
        canvas.state(state, place(state));
    }
    canvas.state(State::Closed, END);
    for (number, arrow) in (1..).zip(TRANSITIONS) {
        canvas.number(arrow, number);
    }
    canvas.lines()
}

/// The character with which the arrows of a path are drawn.
pub(super) const fn stroke(path: Path) -> char {
    match path {
        Path::Client => '=',
        Path::Server => '+',
        Path::Simultaneous => '.',
        Path::Other => ':',
    }
}

struct Canvas(Vec<Vec<char>>);

impl Canvas {
    fn new() -> Self {
        let (right, bottom) = middle((COLUMNS - 1, ROWS - 1));
        let width = (right + HALF.0 + 1) as usize;
        Self(vec![vec![' '; width]; (bottom + HALF.1 + 1) as usize])
    }

    fn put(&mut self, (x, y): (i32, i32), character: char) {
        self.0[y as usize][x as usize] = character;
    }

    fn write(&mut self, (x, y): (i32, i32), text: &str) {
        for (x, character) in (x..).zip(text.chars()) {
            self.put((x, y), character);
        }
    }

    fn shaft(&mut self, arrow: &Arrow) {
        let points: Vec<_> = between(arrow).collect();
        for &point in &points {
            self.put(point, stroke(Path::of(arrow)));
        }
        if let Some(&last) = points.last() {
            let to = middle(target(arrow.to));
            let head = match (to.0 - last.0, to.1 - last.1) {
                (x, 0) if x < 0 => '<',
                (_, 0) => '>',
                (_, y) if y < 0 => '^',
                _ => 'v',
            };
            self.put(last, head);
        }
    }

    fn number(&mut self, arrow: &Arrow, number: usize) {
        let points: Vec<_> = between(arrow).collect();
        let (x, y) = points[points.len() / 2];
        let text = format!("({number})");
        self.write((x - text.len() as i32 / 2, y), &text);
    }

    fn state(&mut self, state: State, at: (u8, u8)) {
        let (x, y) = middle(at);
        let (left, inside) = (x - HALF.0, (2 * HALF.0 - 1) as usize);
        let edge = format!("+{}+", "-".repeat(inside));
        self.write((left, y - HALF.1), &edge);
        self.write((left, y), &format!("|{:^inside$}|", state.name()));
        self.write((left, y + HALF.1), &edge);
    }

    fn lines(self) -> Vec<String> {
        let text = |row: Vec<char>| row.into_iter().collect::<String>();
        self.0
            .into_iter()
            .map(|row| text(row).trim_end().to_owned())
            .collect()
    }
}

fn middle((column, row): (u8, u8)) -> (i32, i32) {
    (
        HALF.0 + STEP.0 * i32::from(column),
        HALF.1 + STEP.1 * i32::from(row),
    )
}

/// The points on the straight line of an arrow from box to box, in order.
fn between(arrow: &Arrow) -> impl Iterator<Item = (i32, i32)> {
    let (from, to) = (middle(place(arrow.from)), middle(target(arrow.to)));
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let steps = dx.abs().max(dy.abs());
    let along =
        move |part: i32, whole: i32| (part * whole * 2 + steps * whole.signum()) / (2 * steps);
    let points = (0..=steps).map(move |n| (from.0 + along(n, dx), from.1 + along(n, dy)));
    let outside = |point: (i32, i32), middle: (i32, i32)| {
        (point.0 - middle.0).abs() > HALF.0 || (point.1 - middle.1).abs() > HALF.1
    };
    points.filter(move |&point| outside(point, from) && outside(point, to))
}
