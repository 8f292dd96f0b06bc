//! Attacks on a millstream stack: the cost of each for the stack, and its effect on honest clients.
//!
//! An attack happens on virtual time, between engines: its figures are counts and bytes, the same
//! on every machine.
#![forbid(unsafe_code)]

mod attack;
mod bare;
mod cost;
mod forge;
mod heap;
mod honest;
mod kernel;
mod limits;
mod puppet;
mod report;
mod scene;
mod service;
mod soak;
mod storms;
mod target;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::attack::{Attack, Scale};
use crate::report::Report;

/// Attacks a millstream stack, and reports the cost
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists the attacks
    List,
    /// Plays the named attacks
    Run {
        /// Their names, as shown by `list`
        #[arg(required = true)]
        names: Vec<String>,
        #[command(flatten)]
        how: How,
    },
    /// Plays all attacks
    All {
        #[command(flatten)]
        how: How,
    },
    /// Compares the cost of a packet of each storm with that of an ordinary packet
    Cost {
        /// Count instructions under valgrind, instead of time
        #[arg(long)]
        instructions: bool,
    },
    /// Exchanges mixed real traffic with the kernel over TUN, through a bad link, with crashes;
    /// checks every byte, and that nothing is left
    Soak {
        /// The duration in minutes
        #[arg(long, default_value_t = 10.0)]
        minutes: f64,
    },
    /// Runs one storm and prints the number of its packets: `cost --instructions` runs this under
    /// valgrind
    #[command(hide = true)]
    Storm {
        /// Its name
        name: String,
    },
}

#[derive(clap::Args)]
struct How {
    /// A tenth of the packets: for CI
    #[arg(long)]
    short: bool,
    /// The figures as JSON
    #[arg(long)]
    json: bool,
    /// Send the same packets to the Linux kernel, in a network namespace of this process, for the
    /// attacks that support it
    #[arg(long)]
    linux: bool,
}

fn main() -> Result<ExitCode> {
    match Cli::parse().command {
        Command::List => list(),
        Command::Run { names, how } => {
            let chosen = names
                .iter()
                .map(|name| find(name))
                .collect::<Result<Vec<_>>>()?;
            play(&chosen, &how)
        }
        Command::All { how } => play(&attack::all().collect::<Vec<_>>(), &how),
        Command::Cost { instructions } => storms::compare(instructions),
        Command::Soak { minutes } => soak::run(minutes),
        Command::Storm { name } => {
            say(&storms::once(&name)?.to_string())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn find(name: &str) -> Result<&'static Attack> {
    attack::all()
        .find(|attack| attack.name == name)
        .with_context(|| format!("there is no attack {name:?}: `list` tells those there are"))
}

fn list() -> Result<ExitCode> {
    for attack in attack::all() {
        say(&format!("{:32} {}", attack.name, attack.about))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn play(attacks: &[&Attack], how: &How) -> Result<ExitCode> {
    let scale = if how.short { Scale::Short } else { Scale::Full };
    if how.linux {
        kernel::want()?;
    }
    let mut reports = Vec::new();
    for attack in attacks {
        let began = Instant::now();
        let mut report = Report::of(attack.name);
        if let Err(error) = (attack.play)(scale, &mut report) {
            report.fail(&error);
        }
        let verdict = if report.holds() { "ok" } else { "EXCEEDED" };
        eprintln!(
            "{:32} {verdict} ({:.1} s)",
            attack.name,
            began.elapsed().as_secs_f64()
        );
        reports.push(report);
    }
    if how.json {
        say(&serde_json::to_string_pretty(&reports)?)?;
    } else {
        say(&report::table(&reports).to_string())?;
    }
    let exceeded = reports.iter().filter(|report| !report.holds()).count();
    eprintln!("{} attacks, {exceeded} beyond their limits", reports.len());
    Ok(ExitCode::from(u8::from(exceeded > 0)))
}

/// Prints a line. A reader that has closed the pipe is not an error.
fn say(line: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}
