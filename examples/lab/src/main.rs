//! See the library.

use anyhow::Result;
use clap::{Parser, Subcommand};
use millstream_lab::commands::list::List;
use millstream_lab::commands::run::Run;
use millstream_lab::commands::tutorial::Tutorial;

/// What TCP does, made to happen, and tools to look at packets.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    List(List),
    Run(Run),
    Tutorial(Tutorial),
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::List(command) => command.run(),
        Command::Run(command) => command.run(),
        Command::Tutorial(command) => command.run(),
    }
}
