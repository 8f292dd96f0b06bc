//! The results: samples by case, side and metric, printed as a table or as JSON.

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::stats::median;

/// A metric and its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Metric {
    /// Gigabits per second.
    #[serde(rename = "Gbit/s")]
    Gbits,
    /// Nanoseconds of processor time per byte.
    #[serde(rename = "CPU ns/B")]
    CpuPerByte,
    /// Microseconds within which half of the round trips complete.
    #[serde(rename = "p50 us")]
    P50,
    /// Microseconds within which 99 % of the round trips complete.
    #[serde(rename = "p99 us")]
    P99,
    /// Microseconds within which 99.9 % of the round trips complete.
    #[serde(rename = "p99.9 us")]
    P999,
    /// Operations per second.
    #[serde(rename = "per s")]
    PerSecond,
    /// Bytes of memory for each connection.
    #[serde(rename = "B each")]
    BytesEach,
    /// Nanoseconds for each operation.
    #[serde(rename = "ns each")]
    NanosEach,
    /// Megabits per second of the slowest flow.
    #[serde(rename = "least Mbit/s")]
    Least,
    /// Jain's fairness index of the flows.
    #[serde(rename = "Jain")]
    Jain,
    /// Packets that the interface towards the side dropped.
    #[serde(rename = "dropped")]
    Dropped,
}

impl Metric {
    /// The heading of its column.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gbits => "Gbit/s",
            Self::CpuPerByte => "CPU ns/B",
            Self::P50 => "p50 us",
            Self::P99 => "p99 us",
            Self::P999 => "p99.9 us",
            Self::PerSecond => "per s",
            Self::BytesEach => "B each",
            Self::NanosEach => "ns each",
            Self::Least => "least Mbit/s",
            Self::Jain => "Jain",
            Self::Dropped => "dropped",
        }
    }
}

/// The samples of one side for one metric.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// The title of the comparison.
    pub(crate) case: String,
    /// The name of the side.
    pub(crate) side: String,
    /// The metric.
    pub(crate) metric: Metric,
    /// One sample for each round.
    pub(crate) samples: Vec<f64>,
}

/// The rate of each flow of one side in the last round.
#[derive(Clone, Debug, Serialize)]
struct Flows {
    case: String,
    side: String,
    /// Megabits per second.
    rates: Vec<f64>,
}

/// All measurements of one run.
#[derive(Debug, Default)]
pub(crate) struct Results {
    lines: Vec<Line>,
    flows: Vec<Flows>,
}

/// The JSON form of a line.
#[derive(Serialize)]
struct Told<'a> {
    case: &'a str,
    side: &'a str,
    metric: Metric,
    median: f64,
    ratio: f64,
    samples: &'a [f64],
}

impl Results {
    /// Adds one sample.
    pub(crate) fn add(&mut self, case: &str, side: &str, metric: Metric, value: f64) {
        let known = self
            .lines
            .iter_mut()
            .find(|line| line.is(case, side, metric));
        match known {
            Some(line) => line.samples.push(value),
            None => self.lines.push(Line {
                case: case.to_owned(),
                side: side.to_owned(),
                metric,
                samples: vec![value],
            }),
        }
    }

    /// Replaces the rates of the flows, in megabits per second; they are kept until the next round.
    pub(crate) fn set_flows(&mut self, case: &str, side: &str, rates: Vec<f64>) {
        self.flows
            .retain(|known| known.case != case || known.side != side);
        self.flows.push(Flows {
            case: case.to_owned(),
            side: side.to_owned(),
            rates,
        });
    }

    /// The median of one side's samples, if there are any.
    pub(crate) fn median(&self, case: &str, side: &str, metric: Metric) -> Option<f64> {
        let line = self.lines.iter().find(|line| line.is(case, side, metric))?;
        Some(median(&line.samples))
    }

    /// The lines, in the order of their first samples.
    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The cases, in the order of their first samples.
    pub(crate) fn cases(&self) -> Vec<&str> {
        distinct(self.lines.iter().map(|line| line.case.as_str()))
    }

    /// The line of the same case and metric with which others are compared: the first.
    fn reference(&self, line: &Line) -> f64 {
        self.lines
            .iter()
            .find(|other| other.case == line.case && other.metric == line.metric)
            .map_or(f64::NAN, |first| median(&first.samples))
    }

    /// All lines as JSON.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let told = self.lines.iter().map(|line| {
            let median = median(&line.samples);
            serde_json::json!(Told {
                case: &line.case,
                side: &line.side,
                metric: line.metric,
                median,
                ratio: median / self.reference(line),
                samples: &line.samples,
            })
        });
        serde_json::json!({ "results": told.collect::<Vec<_>>(), "flows": self.flows })
    }

    /// A table for each case: sides as rows, metrics as columns, each value with its ratio to the
    /// first side's; below it each flow of the last round.
    pub(crate) fn to_text(&self) -> String {
        let tables = self
            .cases()
            .into_iter()
            .map(|case| format!("{case}\n{}\n{}", self.table(case), self.flows_of(case)));
        tables.collect()
    }

    fn flows_of(&self, case: &str) -> String {
        let lines = self.flows.iter().filter(|flows| flows.case == case);
        let lines = lines.map(|flows| {
            let rates: Vec<_> = flows.rates.iter().map(|&rate| short(rate)).collect();
            format!("Mbit/s of each flow, {}: {}\n", flows.side, rates.join(" "))
        });
        lines.collect()
    }

    fn table(&self, case: &str) -> Table {
        let lines: Vec<_> = self.lines.iter().filter(|line| line.case == case).collect();
        let metrics = distinct(lines.iter().map(|line| line.metric));
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY);
        let heads = metrics.iter().flat_map(|metric| [metric.name(), "ratio"]);
        table.set_header(std::iter::once("").chain(heads));
        for side in distinct(lines.iter().map(|line| line.side.as_str())) {
            let cells = metrics.iter().flat_map(|metric| {
                let line = lines.iter().find(|line| line.is(case, side, *metric));
                line.map_or_else(Default::default, |line| {
                    let median = median(&line.samples);
                    [
                        short(median),
                        format!("{:.2}", median / self.reference(line)),
                    ]
                })
            });
            table.add_row(std::iter::once(side.to_owned()).chain(cells));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

impl Line {
    fn is(&self, case: &str, side: &str, metric: Metric) -> bool {
        self.case == case && self.side == side && self.metric == metric
    }
}

/// The value with three significant digits.
fn short(value: f64) -> String {
    let decimals = match value.abs() {
        v if v < 1.0 => 3,
        v if v < 10.0 => 2,
        v if v < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// Each of `items` once, in order.
fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for item in items {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_refer_to_the_first_side_of_the_same_case() {
        let mut results = Results::default();
        for value in [3.0, 1.0, 2.0] {
            results.add("in", "ours", Metric::Gbits, value);
            results.add("in", "theirs", Metric::Gbits, 2.0 * value);
            results.add("out", "theirs", Metric::Gbits, 10.0 * value);
        }
        assert_eq!(results.median("in", "theirs", Metric::Gbits), Some(4.0));
        assert_eq!(results.median("in", "theirs", Metric::P50), None);
        let json = results.to_json();
        let ratios: Vec<_> = (0..3)
            .map(|n| json["results"][n]["ratio"].as_f64())
            .collect();
        assert_eq!(ratios, [Some(1.0), Some(2.0), Some(1.0)]);
    }
}
