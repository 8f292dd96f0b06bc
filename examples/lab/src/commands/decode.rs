//! `millstream-lab decode`: a packet field by field.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use millstream_wire::WindowScale;
use serde::Serialize;

use crate::decode::file::{Reader, ensure_seen};
use crate::decode::{Decoder, Field, Kind, hex};

/// Prints packets field by field, with the meaning of every flag and option.
#[derive(Args, Clone, Debug)]
pub struct Decode {
    /// The packet as hexadecimal digits (spaces, colons and 0x do not matter), or a pcap or pcapng file.
    #[arg(required = true, value_name = "HEX|FILE")]
    input: Vec<String>,
    /// The digits are a bare TCP header.
    #[arg(long, conflicts_with = "ip")]
    tcp: bool,
    /// The digits are an IP packet.
    #[arg(long)]
    ip: bool,
    /// Shift count of the sender's window scale, 0 to 14 (7 for a factor of 128); of a file it is learned from the SYNs.
    #[arg(long, value_parser = clap::value_parser!(u8).range(..=14))]
    scale: Option<u8>,
    /// Only this packet of the file, counted from 1.
    #[arg(long, value_name = "N")]
    packet: Option<u64>,
    /// Prints one JSON object a packet.
    #[arg(long)]
    json: bool,
}

/// One packet as `--json` prints it.
#[derive(Serialize)]
struct Printed<'a> {
    /// Its number in the file, from 1.
    packet: u64,
    /// Seconds since the file's first packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<f64>,
    /// Its headers, outermost first.
    headers: &'a [Field],
}

impl Decode {
    /// Prints what was asked for.
    ///
    /// # Errors
    /// The input is no packet, with what to do about it; or it cannot be printed.
    pub fn run(&self) -> Result<()> {
        let mut decoder = Decoder::new(self.scale.map(WindowScale::new));
        let path = PathBuf::from(&self.input[0]);
        if self.input.len() == 1 && path.is_file() {
            return self.file(&path, &mut decoder);
        }
        ensure!(
            self.packet.is_none(),
            "--packet is for files: {} is none",
            path.display()
        );
        let bytes = hex::parse(&self.input.join(" "))?;
        let kind = match (self.tcp, self.ip) {
            (true, _) => Kind::Tcp,
            (_, true) => Kind::Ip,
            _ => Kind::guess(&bytes)?,
        };
        let headers = decoder.decode(kind, &bytes)?;
        self.print(&Printed {
            packet: 1,
            time: None,
            headers: &headers,
        })
    }

    fn file(&self, path: &Path, decoder: &mut Decoder) -> Result<()> {
        let mut seen = 0;
        let mut first = None;
        for record in Reader::open(path)? {
            let record =
                record.with_context(|| format!("after packet {seen} of {}", path.display()))?;
            seen += 1;
            let began = *first.get_or_insert(record.time);
            // Packets that are not to be printed are decoded too: the window scales are learned from them.
            let headers = match record.ip()? {
                Some(bytes) => decoder
                    .decode(Kind::Ip, bytes)
                    .unwrap_or_else(|error| vec![Field::unreadable(&error)]),
                None => vec![Field::unreadable(&anyhow::anyhow!(
                    "the frame carries no IP"
                ))],
            };
            if self.packet.is_none_or(|wanted| wanted == seen) {
                let time = record.time.saturating_sub(began).as_secs_f64();
                self.print(&Printed {
                    packet: seen,
                    time: Some(time),
                    headers: &headers,
                })?;
            }
            if self.packet == Some(seen) {
                return Ok(());
            }
        }
        ensure_seen(self.packet, seen)
    }

    fn print(&self, printed: &Printed<'_>) -> Result<()> {
        let mut out = anstream::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string(printed)?)?;
            return Ok(());
        }
        if let Some(time) = printed.time {
            writeln!(out, "Packet {} at {time:.6} s", printed.packet)?;
        }
        for header in printed.headers {
            write!(out, "{header}")?;
        }
        Ok(writeln!(out)?)
    }
}
