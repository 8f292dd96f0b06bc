//! `millstream-lab run`: runs scenarios and shows the results.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};
use rustix::termios::tcgetwinsize;
use serde::Serialize;

use super::suffixed;
use crate::scenarios::{self, Scenario};
use crate::trace::Trace;
use crate::{capture, over_tun, picture, report};

/// Runs a scenario and shows the segments, the states of both ends, and the results of the
/// applications' calls.
#[derive(Args, Clone, Debug)]
pub struct Run {
    /// A scenario, such as S3b; all scenarios of a section, such as S3; or all.
    name: String,
    /// Where to run it.
    #[arg(long, value_enum, default_value_t = Over::Memory)]
    over: Over,
    /// Writes a capture; for several scenarios one file each, with the scenario in the name.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Draws the ladder, and the state diagram with the paths of both ends; for several scenarios
    /// one file each, with the scenario in the name.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Prints one JSON object for each scenario, and nothing else.
    #[arg(long)]
    json: bool,
}

/// The environment of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Over {
    /// Between two stacks on virtual time.
    Memory,
    /// Between a millstream stack and the Linux kernel, over a TUN interface in a network namespace
    /// of its own.
    Tun,
}

/// The JSON form of a scenario, for `--json`.
#[derive(Serialize)]
struct Told<'a> {
    /// Its name.
    id: &'a str,
    /// Its title.
    title: &'a str,
    /// Its trace.
    #[serde(flatten)]
    trace: &'a Trace,
    /// The states of each end, in order.
    paths: Vec<String>,
    /// The lines in the style of an old tcpdump.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    printed: Vec<Line>,
}

/// A line in the style of an old tcpdump.
#[derive(Serialize)]
struct Line {
    line: String,
    /// Remarks about the line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remarks: Vec<String>,
}

impl Run {
    /// Runs the requested scenarios.
    ///
    /// # Errors
    /// If there is no such scenario, if a scenario fails, or if a file cannot be written.
    pub fn run(&self) -> Result<()> {
        let wanted = scenarios::named(&self.name);
        ensure!(
            !wanted.is_empty(),
            "there is no scenario {}: see millstream-lab list",
            self.name
        );
        let several = wanted.len() > 1;
        let playable = self.playable(wanted)?;
        if self.over == Over::Tun {
            over_tun::prepare().context("--over tun takes a network namespace")?;
        }
        for scenario in playable {
            let trace = self
                .play(scenario)
                .with_context(|| scenario.id.to_owned())?;
            self.show(scenario, &trace)?;
            let path = |file: &Path| own_path(file, scenario.id, several);
            if let Some(file) = &self.pcap {
                capture::write(&trace, &path(file))?;
            }
            if let Some(file) = &self.svg {
                let file = path(file);
                svg::save(&file, &picture::svg(scenario, &trace))
                    .with_context(|| format!("cannot write {}", file.display()))?;
            }
        }
        Ok(())
    }

    /// The wanted scenarios that can run in the chosen environment; prints a note about the others.
    fn playable(&self, wanted: Vec<&'static Scenario>) -> Result<Vec<&'static Scenario>> {
        let (playable, others): (Vec<_>, Vec<_>) = wanted
            .into_iter()
            .partition(|scenario| self.over == Over::Memory || scenario.tun.is_some());
        let others: Vec<_> = others.iter().map(|scenario| scenario.id).collect();
        let others = others.join(", ");
        ensure!(
            !playable.is_empty(),
            "{others}: runs only over memory, not over TUN"
        );
        if !others.is_empty() {
            anstream::eprintln!("skipped, because they run only over memory: {others}");
        }
        Ok(playable)
    }

    fn play(&self, scenario: &Scenario) -> Result<Trace> {
        match self.over {
            Over::Memory => (scenario.memory)(),
            Over::Tun => over_tun::play(scenario),
        }
    }

    fn show(&self, scenario: &Scenario, trace: &Trace) -> Result<()> {
        let mut out = anstream::stdout().lock();
        if self.json {
            return Ok(writeln!(out, "{}", self.json(scenario, trace)?)?);
        }
        let tun = scenario.tun.as_ref().filter(|_| self.over == Over::Tun);
        let about = tun.and_then(|tun| tun.about).unwrap_or(scenario.about);
        let report = report::report(scenario, about, trace, columns());
        writeln!(out, "{report}")?;
        match self.over {
            Over::Memory => {
                if let Some(printed) = report::printed(scenario, trace) {
                    writeln!(out, "In the style of the tcpdump of its time\n{printed}")?;
                }
                write!(out, "{}", report::examples(scenario)?)?;
            }
            // The times and sequence numbers of the old traces can be reproduced only on virtual
            // time.
            Over::Tun => writeln!(out, "{}\n", over_tun::NOTE)?,
        }
        Ok(())
    }

    fn json(&self, scenario: &Scenario, trace: &Trace) -> Result<String> {
        let printed = scenario.printed.filter(|_| self.over == Over::Memory);
        let lines = printed.map_or_else(Vec::new, |printed| printed.lines_of(trace));
        let line = |(line, remarks)| Line { line, remarks };
        let told = Told {
            id: scenario.id,
            title: scenario.title,
            trace,
            paths: trace.path_lines(),
            printed: lines.into_iter().map(line).collect(),
        };
        Ok(serde_json::to_string(&told)?)
    }
}

/// The number of columns of the terminal, if there is one.
fn columns() -> Option<usize> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let columns = tcgetwinsize(&stdout).ok()?.ws_col;
    // A terminal of unknown size reports zero columns.
    (columns > 0).then(|| columns.into())
}

/// The path itself, or for several scenarios a path with the scenario's name.
fn own_path(file: &Path, id: &str, several: bool) -> PathBuf {
    if several {
        suffixed(file, &format!("-{id}"))
    } else {
        file.to_owned()
    }
}
