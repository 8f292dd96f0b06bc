//! Benchmarks of millstream against the Linux kernel, other stacks, and the capacity of the device.
//!
//! `cli` has the command line, `commands` its subcommands. A comparison is a [`rounds::Plan`] of
//! [`work`] for several [`sides`]; [`lab`] runs each side as a process of its own in a network
//! namespace, and a client process for each measurement. [`results`] and `plot` present the
//! results; [`targets`] judges them.

mod cli;
mod commands;
mod dial;
mod hold;
mod impaired;
mod instructions;
mod lab;
mod measure;
mod plot;
mod processors;
mod results;
mod rounds;
mod service;
mod setup;
mod sides;
mod stats;
mod targets;
mod work;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    millstream_console::exit(run(Cli::parse().command).map(|()| ExitCode::SUCCESS))
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Bulk(args) => commands::bulk(&args),
        Command::Pingpong(args) => commands::ping_pong(&args),
        Command::Connect(args) => commands::connect(&args),
        Command::Idle(args) => commands::idle(&args),
        Command::Scale(args) => commands::scale(&args),
        Command::Wheel(args) => commands::wheel(&args),
        Command::Impaired(args) => impaired::run(&args),
        Command::Targets(args) => targets::run(&args),
        Command::Serve(args) => commands::serve(&args),
        Command::Load(args) => commands::load(&args),
        Command::Host { description } => {
            sides::host(serde_json::from_str(&description).context("description")?)
        }
        Command::Measure { job } => measure::run(serde_json::from_str(&job).context("job")?),
        Command::Instructions { path, count } => instructions::run(path, count),
    }
}
