//! Writes docs/parity.md.

use std::fs;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use millstream_parity::page;

#[derive(Parser)]
#[command(about, version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write docs/parity.md.
    Write,
}

fn main() -> Result<()> {
    let Command::Write = Cli::parse().command;
    let text = page::make().map_err(anyhow::Error::msg)?;
    fs::write(page::path(), text).context("cannot write the page")
}
