//! The cost of an attack, compared with a table of limits, as text and as JSON.

use std::fmt;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::limits;

/// The bound of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limit {
    /// The maximum.
    AtMost(f64),
    /// The minimum.
    AtLeast(f64),
}

impl Limit {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "<= {}", number(*limit)),
            Self::AtLeast(limit) => write!(f, ">= {}", number(*limit)),
        }
    }
}

/// One number that an attack yields.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    /// The counted quantity, with its unit.
    pub(crate) name: &'static str,
    /// The number.
    pub(crate) value: f64,
    /// The same attack's number on the Linux kernel, if it was attacked.
    pub(crate) linux: Option<f64>,
    /// The figure's row in the table of limits, if it has one.
    pub(crate) limit: Option<Limit>,
}

impl Figure {
    /// Whether the figure is within its limit. A figure without a limit is.
    pub(crate) fn holds(&self) -> bool {
        self.limit.is_none_or(|limit| limit.holds(self.value))
    }
}

/// The results of one attack.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// The attack's name.
    pub(crate) attack: &'static str,
    /// The figures, in the order in which they were noted.
    pub(crate) figures: Vec<Figure>,
    /// The reason why the attack could not be played to its end.
    pub(crate) failure: Option<String>,
}

impl Report {
    /// A report without figures.
    pub(crate) fn of(attack: &'static str) -> Self {
        Self {
            attack,
            figures: Vec::new(),
            failure: None,
        }
    }

    /// Records that the attack could not be played to its end.
    pub(crate) fn fail(&mut self, error: &anyhow::Error) {
        self.failure = Some(format!("{error:#}"));
    }

    /// Adds a figure.
    pub(crate) fn note(&mut self, name: &'static str, value: f64) {
        self.figures.push(Figure {
            name,
            value,
            linux: None,
            limit: limits::of(self.attack, name),
        });
    }

    /// Adds the kernel's value to the figure of that name.
    pub(crate) fn note_linux(&mut self, name: &'static str, value: f64) {
        let figure = self.figures.iter_mut().find(|figure| figure.name == name);
        if let Some(figure) = figure {
            figure.linux = Some(value);
        }
    }

    /// Whether the attack was played and every figure is within its limit.
    pub(crate) fn holds(&self) -> bool {
        self.failure.is_none() && self.figures.iter().all(Figure::holds)
    }
}

/// The reports as a table.
pub(crate) fn table(reports: &[Report]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["attack", "figure", "value", "Linux", "limit", "verdict"]);
    for report in reports {
        if let Some(failure) = &report.failure {
            table.add_row([report.attack, failure, "", "", "", "FAILED"]);
        }
        for (at, figure) in report.figures.iter().enumerate() {
            let attack = if at == 0 { report.attack } else { "" };
            let limit = figure.limit.map(|limit| limit.to_string());
            let verdict = match figure.limit {
                None => "",
                Some(_) if figure.holds() => "ok",
                Some(_) => "EXCEEDED",
            };
            table.add_row([
                attack.to_owned(),
                figure.name.to_owned(),
                number(figure.value),
                figure.linux.map(number).unwrap_or_default(),
                limit.unwrap_or_default(),
                verdict.to_owned(),
            ]);
        }
    }
    table
}

/// A number with a suitable number of digits.
fn number(value: f64) -> String {
    if value == value.trunc() {
        format!("{value}")
    } else if value.abs() >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_beyond_its_limit_is_told() {
        let figure = |value, limit| Figure {
            name: "bytes",
            value,
            linux: None,
            limit,
        };
        assert!(figure(7.0, None).holds());
        assert!(figure(7.0, Some(Limit::AtMost(7.0))).holds());
        assert!(!figure(7.1, Some(Limit::AtMost(7.0))).holds());
        assert!(!figure(99.0, Some(Limit::AtLeast(100.0))).holds());
    }
}
