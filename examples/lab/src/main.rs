//! The command line of the lab; see the library.

use std::io;
use std::process::ExitCode;

use anyhow::{Error, Result};
use clap::{Parser, Subcommand};
use millstream_lab::commands::decode::Decode;
use millstream_lab::commands::diagram::Diagram;
use millstream_lab::commands::list::List;
use millstream_lab::commands::plot::Plot;
use millstream_lab::commands::run::Run;
use millstream_lab::commands::tutorial::Tutorial;

/// Demonstrations of TCP, and tools to inspect packets.
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

impl Command {
    fn run(&self) -> Result<()> {
        match self {
            Self::Decode(command) => command.run(),
            Self::Diagram(command) => command.run(),
            Self::Plot(command) => command.run(),
            Self::List(command) => command.run(),
            Self::Run(command) => command.run(),
            Self::Tutorial(command) => command.run(),
        }
    }
}

fn main() -> ExitCode {
    match Cli::parse().command.run() {
        Err(error) if !is_end_of_reader(&error) => {
            anstream::eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Whether the reader of the output has closed it, as `head` does.
fn is_end_of_reader(error: &Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref());
    causes.any(|cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe)
}
