//! The results as a chart: for each case a group of bars, one for each side.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::results::{Line, Results};
use crate::stats::median;

/// Width of the chart in pixels.
const WIDTH: u32 = 900;
/// Height of a bar and the gap below it, in pixels.
const BAR: u32 = 24;
/// Height of a case's title and the gap below it, in pixels.
const TITLE: u32 = 40;
/// The left edge of the bars, in pixels.
const LEFT: i32 = 240;
/// Length of the longest bar in pixels.
const LONGEST: f64 = 520.0;

/// Writes a chart of every case's first metric to an SVG file.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn bars(results: &Results, path: &Path) -> Result<()> {
    let groups: Vec<_> = results
        .cases()
        .into_iter()
        .map(|case| (case, first_metric(results, case)))
        .collect();
    let bars: usize = groups.iter().map(|(_, lines)| lines.len()).sum();
    let height = groups.len() as u32 * TITLE + bars as u32 * BAR + BAR;
    let area = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    draw(&area, &groups).map_err(|error| anyhow!("{error}"))?;
    area.present()
        .map_err(|error| anyhow!("{error}"))
        .with_context(|| format!("writing {}", path.display()))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn first_metric<'a>(results: &'a Results, case: &str) -> Vec<&'a Line> {
    let mut lines = results.lines().iter().filter(|line| line.case == case);
    let Some(first) = lines.next() else {
        return Vec::new();
    };
    std::iter::once(first)
        .chain(lines.filter(|line| line.metric == first.metric))
        .collect()
}

fn draw<'a>(area: &Area<'a>, groups: &[(&str, Vec<&Line>)]) -> Drawn<'a> {
    area.fill(&WHITE)?;
    let title = ("sans-serif", 16).into_font().color(&BLACK);
    let label = ("sans-serif", 13).into_font().color(&BLACK);
    let mut y = 12;
    for (case, lines) in groups {
        let Some(first) = lines.first() else { continue };
        let text = format!("{case} ({})", first.metric.name());
        area.draw_text(&text, &title, (12, y))?;
        y += TITLE as i32 - 12;
        let medians: Vec<_> = lines.iter().map(|line| median(&line.samples)).collect();
        let most = medians.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        for (n, (line, value)) in lines.iter().zip(medians).enumerate() {
            let length = (value / most * LONGEST) as i32;
            let color = Palette99::pick(n).filled();
            let corners = [(LEFT, y), (LEFT + length, y + BAR as i32 - 6)];
            area.draw(&Rectangle::new(corners, color))?;
            area.draw_text(&line.side, &label, (24, y + 2))?;
            area.draw_text(&format!("{value:.2}"), &label, (LEFT + length + 8, y + 2))?;
            y += BAR as i32;
        }
        y += 12;
    }
    Ok(())
}
