//! `millstream-lab diagram`: the state machine as the engine has it.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

use crate::diagram;

/// Prints TCP's state machine, drawn from the engine's table of transitions.
#[derive(Args, Clone, Debug)]
pub struct Diagram {
    /// What to print it as; without, what the file's name ends in, or text.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Where to write it; standard output without.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A figure in characters, and a line for each arrow.
    Text,
    /// For Graphviz.
    Dot,
    /// A picture.
    Svg,
}

impl Diagram {
    /// Prints or writes the diagram.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn run(&self) -> Result<()> {
        let drawn = match self
            .format
            .or_else(|| self.ending())
            .unwrap_or(Format::Text)
        {
            Format::Text => diagram::text(),
            Format::Dot => diagram::dot(),
            Format::Svg => diagram::svg(&[]).to_string() + "\n",
        };
        match &self.output {
            Some(path) => std::fs::write(path, drawn)
                .with_context(|| format!("cannot write {}", path.display())),
            None => Ok(anstream::stdout().write_all(drawn.as_bytes())?),
        }
    }

    /// The format that the file's name says.
    fn ending(&self) -> Option<Format> {
        let ending = self.output.as_ref()?.extension()?.to_str()?;
        Format::from_str(ending, true).ok()
    }
}
