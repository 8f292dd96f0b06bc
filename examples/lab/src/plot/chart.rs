//! A connection as a chart, one panel a direction.

use anyhow::{Result, anyhow};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::{Bar, Connection, Point, Series};

/// Pixels of the chart's width, and of each panel's height.
const SIZE: (u32, u32) = (1000, 520);
/// The colour of new data.
const DATA: RGBColor = BLACK;
/// The colour of retransmissions.
const AGAIN: RGBColor = RED;
/// The colour of the acknowledgment line.
const ACK: RGBColor = RGBColor(0x2E, 0x85, 0x40);
/// The colour of the window line.
const WINDOW: RGBColor = RGBColor(0x1F, 0x5F, 0xBF);
/// The colour of SACK blocks.
const SACK: RGBColor = MAGENTA;
/// The colour of blocks that tell of duplicates.
const DUPLICATE: RGBColor = RGBColor(0x00, 0x9E, 0x9E);
/// The colour of resets.
const RESET: RGBColor = RGBColor(0xC0, 0x30, 0x00);
/// The colour of the congestion window.
const CWND: RGBColor = RGBColor(0xD4, 0x8A, 0x00);

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// The time-sequence graph of a connection, a panel for each direction in which data were sent. A window or
/// congestion window that reaches above the graph is drawn along its upper edge.
///
/// # Errors
/// Nothing of the connection was seen, or drawing failed.
pub fn svg(connection: &Connection) -> Result<String> {
    // SYN and FIN alone have a panel only where there is nothing else.
    let silent = connection
        .directions
        .iter()
        .all(|series| series.sent() <= 2);
    let shown: Vec<_> = connection
        .directions
        .iter()
        .filter(|series| {
            series.sent() > 2 || (silent && !series.data.is_empty()) || !series.resets.is_empty()
        })
        .collect();
    if shown.is_empty() {
        return Err(anyhow!(
            "the connection has acknowledgments alone: there is nothing to draw"
        ));
    }
    let mut text = String::new();
    {
        let height = SIZE.1 * shown.len() as u32;
        let area = SVGBackend::with_string(&mut text, (SIZE.0, height)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        for (panel, series) in area.split_evenly((shown.len(), 1)).iter().zip(shown) {
            draw(panel, series)?;
        }
        area.present().map_err(failed)?;
    }
    Ok(text)
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("drawing the graph: {error}")
}

/// What of a series fits the panel.
struct Frame {
    /// Seconds of the last mark.
    last: f64,
    /// The lowest and the highest number.
    lowest: f64,
    highest: f64,
}

impl Frame {
    fn of(series: &Series) -> Self {
        let sent = series.data.iter().flat_map(|bar| [bar.at.seq, bar.end]);
        let numbers: Vec<_> = sent
            .chain(series.resets.iter().map(|reset| reset.seq))
            .collect();
        let lowest = numbers.iter().min().copied().unwrap_or_default();
        let highest = numbers.iter().max().copied().unwrap_or_default();
        let room = (highest - lowest).max(10) as f64 / 5.0;
        let times = series.data.iter().map(|bar| bar.at.time);
        let times = times.chain(
            series
                .acks
                .iter()
                .chain(&series.resets)
                .map(|point| point.time),
        );
        Self {
            last: times.fold(0.001, f64::max) * 1.02,
            lowest: lowest as f64 - room / 4.0,
            highest: highest as f64 + room,
        }
    }

    fn clamp(&self, seq: i64) -> f64 {
        (seq as f64).clamp(self.lowest, self.highest)
    }

    /// A line that keeps each number until the next.
    fn steps(&self, points: &[Point]) -> Vec<(f64, f64)> {
        let mut line = Vec::with_capacity(2 * points.len());
        let mut before = None;
        for point in points {
            let seq = self.clamp(point.seq);
            line.extend(before.map(|before| (point.time, before)));
            line.push((point.time, seq));
            before = Some(seq);
        }
        line
    }

    /// An upright bar.
    fn bar(&self, at: Point, end: i64, color: RGBColor, width: u32) -> PathElement<(f64, f64)> {
        let ends = vec![(at.time, self.clamp(at.seq)), (at.time, self.clamp(end))];
        PathElement::new(ends, color.stroke_width(width))
    }
}

fn draw<'b>(
    panel: &DrawingArea<SVGBackend<'b>, plotters::coord::Shift>,
    series: &Series,
) -> Result<()> {
    let frame = Frame::of(series);
    let mut chart = ChartBuilder::on(panel)
        .caption(
            format!("{} > {}", series.from, series.to),
            ("sans-serif", 18),
        )
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(80)
        .build_cartesian_2d(0.0..frame.last, frame.lowest..frame.highest)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("seconds")
        .y_desc("sequence number (relative)")
        .y_label_formatter(&|seq| format!("{seq:.0}"))
        .draw()
        .map_err(failed)?;
    draw_lines(&mut chart, series, &frame)?;
    draw_marks(&mut chart, series, &frame)?;
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()
        .map_err(failed)
}

fn draw_lines(chart: &mut Chart<'_, '_>, series: &Series, frame: &Frame) -> Result<()> {
    for (name, points, color) in [
        ("acknowledged", &series.acks, ACK),
        ("receiver's window", &series.window, WINDOW),
        ("acknowledged + cwnd", &series.cwnd, CWND),
    ] {
        if !points.is_empty() {
            let line = LineSeries::new(frame.steps(points), color);
            let drawn = chart.draw_series(line).map_err(failed)?;
            drawn.label(name).legend(key(color));
        }
    }
    Ok(())
}

fn draw_marks(chart: &mut Chart<'_, '_>, series: &Series, frame: &Frame) -> Result<()> {
    let bars = |again: bool, color: RGBColor| -> Vec<_> {
        let wanted = move |bar: &&Bar| bar.retransmission == again;
        let bars = series.data.iter().filter(wanted);
        bars.map(|bar| frame.bar(bar.at, bar.end, color, 2))
            .collect()
    };
    let blocks = |duplicate: bool, color: RGBColor| -> Vec<_> {
        let blocks = series
            .sacks
            .iter()
            .filter(|sack| sack.duplicate == duplicate);
        blocks
            .map(|sack| frame.bar(sack.at, sack.end, color, 1))
            .collect()
    };
    for (name, marks, color) in [
        ("data", bars(false, DATA), DATA),
        ("retransmission", bars(true, AGAIN), AGAIN),
        ("SACK", blocks(false, SACK), SACK),
        ("D-SACK", blocks(true, DUPLICATE), DUPLICATE),
    ] {
        if !marks.is_empty() {
            let drawn = chart.draw_series(marks).map_err(failed)?;
            drawn.label(name).legend(key(color));
        }
    }
    if series.resets.is_empty() {
        return Ok(());
    }
    let crosses = series.resets.iter().map(|reset| {
        Cross::new(
            (reset.time, frame.clamp(reset.seq)),
            6,
            RESET.stroke_width(3),
        )
    });
    let drawn = chart.draw_series(crosses).map_err(failed)?;
    drawn.label("reset").legend(key(RESET));
    Ok(())
}

/// A short line of that colour for the legend.
fn key(color: RGBColor) -> impl Fn((i32, i32)) -> PathElement<(i32, i32)> {
    move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], color.stroke_width(2))
}
