//! Runs wire scripts and reports the results.

use std::fmt::Display;
use std::fs;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use millstream_conformance::report::{self, Summary};
use millstream_conformance::runner::{Outcome, Profile, Settings, Tolerance, Verdict};
use millstream_conformance::suite::{self, Plan, TargetKind};
use millstream_conformance::{differential, page};
use millstream_console::{Out, Progress};
use millstream_testbed::capture::Writer;
use millstream_testbed::netns;

/// Wire scripts: the required behaviour of a TCP stack, packet by packet.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs scripts, each on a new stack, and prints a line for each.
    Run(Run),
    /// Plays random sequences to the engine and to Linux, and reports differences.
    Differential(Differential),
    /// Writes docs/conformance.md, the list of all behaviours that have a script.
    Page,
}

#[derive(Debug, Args)]
struct Run {
    /// Script files, or folders of `.pkt` files.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// The stack to test.
    #[arg(long, value_enum, default_value_t)]
    target: TargetKind,
    /// How strictly segments are compared.
    #[arg(long, value_enum, default_value_t)]
    profile: Profile,
    /// How strictly times are compared.
    #[arg(long, value_enum, default_value_t)]
    tolerance: Tolerance,
    /// Number of scripts to run at the same time. By default one for each processor, or many for a
    /// target in real time, whose scripts mostly wait.
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
    /// Skip scripts that take longer than this many seconds of real time.
    #[arg(long, value_name = "SECONDS", default_value_t = suite::PATIENCE.as_secs())]
    patience: u64,
    /// Print one JSON object for each script instead of text.
    #[arg(long)]
    json: bool,
    /// Print every packet.
    #[arg(long)]
    verbose: bool,
    /// Write the packets of each failure to this folder, as pcapng.
    #[arg(long, value_name = "FOLDER")]
    pcapng: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Differential {
    /// Number of sequences.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    sequences: u64,
    /// Seed of the first sequence; the others have the following numbers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of sequences to play at the same time.
    #[arg(long, default_value = "4")]
    jobs: NonZeroUsize,
    /// Stop after this many differences.
    #[arg(long, default_value = "20")]
    limit: NonZeroUsize,
    /// Write a script for each difference to this folder.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    millstream_console::exit(run(Cli::parse().command))
}

fn run(command: Command) -> Result<ExitCode> {
    let summary = match command {
        Command::Run(run) => run.run()?,
        Command::Differential(differential) => return differential.run(),
        Command::Page => {
            let home = Path::new(env!("CARGO_MANIFEST_DIR"));
            fs::write(home.join(page::PATH), page::text(&home.join("scripts"))?)?;
            Summary::default()
        }
    };
    Ok(if summary.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn say(line: &dyn Display) -> Result<()> {
    Ok(writeln!(Out, "{line}")?)
}

impl Run {
    fn run(&self) -> Result<Summary> {
        let paths = suite::find(&self.paths)?;
        let plan = Plan {
            target: self.target,
            settings: Settings {
                profile: self.profile,
                tolerance: self.tolerance,
                ..Settings::default()
            },
            patience: Some(Duration::from_secs(self.patience)),
        };
        if self.target.is_real() {
            netns::enter().context("the kernel as target needs a network namespace")?;
        }
        let jobs = self
            .jobs
            .map_or_else(|| self.target.jobs(), NonZeroUsize::get);
        let mut summary = Summary::default();
        let progress = Progress::of_steps(paths.len() as u64);
        let report = |path: &Path, outcome: Outcome| {
            summary.count(&outcome.verdict);
            progress.suspend(|| self.report(path, &outcome))
        };
        suite::run_files(&paths, &plan, jobs, || progress.inc(1), report)?;
        progress.finish_and_clear();
        if self.json {
            say(&serde_json::to_string(&summary)?)?;
        } else {
            say(&summary)?;
        }
        Ok(summary)
    }

    fn report(&self, path: &Path, outcome: &Outcome) -> Result<()> {
        let report = if self.json {
            report::json(path, outcome, self.verbose)?
        } else {
            report::text(path, outcome, self.verbose)
        };
        say(&report)?;
        self.capture(path, outcome)
    }

    fn capture(&self, script: &Path, outcome: &Outcome) -> Result<()> {
        let (Some(folder), Verdict::Failed(_)) = (&self.pcapng, &outcome.verdict) else {
            return Ok(());
        };
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        // Scripts in several folders may have the same name.
        let parts = script.components().filter_map(|part| match part {
            std::path::Component::Normal(name) => name.to_str(),
            _ => None,
        });
        let name = parts.collect::<Vec<_>>().join("-");
        let mut writer = Writer::create(&folder.join(name).with_extension("pcapng"))?;
        for line in &outcome.trace {
            writer.write(line.at, &line.bytes, &[])?;
        }
        writer.finish()?;
        Ok(())
    }
}

impl Differential {
    fn run(&self) -> Result<ExitCode> {
        netns::enter().context("the kernel as a target needs a network namespace")?;
        let progress = Progress::of_steps(self.sequences);
        let report = differential::run(
            self.seed,
            self.sequences,
            self.jobs.get(),
            self.limit.get(),
            |played| progress.set_position(played),
        )?;
        progress.finish_and_clear();
        for difference in &report.differences {
            let script = differential::script::text(difference);
            say(&script)?;
            if let Some(folder) = &self.out {
                fs::create_dir_all(folder)
                    .with_context(|| format!("cannot create {}", folder.display()))?;
                fs::write(folder.join(format!("{}.pkt", difference.seed)), script)?;
            }
        }
        for (name, times) in &report.known {
            say(&format_args!("{times:8}  {name}"))?;
        }
        say(&format_args!(
            "{} sequences from seed {}, {} differences without an explanation",
            report.played,
            self.seed,
            report.differences.len()
        ))?;
        Ok(if report.differences.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}
