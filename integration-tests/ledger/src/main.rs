//! Writes docs/rfc9293.md, docs/rfcs.md and docs/modules.md, or checks them.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use millstream_ledger::modules;
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
    /// Write docs/modules.md.
    Modules,
    /// Report faults: a MUST without a test, a citation of a nonexistent requirement or section, an
    /// outdated page, modules that refer to each other in a circle.
    Check,
}

fn main() -> Result<ExitCode> {
    let Cli { command } = Cli::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    if matches!(command, Command::Modules) {
        write(&root, modules::PAGE, &modules::make(&root)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Pages { texts, mut faults } = page::make(&root)?;
    for (name, text) in texts {
        match command {
            Command::Check => faults.extend(page::stale(&root, name, &text, "write")),
            _ => write(&root, name, &text)?,
        }
    }
    if matches!(command, Command::Check) {
        let text = modules::make(&root)?;
        faults.extend(page::stale(&root, modules::PAGE, &text, "modules"));
        faults.extend(modules::circles(&root)?);
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

fn write(root: &Path, name: &str, text: &str) -> Result<()> {
    fs::write(root.join(name), text).with_context(|| format!("cannot write {name}"))
}
