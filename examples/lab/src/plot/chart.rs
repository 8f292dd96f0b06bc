//! A connection as a chart, with one panel for each direction.

use anyhow::{Result, anyhow};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::{Bar, Connection, Point, Series};

/// Pixels of the chart's width, and of each panel's height.
const SIZE: (u32, u32) = (1000, 520);
/// Height of a panel's head with title and legend, in pixels.
const HEAD: u32 = 58;
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
/// The colour of D-SACK blocks.
const DUPLICATE: RGBColor = RGBColor(0x00, 0x9E, 0x9E);
/// The colour of resets.
const RESET: RGBColor = RGBColor(0xC0, 0x30, 0x00);
/// The colour of the congestion window.
const CWND: RGBColor = RGBColor(0xD4, 0x8A, 0x00);

type Panel<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
/// The colours in use and their meanings, for the legend.
type Legend = Vec<(String, RGBColor)>;

/// The time-sequence graph of a connection: a panel for each direction with data, all with the same
/// time axis. A window or congestion window is drawn only where it is at most twice the data.
///
/// # Errors
/// If no segment of the connection was seen, or if drawing fails.
pub fn svg(connection: &Connection) -> Result<String> {
    // A direction with only a SYN and a FIN has a panel only if no direction has data.
    let silent = connection.sent() == 0;
    let shown: Vec<_> = connection
        .directions
        .iter()
        .filter(|series| {
            series.sent() > 0 || (silent && !series.data.is_empty()) || !series.resets.is_empty()
        })
        .collect();
    if shown.is_empty() {
        return Err(anyhow!(
            "the connection has acknowledgments alone: there is nothing to draw"
        ));
    }
    let last = shown
        .iter()
        .map(|series| last(series))
        .fold(0.001, f64::max)
        * 1.02;
    let mut text = String::new();
    {
        let height = SIZE.1 * shown.len() as u32;
        let area = SVGBackend::with_string(&mut text, (SIZE.0, height)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        for (panel, series) in area.split_evenly((shown.len(), 1)).iter().zip(shown) {
            draw(panel, series, &Frame::of(series, last))?;
        }
        area.present().map_err(failed)?;
    }
    Ok(text)
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("drawing the graph: {error}")
}

/// The time of the last mark in seconds.
fn last(series: &Series) -> f64 {
    let times = series.data.iter().map(|bar| bar.at.time);
    let points = series.acks.iter().chain(&series.resets);
    times
        .chain(points.map(|point| point.time))
        .fold(0.0, f64::max)
}

/// The visible range of a panel.
struct Frame {
    /// The time at its right edge in seconds.
    last: f64,
    /// The sequence numbers at its lower and upper edge.
    lowest: f64,
    highest: f64,
}

impl Frame {
    fn of(series: &Series, last: f64) -> Self {
        let sent = series.data.iter().flat_map(|bar| [bar.at.seq, bar.end]);
        let points = series.acks.iter().chain(&series.resets);
        let numbers: Vec<_> = sent.chain(points.map(|point| point.seq)).collect();
        let lowest = numbers.iter().min().copied().unwrap_or_default();
        let highest = numbers.iter().max().copied().unwrap_or_default();
        let span = (highest - lowest).max(10);
        let windows = series.window.iter().chain(&series.cwnd).map(|end| end.seq);
        let reach = windows.filter(|end| *end <= highest + span).max();
        let room = span as f64 / 20.0;
        Self {
            last,
            lowest: lowest as f64 - room,
            highest: highest.max(reach.unwrap_or(highest)) as f64 + room,
        }
    }

    fn clamp(&self, seq: f64) -> f64 {
        seq.clamp(self.lowest, self.highest)
    }

    /// The parts, within the frame, of a step function through the points.
    fn steps(&self, points: &[Point]) -> Vec<Vec<(f64, f64)>> {
        let mut line: Vec<(f64, f64)> = Vec::with_capacity(2 * points.len());
        for point in points {
            line.extend(line.last().map(|(_, before)| (point.time, *before)));
            line.push((point.time, point.seq as f64));
        }
        let above = |point: (f64, f64)| point.1 > self.highest;
        let inside = |(time, seq): (f64, f64)| (time, self.clamp(seq));
        let mut parts: Vec<Vec<_>> = vec![Vec::new()];
        for ends in line.windows(2) {
            if let ([from, to], Some(part)) = (ends, parts.last_mut()) {
                if above(*from) && above(*to) {
                    parts.push(Vec::new());
                } else if part.is_empty() {
                    part.extend([inside(*from), inside(*to)]);
                } else {
                    part.push(inside(*to));
                }
            }
        }
        parts.retain(|part| !part.is_empty());
        parts
    }

    /// A vertical bar.
    fn bar(
        &self,
        time: f64,
        (from, to): (i64, i64),
        color: RGBColor,
        width: u32,
    ) -> PathElement<(f64, f64)> {
        let ends = [from, to].map(|seq| (time, self.clamp(seq as f64)));
        PathElement::new(ends, color.stroke_width(width))
    }

    /// One tick for each whole number, up to ten.
    fn ticks(&self) -> usize {
        (self.highest - self.lowest).clamp(2.0, 10.0) as usize
    }
}

fn draw(panel: &Panel<'_>, series: &Series, frame: &Frame) -> Result<()> {
    let (head, body) = panel.split_vertically(HEAD);
    let mut chart = ChartBuilder::on(&body)
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
        .y_labels(frame.ticks())
        .y_label_formatter(&|seq| format!("{seq:.0}"))
        .draw()
        .map_err(failed)?;
    let mut legend = draw_lines(&mut chart, series, frame)?;
    legend.extend(draw_bars(&mut chart, series, frame)?);
    legend.extend(draw_resets(&mut chart, series, frame)?);
    draw_head(&head, &format!("{} > {}", series.from, series.to), &legend)
}

/// Draws the title, and below it the legend, outside the plot area.
fn draw_head(head: &Panel<'_>, title: &str, legend: &Legend) -> Result<()> {
    let left = 92;
    let title = Text::new(title.to_owned(), (left, 12), ("sans-serif", 18));
    head.draw(&title).map_err(failed)?;
    let mut x = left;
    for (name, color) in legend {
        let key = PathElement::new([(x, 46), (x + 18, 46)], color.stroke_width(3));
        head.draw(&key).map_err(failed)?;
        let words = Text::new(name.clone(), (x + 24, 39), ("sans-serif", 13));
        head.draw(&words).map_err(failed)?;
        x += 44 + 7 * name.len() as i32;
    }
    Ok(())
}

fn draw_lines(chart: &mut Chart<'_, '_>, series: &Series, frame: &Frame) -> Result<Legend> {
    let mut legend = Legend::new();
    for (name, points, color) in [
        ("acknowledged", &series.acks, ACK),
        ("receiver's window", &series.window, WINDOW),
        ("acknowledged + cwnd", &series.cwnd, CWND),
    ] {
        if points.is_empty() {
            continue;
        }
        let parts = frame.steps(points);
        let is_above = parts.is_empty() && points.len() > 1;
        let place = if is_above { " (far above)" } else { "" };
        legend.push((format!("{name}{place}"), color));
        for part in parts {
            let line = LineSeries::new(part, color);
            chart.draw_series(line).map_err(failed)?;
        }
    }
    Ok(legend)
}

fn draw_bars(chart: &mut Chart<'_, '_>, series: &Series, frame: &Frame) -> Result<Legend> {
    let bars = |again: bool, color: RGBColor| -> Vec<_> {
        let wanted = move |bar: &&Bar| bar.retransmission == again;
        let bars = series.data.iter().filter(wanted);
        bars.map(|bar| frame.bar(bar.at.time, (bar.at.seq, bar.end), color, 2))
            .collect()
    };
    // Blocks are repeated in many segments; only the first report of each is drawn.
    let news = series.sacks.iter().filter(|sack| !sack.duplicate);
    let news = news.flat_map(|sack| sack.news.iter().map(|part| (sack.at.time, *part)));
    let news = news.map(|(time, part)| frame.bar(time, part, SACK, 2));
    let duplicates = series.sacks.iter().filter(|sack| sack.duplicate);
    let duplicates =
        duplicates.map(|sack| frame.bar(sack.at.time, (sack.at.seq, sack.end), DUPLICATE, 2));
    let mut legend = Legend::new();
    for (name, marks, color) in [
        ("data", bars(false, DATA), DATA),
        ("retransmission", bars(true, AGAIN), AGAIN),
        ("SACK", news.collect(), SACK),
        ("D-SACK", duplicates.collect(), DUPLICATE),
    ] {
        if !marks.is_empty() {
            chart.draw_series(marks).map_err(failed)?;
            legend.push((name.to_owned(), color));
        }
    }
    Ok(legend)
}

fn draw_resets(chart: &mut Chart<'_, '_>, series: &Series, frame: &Frame) -> Result<Legend> {
    let crosses = series.resets.iter().map(|reset| {
        let at = (reset.time, frame.clamp(reset.seq as f64));
        Cross::new(at, 6, RESET.stroke_width(3))
    });
    chart.draw_series(crosses).map_err(failed)?;
    let legend = (!series.resets.is_empty()).then(|| ("reset".to_owned(), RESET));
    Ok(legend.into_iter().collect())
}
