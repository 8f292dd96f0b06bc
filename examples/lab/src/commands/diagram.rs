//! `millstream-lab diagram`: the state machine of the engine.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};

use crate::diagram;

/// Prints TCP's state machine, drawn from the engine's table of transitions.
#[derive(Args, Clone, Debug)]
pub struct Diagram {
    /// Output format; by default the format of the file's extension (.txt, .dot, .gv or .svg), or
    /// text.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Output file; by default standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A figure in characters, followed by a line for each arrow.
    Text,
    /// Input for Graphviz.
    Dot,
    /// An SVG image.
    Svg,
}

impl Diagram {
    /// Prints or writes the diagram.
    ///
    /// # Errors
    /// If the diagram cannot be written.
    pub fn run(&self) -> Result<()> {
        let drawn = match self.format()? {
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

    /// The requested format, or the format of the file's extension.
    fn format(&self) -> Result<Format> {
        let (None, Some(path)) = (self.format, &self.output) else {
            return Ok(self.format.unwrap_or(Format::Text));
        };
        let ending = path.extension().and_then(|ending| ending.to_str());
        match ending.map(str::to_ascii_lowercase).as_deref() {
            Some("txt") => Ok(Format::Text),
            Some("dot" | "gv") => Ok(Format::Dot),
            Some("svg") => Ok(Format::Svg),
            _ => bail!(
                "{}: name a file that ends in .txt, .dot, .gv or .svg, or say which with --format",
                path.display()
            ),
        }
    }
}
