//! The ladder as an SVG image.

use millstream_engine::State;
use millstream_wire::tcp::Flags;
use svg::node::element::{Group, Line, Polygon, Text};

use super::{Between, Row, Writer, rows, time};
use crate::report::wrapped;
use crate::segment::Segment;
use crate::trace::{Fate, Trace};

/// The distances of the two hosts' lines from the left in pixels.
const HOSTS: [f64; 2] = [220.0, 760.0];
/// Width of the image in pixels.
const WIDTH: f64 = 900.0;
/// Pixels from one row to the next.
const ROW: f64 = 30.0;
/// Height above the first row in pixels.
const TOP: f64 = 64.0;
/// The vertical drop of a segment's arrow in pixels.
const FALL: f64 = 10.0;
/// The colour of resets and errors.
const ERROR: &str = "#c62828";

/// The ladder below its title, as a group for a document, with its width and height in pixels.
#[must_use]
pub fn group(title: &str, trace: &Trace) -> (Group, (f64, f64)) {
    let rows = rows(trace);
    let writer = Writer::new(trace);
    let height = TOP + ROW * (rows.len() as f64 + 1.0);
    let mut drawn = Group::new()
        .set("font-family", "monospace")
        .set("font-size", 12)
        .add(
            text(20.0, 24.0, title)
                .set("font-size", 15)
                .set("font-weight", "bold"),
        );
    for (host, x) in trace.hosts.iter().zip(HOSTS) {
        let name = text(x, TOP - 16.0, &host.name)
            .set("text-anchor", "middle")
            .set("font-weight", "bold");
        drawn = drawn
            .add(name)
            .add(line((x, TOP - 8.0), (x, height - 12.0), "#999"));
    }
    for (number, row) in rows.iter().enumerate() {
        drawn = drawn.add(draw_row(row, &writer, TOP + ROW * (number as f64 + 0.5)));
    }
    (drawn, (WIDTH, height))
}

fn draw_row(row: &Row<'_>, writer: &Writer, y: f64) -> Group {
    let at = text(90.0, y + 4.0, &time(row.at))
        .set("text-anchor", "end")
        .set("fill", "#777");
    let mut group = Group::new().add(at);
    let anchors = [("end", -8.0), ("start", 8.0)];
    for ((state, x), (anchor, beside)) in row.states.iter().zip(HOSTS).zip(anchors) {
        let name = state.map_or("", State::name);
        if !name.is_empty() {
            let name = text(x + beside, y + 4.0, name)
                .set("text-anchor", anchor)
                .set("fill", "#0b6e75")
                .set("class", "state");
            group = group.add(name);
        }
    }
    match row.between {
        Between::Nothing => group,
        Between::Remark(remark) => group.add(sentence(remark, y).set("font-style", "italic")),
        Between::Call { call, host } => {
            let color = if call.answer.is_ok() { "#333" } else { ERROR };
            let told = sentence(&format!("{host}: {call}"), y);
            group.add(told.set("class", "call").set("fill", color))
        }
        Between::Segment {
            segment,
            rightwards,
        } => group.add(draw_segment(segment, rightwards, &writer.write(segment), y)),
    }
}

/// The number of characters that fit between the hosts.
const SENTENCE: usize = 76;

/// A sentence between the hosts, on one or two lines.
fn sentence(words: &str, y: f64) -> Group {
    let lines = wrapped(words, SENTENCE);
    let first = y + 4.0 - 6.0 * (lines.len() as f64 - 1.0);
    let mut group = Group::new()
        .set("text-anchor", "middle")
        .set("font-size", 11);
    for (number, line) in lines.iter().enumerate() {
        let x = f64::midpoint(HOSTS[0], HOSTS[1]);
        group = group.add(text(x, first + 12.0 * number as f64, line));
    }
    group
}

/// An arrow with its segment above it. The arrow of a lost or held segment ends half-way; a
/// sentence reports the later arrival of a held one.
fn draw_segment(segment: &Segment, rightwards: bool, words: &str, y: f64) -> Group {
    let [left, right] = HOSTS;
    let (from, to) = if rightwards {
        (left, right)
    } else {
        (right, left)
    };
    let stopped = match segment.fate {
        Fate::Passed => None,
        Fate::Lost => Some("✗"),
        Fate::Held => Some("‖"),
    };
    let share = if stopped.is_some() { 0.6 } else { 1.0 };
    let end = (from + (to - from) * share, y + FALL * share);
    let color = color(segment);
    let fate = match segment.fate {
        Fate::Passed => "",
        Fate::Lost => " (lost)",
        Fate::Held => " (held)",
    };
    let label = text(
        f64::midpoint(left, right),
        y - 4.0,
        &format!("{words}{fate}"),
    )
    .set("text-anchor", "middle")
    .set("font-size", 11)
    .set("fill", color);
    let group = Group::new()
        .set("class", "segment")
        .add(line((from, y), end, color).set("stroke-width", 1.5))
        .add(label);
    if let Some(sign) = stopped {
        let sign = text(end.0, end.1 + 5.0, sign).set("text-anchor", "middle");
        return group.add(sign.set("fill", color).set("font-size", 16));
    }
    let back = if rightwards { -9.0 } else { 9.0 };
    let head = Polygon::new()
        .set(
            "points",
            format!(
                "{},{} {},{} {},{}",
                end.0,
                end.1,
                end.0 + back,
                end.1 - 4.5,
                end.0 + back,
                end.1 + 4.0
            ),
        )
        .set("fill", color);
    group.add(head)
}

fn color(segment: &Segment) -> &'static str {
    let flags = segment.flags;
    if flags.contains(Flags::RST) {
        ERROR
    } else if flags.contains(Flags::SYN) {
        "#2e7d32"
    } else if flags.contains(Flags::FIN) {
        "#8e24aa"
    } else if segment.length > 0 {
        "#a86200"
    } else {
        "#333"
    }
}

fn text(x: f64, y: f64, words: &str) -> Text {
    Text::new(words).set("x", x).set("y", y)
}

fn line(start: (f64, f64), end: (f64, f64), color: &str) -> Line {
    Line::new()
        .set("x1", start.0)
        .set("y1", start.1)
        .set("x2", end.0)
        .set("y2", end.1)
        .set("stroke", color)
}
