//! `millstream-lab run`: makes scenarios happen and shows them.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};
use serde::Serialize;

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
        if self.over == Over::Tun
            && let Err(why) = over_tun::prepare()
        {
            ensure!(env::var_os("CI").is_none(), "no network namespace: {why}");
            anstream::eprintln!("skipped: {}: no network namespace: {why}", self.name);
            return Ok(());
        }
        let several = wanted.len() > 1;
        for scenario in wanted {
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
                svg::save(&file, &picture::svg(scenario.title, &trace))
                    .with_context(|| format!("cannot write {}", file.display()))?;
            }
        }
        Ok(())
    }

    fn play(&self, scenario: &Scenario) -> Result<Trace> {
        match self.over {
            Over::Memory => (scenario.memory)(),
            Over::Tun => over_tun::play(scenario),
        }
    }

    fn show(&self, scenario: &Scenario, trace: &Trace) -> Result<()> {
        if self.json {
            let told = Told {
                id: scenario.id,
                title: scenario.title,
                trace,
                paths: trace.path_lines(),
            };
            anstream::println!("{}", serde_json::to_string(&told)?);
            return Ok(());
        }
        anstream::println!("{}", report::report(scenario, trace));
        match self.over {
            Over::Memory => {
                if let Some(printed) = report::printed(scenario, trace) {
                    anstream::println!("As the document prints it\n{printed}");
                }
            }
            // The document's times and numbers come of virtual time only.
            Over::Tun => anstream::println!("{}\n", over_tun::NOTE),
        }
        Ok(())
    }
}

/// `out.svg`, or `out-S3b.svg` where there are several.
fn own_path(file: &Path, id: &str, several: bool) -> PathBuf {
    if !several {
        return file.to_owned();
    }
    let mut name = file.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{id}"));
    let named = file.with_file_name(name);
    match file.extension() {
        Some(extension) => named.with_added_extension(extension),
        None => named,
    }
}
