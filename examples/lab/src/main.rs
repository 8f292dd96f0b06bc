//! See the library.

use anyhow::Result;
use clap::{Parser, Subcommand};
use millstream_lab::commands::decode::Decode;

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
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Decode(command) => command.run(),
    }
}
