//! The longest flow of each link over time: congestion window, goodput and sequence numbers, for
//! millstream and the kernel.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::end::Flow;
use super::look::Look;

/// Size of one chart in pixels.
const SIZE: (u32, u32) = (420, 240);
/// Seconds over which goodput is averaged.
const SPAN: f64 = 0.25;

/// The longest flow over one link, from each sender to a kernel.
pub(super) struct Traced {
    link: String,
    /// The sender's name and the samples.
    flows: [(&'static str, Vec<Look>); 2],
}

impl Traced {
    /// Selects from a link's flows, by pair and length, the first of the longest from a kernel, and
    /// from millstream.
    pub(super) fn new(link: &str, flows: &[Vec<Vec<Flow>>]) -> Self {
        let looks = |pair: &[Vec<Flow>]| {
            let longest = pair.last().and_then(|flows| flows.first());
            longest.map_or(Vec::new(), |flow| flow.looks.clone())
        };
        Self {
            link: link.to_owned(),
            flows: [
                ("kernel", looks(&flows[0])),
                ("millstream", looks(&flows[1])),
            ],
        }
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;
type Curve = fn(&[Look]) -> Vec<(f64, f64)>;

/// The curves of each flow.
const CURVES: [(&str, Curve); 3] = [
    ("congestion window, KB", |looks| {
        let point = |look: &Look| (look.at, look.cwnd as f64 / 1e3);
        looks.iter().map(point).collect()
    }),
    ("goodput, Mbit/s", goodput),
    ("acknowledged, MB", |looks| {
        let point = |look: &Look| (look.at, look.acked as f64 / 1e6);
        looks.iter().map(point).collect()
    }),
];

/// Draws a row of charts for each link.
///
/// # Errors
/// If the file cannot be written.
pub(super) fn draw(traced: &[Traced], path: &Path) -> Result<()> {
    let size = (SIZE.0 * CURVES.len() as u32, SIZE.1 * traced.len() as u32);
    let area = SVGBackend::new(path, size).into_drawing_area();
    let drawn = area.fill(&WHITE).and_then(|()| {
        let cells = area.split_evenly((traced.len(), CURVES.len()));
        for (row, cells) in traced.iter().zip(cells.chunks(CURVES.len())) {
            for (cell, (what, curve)) in cells.iter().zip(CURVES) {
                draw_cell(cell, row, what, curve)?;
            }
        }
        area.present()
    });
    drawn
        .map_err(|error| anyhow!("{error}"))
        .with_context(|| format!("writing {}", path.display()))
}

fn draw_cell<'a>(area: &Area<'a>, row: &Traced, what: &str, curve: Curve) -> Drawn<'a> {
    let curves = row
        .flows
        .each_ref()
        .map(|(name, looks)| (name, curve(looks)));
    let most = |of: fn(&(f64, f64)) -> f64| {
        let all = curves.iter().flat_map(|(_, points)| points).map(of);
        all.fold(f64::MIN_POSITIVE, f64::max)
    };
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .caption(format!("{}: {what}", row.link), ("sans-serif", 12))
        .x_label_area_size(20)
        .y_label_area_size(44)
        .build_cartesian_2d(
            0.0..most(|point| point.0),
            0.0..most(|point| point.1) * 1.05,
        )?;
    chart.configure_mesh().light_line_style(WHITE).draw()?;
    for (number, (name, points)) in curves.into_iter().enumerate() {
        let color = Palette99::pick(number).to_rgba();
        chart
            .draw_series(LineSeries::new(points, color))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color));
    }
    chart.configure_series_labels().border_style(BLACK).draw()
}

/// The goodput at each time, over the last quarter of a second.
fn goodput(looks: &[Look]) -> Vec<(f64, f64)> {
    let mut first = 0;
    looks
        .iter()
        .map(|look| {
            while looks[first].at + SPAN < look.at {
                first += 1;
            }
            let (bytes, time) = (look.acked - looks[first].acked, look.at - looks[first].at);
            let rate = if time > 0.0 {
                bytes as f64 * 8e-6 / time
            } else {
                0.0
            };
            (look.at, rate)
        })
        .collect()
}
