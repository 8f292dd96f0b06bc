//! `millstream-lab tutorial`: writes docs/tutorial.md.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::tutorial;

/// Writes the tutorial with the current results of the scenarios.
#[derive(Args, Clone, Debug)]
pub struct Tutorial {
    /// Output file; by default standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Tutorial {
    /// Writes the tutorial.
    ///
    /// # Errors
    /// If a scenario fails, or if the file cannot be written.
    pub fn run(&self) -> Result<()> {
        let text = tutorial::text()?;
        match &self.output {
            Some(path) => std::fs::write(path, text)
                .with_context(|| format!("cannot write {}", path.display())),
            None => Ok(anstream::stdout().write_all(text.as_bytes())?),
        }
    }
}
