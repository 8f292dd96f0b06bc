//! `millstream-lab decode`: a packet field by field.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use millstream_testbed::capture::{Reader, is_capture};
use millstream_wire::WindowScale;
use serde::Serialize;

use crate::decode::{Decoder, Field, Kind, hex};

/// Prints packets field by field, with the meaning of every flag and option.
#[derive(Args, Clone, Debug)]
pub struct Decode {
    /// The packet in quotes, as hexadecimal digits (spaces, colons and 0x are ignored) or as a dump
    /// of tcpdump -X, Wireshark or xxd; or a pcap or pcapng file; or - to read either from standard
    /// input.
    #[arg(required = true, value_name = "HEX|FILE|-")]
    input: Vec<String>,
    /// The digits are a bare TCP header.
    #[arg(long, group = "kind")]
    tcp: bool,
    /// The digits are an IP packet.
    #[arg(long, group = "kind")]
    ip: bool,
    /// The digits are the options of a TCP header alone.
    #[arg(long, group = "kind")]
    options: bool,
    /// Shift count of the sender's window scale, 0 to 14 (7 for a factor of 128); for a file it is
    /// taken from the SYNs.
    #[arg(long, value_parser = clap::value_parser!(u8).range(..=14))]
    scale: Option<u8>,
    /// Only this packet of the file, counted from 1.
    #[arg(long, value_name = "N")]
    packet: Option<u64>,
    /// Prints one JSON object for each packet.
    #[arg(long)]
    json: bool,
}

/// One packet as `--json` prints it.
#[derive(Serialize)]
struct Printed<'a> {
    /// Its number in the file, counted from 1.
    packet: u64,
    /// Seconds since the file's first packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<f64>,
    /// Its comments in the file.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    comments: &'a [String],
    /// Its headers, outermost first.
    headers: &'a [Field],
}

impl Decode {
    /// Prints the requested packets.
    ///
    /// # Errors
    /// If the input is not a packet, with advice, or if printing fails.
    pub fn run(&self) -> Result<()> {
        let mut decoder = Decoder::new(self.scale.map(WindowScale::new));
        match source(&self.input)? {
            Source::Capture(reader, name) => self.capture(reader, &name, &mut decoder),
            Source::Digits(text) => self.digits(&text, &mut decoder),
        }
    }

    fn digits(&self, text: &str, decoder: &mut Decoder) -> Result<()> {
        ensure!(
            self.packet.is_none(),
            "--packet is for captures, and these are digits"
        );
        let bytes = hex::parse(text)?;
        let kind = match (self.tcp, self.ip, self.options) {
            (true, ..) => Kind::Tcp,
            (_, true, _) => Kind::Ip,
            (.., true) => Kind::Options,
            _ => Kind::guess(&bytes)?,
        };
        let headers = decoder.decode(kind, &bytes)?;
        self.print(&Printed {
            packet: 1,
            time: None,
            comments: &[],
            headers: &headers,
        })
    }

    fn capture(&self, reader: Reader, name: &str, decoder: &mut Decoder) -> Result<()> {
        let mut seen = 0;
        let mut first = None;
        for record in reader {
            let record = record.with_context(|| format!("after packet {seen} of {name}"))?;
            seen += 1;
            let began = *first.get_or_insert(record.time);
            // Packets that are not printed are decoded too, to learn the window scales.
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
                    comments: &record.comments,
                    headers: &headers,
                })?;
            }
            if self.packet == Some(seen) {
                return Ok(());
            }
        }
        ensure_seen(self.packet, seen).with_context(|| name.to_owned())
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
        for comment in printed.comments {
            writeln!(out, "Comment: {comment}")?;
        }
        for header in printed.headers {
            write!(out, "{header}")?;
        }
        Ok(writeln!(out)?)
    }
}

/// The source of packets.
enum Source {
    /// A capture, and its name.
    Capture(Reader, String),
    Digits(String),
}

/// Interprets the arguments: one file, standard input, or digits.
fn source(input: &[String]) -> Result<Source> {
    let is_file = |word: &String| Path::new(word).is_file();
    match input {
        [dash] if dash == "-" => standard_input(),
        [name] if is_file(name) => {
            let reader = Reader::open(Path::new(name))?;
            Ok(Source::Capture(reader, name.clone()))
        }
        [name] if Path::new(name).is_dir() => bail!("{name} is a directory: give a capture file"),
        [name, rest @ ..] if is_file(name) && rest.iter().any(is_file) => {
            bail!("several files: give one at a time")
        }
        digits => Ok(Source::Digits(digits.join(" "))),
    }
}

/// The maximum text read from standard input: a dump of the largest packet is shorter.
const MAX_TEXT: u64 = 1 << 20;

fn standard_input() -> Result<Source> {
    let name = "standard input";
    let mut input = BufReader::new(io::stdin());
    if is_capture(input.fill_buf()?) {
        return Ok(Source::Capture(Reader::new(input, name)?, name.to_owned()));
    }
    let mut text = String::new();
    let read = input.take(MAX_TEXT).read_to_string(&mut text);
    read.with_context(|| format!("{name} is neither a capture nor text"))?;
    Ok(Source::Digits(text))
}

/// Rejects an empty capture, and a packet number beyond its end.
fn ensure_seen(wanted: Option<u64>, seen: u64) -> Result<()> {
    ensure!(seen > 0, "there are no packets in it");
    ensure!(
        wanted.is_none_or(|number| (1..=seen).contains(&number)),
        "the file has packets 1 to {seen}"
    );
    Ok(())
}
