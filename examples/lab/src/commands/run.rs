//! `millstream-lab run`: makes scenarios happen and shows them.

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

/// Makes a scenario happen and shows it: the segments, the states of both ends, what the applications saw.
#[derive(Args, Clone, Debug)]
pub struct Run {
    /// A scenario, S3b; all of a section, S3; or all.
    name: String,
    /// Where it happens.
    #[arg(long, value_enum, default_value_t = Over::Memory)]
    over: Over,
    /// Writes a capture; with several scenarios, one each, with the scenario in the name.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Draws the ladder and the ways that the ends took through the state diagram; with several scenarios, one each, with the scenario in the name.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Prints one JSON object a scenario, and nothing else.
    #[arg(long)]
    json: bool,
}

/// Where a scenario happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Over {
    /// Between two stacks on virtual time.
    Memory,
    /// Between our stack and the Linux kernel, over a TUN interface in a network namespace of its own.
    Tun,
}

/// A scenario as `--json` prints it.
#[derive(Serialize)]
struct Told<'a> {
    /// Its name.
    id: &'a str,
    /// What it shows.
    title: &'a str,
    /// What happened.
    #[serde(flatten)]
    trace: &'a Trace,
    /// The states of each end in order.
    paths: Vec<String>,
    /// The lines in the style of an old tcpdump.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    printed: Vec<Line>,
}

/// A line in the style of an old tcpdump.
#[derive(Serialize)]
struct Line {
    line: String,
    /// What there is to say about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remarks: Vec<String>,
}

impl Run {
    /// Runs what was asked for.
    ///
    /// # Errors
    /// There is no such scenario, it went wrong, or a file cannot be written.
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

    /// Those of the scenarios that can happen where they are to, and a word about the others.
    fn playable(&self, wanted: Vec<&'static Scenario>) -> Result<Vec<&'static Scenario>> {
        let (playable, others): (Vec<_>, Vec<_>) = wanted
            .into_iter()
            .partition(|scenario| self.over == Over::Memory || scenario.tun.is_some());
        let others: Vec<_> = others.iter().map(|scenario| scenario.id).collect();
        let others = others.join(", ");
        ensure!(
            !playable.is_empty(),
            "{others}: over memory only, not over TUN"
        );
        if !others.is_empty() {
            anstream::eprintln!("left out, because over memory only: {others}");
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
            // The times and numbers of the old traces come of virtual time only.
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

/// Columns of the terminal, if there is one.
fn columns() -> Option<usize> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let columns = tcgetwinsize(&stdout).ok()?.ws_col;
    // A terminal that does not know its size says that it is nothing.
    (columns > 0).then(|| columns.into())
}

/// The file, or where there are several one for each scenario.
fn own_path(file: &Path, id: &str, several: bool) -> PathBuf {
    if several {
        suffixed(file, &format!("-{id}"))
    } else {
        file.to_owned()
    }
}
