//! `millstream-lab plot`: the time-sequence graph of a connection in a capture.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use super::suffixed;
use crate::plot::{self, Connection};

/// Draws the time-sequence graph of a connection: data, acknowledgments, window, SACK blocks,
/// retransmissions and resets; and the congestion window, if packets have a comment with the word
/// cwnd=N.
#[derive(Args, Clone, Debug)]
pub struct Plot {
    /// A pcap or pcapng file.
    file: PathBuf,
    /// Output file with the extension .svg or .png; by default the capture's name with -plot.svg.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Number of the connection, counted from 1; by default the one that sent the most data.
    #[arg(long, value_name = "N")]
    connection: Option<usize>,
    /// Draws all connections, each into a file with its number in the name.
    #[arg(long, conflicts_with = "connection")]
    all: bool,
}

impl Plot {
    /// Draws the graphs, and prints the contents of the file.
    ///
    /// # Errors
    /// If the file is not a capture or has no such connection, or if the graph cannot be written.
    pub fn run(&self) -> Result<()> {
        let output = match &self.output {
            Some(output) => output.clone(),
            // The suffix avoids the names of pictures that other commands draw of the same capture.
            None => suffixed(&self.file, "-plot").with_extension("svg"),
        };
        let bitmap = is_bitmap(&output)?;
        let capture = plot::read(&self.file)?;
        if let Some(damage) = &capture.damage {
            anstream::eprintln!("the rest of {} is skipped: {damage:#}", self.file.display());
        }
        let connections = &capture.connections;
        let drawn = self.numbers(connections)?;
        let mut out = anstream::stdout().lock();
        list(&mut out, connections, &drawn)?;
        for number in drawn {
            let output = if self.all {
                suffixed(&output, &format!("-{}", number + 1))
            } else {
                output.clone()
            };
            draw(&connections[number], &output, bitmap)
                .with_context(|| format!("connection {}", number + 1))?;
            writeln!(out, "{}", output.display())?;
        }
        Ok(())
    }

    /// The connections to draw, counted from 0.
    fn numbers(&self, connections: &[Connection]) -> Result<Vec<usize>> {
        let count = connections.len();
        let most = (0..count)
            .rev()
            .max_by_key(|number| connections[*number].sent());
        let most =
            most.with_context(|| format!("there is no TCP connection in {}", self.file.display()))?;
        if self.all {
            return Ok((0..count).collect());
        }
        let Some(wanted) = self.connection else {
            return Ok(vec![most]);
        };
        ensure!(
            (1..=count).contains(&wanted),
            "the file has connections 1 to {count}"
        );
        Ok(vec![wanted - 1])
    }
}

fn draw(connection: &Connection, output: &Path, bitmap: bool) -> Result<()> {
    let svg = plot::svg(connection)?;
    let drawn = if bitmap {
        plot::png(&svg)?
    } else {
        svg.into_bytes()
    };
    std::fs::write(output, drawn).with_context(|| format!("cannot write {}", output.display()))
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

fn list(out: &mut impl Write, connections: &[Connection], drawn: &[usize]) -> Result<()> {
    for (number, connection) in connections.iter().enumerate() {
        let mark = if drawn.contains(&number) { '*' } else { ' ' };
        let [there, back] = &connection.directions;
        let (left, right) = (there.from, there.to);
        writeln!(
            out,
            "{mark} {}: {left} > {right}, {} bytes there, {} bytes back",
            number + 1,
            there.sent(),
            back.sent()
        )?;
    }
    Ok(())
}
