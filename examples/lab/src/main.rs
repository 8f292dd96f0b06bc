//! See the library.

use anyhow::Result;
use clap::{Parser, Subcommand};
use millstream_lab::commands::decode::Decode;
use millstream_lab::commands::diagram::Diagram;
use millstream_lab::commands::plot::Plot;

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
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Decode(command) => command.run(),
        Command::Diagram(command) => command.run(),
        Command::Plot(command) => command.run(),
    }
}
