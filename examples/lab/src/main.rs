//! See the library.

use anyhow::Result;
use clap::{Parser, Subcommand};
use millstream_lab::commands::decode::Decode;
use millstream_lab::commands::diagram::Diagram;
use millstream_lab::commands::list::List;
use millstream_lab::commands::plot::Plot;
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
    Decode(Decode),
    Diagram(Diagram),
    Plot(Plot),
    List(List),
    Run(Run),
    Tutorial(Tutorial),
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Decode(command) => command.run(),
        Command::Diagram(command) => command.run(),
        Command::Plot(command) => command.run(),
        Command::List(command) => command.run(),
        Command::Run(command) => command.run(),
        Command::Tutorial(command) => command.run(),
    }
}
