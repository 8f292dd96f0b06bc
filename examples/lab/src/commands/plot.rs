//! `millstream-lab plot`: the time-sequence graph of a connection in a capture.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::plot::{self, Connection};

/// Draws the time-sequence graph of a connection: data, ACK line, window line, SACKs, retransmissions and resets; and
/// the congestion window, where packets have a comment with the word cwnd=N.
#[derive(Args, Clone, Debug)]
pub struct Plot {
    /// A pcap or pcapng file.
    file: PathBuf,
    /// Where to draw: a file that ends in .svg or .png; without, the capture's name with .svg.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Which connection, counted from 1; without, the one that sent most.
    #[arg(long, value_name = "N")]
    connection: Option<usize>,
}

impl Plot {
    /// Draws, and says what is in the file.
    ///
    /// # Errors
    /// The file is no capture or has no such connection, or the graph cannot be written.
    pub fn run(&self) -> Result<()> {
        let output = self
            .output
            .clone()
            .unwrap_or_else(|| self.file.with_extension("svg"));
        let bitmap = is_bitmap(&output)?;
        let connections = plot::read(&self.file)?;
        let number = self.number(&connections)?;
        list(&connections, number);
        let svg = plot::svg(&connections[number])?;
        let drawn = if bitmap {
            plot::png(&svg)?
        } else {
            svg.into_bytes()
        };
        std::fs::write(&output, drawn)
            .with_context(|| format!("cannot write {}", output.display()))?;
        anstream::println!("{}", output.display());
        Ok(())
    }

    /// The connection to draw, counted from 0.
    fn number(&self, connections: &[Connection]) -> Result<usize> {
        let count = connections.len();
        let most = (0..count)
            .rev()
            .max_by_key(|number| connections[*number].sent());
        let most =
            most.with_context(|| format!("there is no TCP connection in {}", self.file.display()))?;
        let Some(wanted) = self.connection else {
            return Ok(most);
        };
        ensure!(
            (1..=count).contains(&wanted),
            "the file has connections 1 to {count}"
        );
        Ok(wanted - 1)
    }
}

fn is_bitmap(output: &Path) -> Result<bool> {
    let ending = output.extension().and_then(|ending| ending.to_str());
    ensure!(
        matches!(ending, Some("svg" | "png")),
        "{}: name a file that ends in .svg or .png",
        output.display()
    );
    Ok(ending == Some("png"))
}

fn list(connections: &[Connection], drawn: usize) {
    for (number, connection) in connections.iter().enumerate() {
        let mark = if number == drawn { '*' } else { ' ' };
        let [there, back] = &connection.directions;
        let (left, right) = (there.from, there.to);
        anstream::println!(
            "{mark} {}: {left} > {right}, {} bytes there, {} bytes back",
            number + 1,
            there.sent(),
            back.sent()
        );
    }
}
