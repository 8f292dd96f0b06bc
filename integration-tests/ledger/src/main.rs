//! Writes docs/rfc9293.md and docs/rfcs.md, or checks them.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use millstream_ledger::page::{self, Pages};

#[derive(Parser)]
#[command(about, version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write docs/rfc9293.md and docs/rfcs.md.
    Write,
    /// Report faults: a MUST without a test, a citation of a nonexistent requirement or section, an
    /// outdated page.
    Check,
}

fn main() -> Result<ExitCode> {
    let Cli { command } = Cli::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let Pages { texts, mut faults } = page::make(&root)?;
    for (name, text) in texts {
        let path = root.join(name);
        match command {
            Command::Write => {
                fs::write(&path, text).with_context(|| format!("cannot write {name}"))?;
            }
            Command::Check => faults.extend(page::stale(&root, name, &text)),
        }
    }
    for fault in &faults {
        eprintln!("{fault}");
    }
    Ok(if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
