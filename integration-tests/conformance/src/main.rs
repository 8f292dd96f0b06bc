//! Runs wire scripts and says how they ended.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use millstream_conformance::pcapng;
use millstream_conformance::report::{self, Summary};
use millstream_conformance::runner::{Outcome, Profile, Settings, Tolerance, Verdict};
use millstream_conformance::suite::{self, TargetKind};

/// Wire scripts: what a TCP stack has to do, packet by packet.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs scripts, each on a fresh stack, and prints a line for each.
    Run(Run),
}

#[derive(Debug, Args)]
struct Run {
    /// Script files, or folders of `.pkt` files.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// The stack to run them against.
    #[arg(long, value_enum, default_value_t)]
    target: TargetKind,
    /// How exactly segments have to match.
    #[arg(long, value_enum, default_value_t)]
    profile: Profile,
    /// How exactly times have to match.
    #[arg(long, value_enum, default_value_t)]
    tolerance: Tolerance,
    /// Print a JSON object a line instead of text.
    #[arg(long)]
    json: bool,
    /// Print every packet.
    #[arg(long)]
    verbose: bool,
    /// Write the packets of each failure to this folder, as pcapng.
    #[arg(long, value_name = "FOLDER")]
    pcapng: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let Command::Run(run) = Cli::parse().command;
    let summary = run.run()?;
    Ok(if summary.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Run {
    fn run(&self) -> Result<Summary> {
        let settings = Settings {
            profile: self.profile,
            tolerance: self.tolerance,
        };
        let mut summary = Summary::default();
        for path in suite::find(&self.paths)? {
            let outcome = suite::run_file(&path, self.target, settings);
            summary.count(&outcome.verdict);
            let report = if self.json {
                report::json(&path, &outcome, self.verbose)?
            } else {
                report::text(&path, &outcome, self.verbose)
            };
            println!("{report}");
            self.capture(&path, &outcome)?;
        }
        if self.json {
            println!("{}", serde_json::to_string(&summary)?);
        } else {
            println!("{summary}");
        }
        Ok(summary)
    }

    fn capture(&self, script: &Path, outcome: &Outcome) -> Result<()> {
        let (Some(folder), Verdict::Failed(_)) = (&self.pcapng, &outcome.verdict) else {
            return Ok(());
        };
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        // Scripts of one name may lie in several folders.
        let parts = script.components().filter_map(|part| match part {
            std::path::Component::Normal(name) => name.to_str(),
            _ => None,
        });
        let name = parts.collect::<Vec<_>>().join("-");
        pcapng::write(&folder.join(name).with_extension("pcapng"), &outcome.trace)
    }
}
