//! The tutorial: a template in which lines that begin with `@` are replaced by results of a
//! scenario.
//!
//! - `@diagram`: the state diagram;
//! - `@ladder S1a`: the ladder;
//! - `@states S1a`: the states of both ends;
//! - `@calls S1a`: the results of the applications' calls;
//! - `@print S5`: the trace in the style of the tcpdump of its time, with remarks about the classic
//!   print;
//! - `@examples S7`: the example bytes of the section, field by field;
//! - `@decode S3b 1`: the TCP header of that segment, field by field;
//! - `@words S3b 1`: the TCP header of that segment, counted from 1, four bytes in each line.

use std::fmt::Write as _;

use anstream::adapter::strip_str;
use anyhow::{Context as _, Result, bail, ensure};
use millstream_wire::ip;

use crate::decode::{Decoder, Kind};
use crate::scenarios::{self, Scenario};
use crate::segment::Segment;
use crate::trace::Trace;
use crate::{diagram, ladder, report};

const TEMPLATE: &str = include_str!("../tutorial.md.in");

/// The current text of docs/tutorial.md.
///
/// # Errors
/// If a scenario fails, or if the template refers to an unknown scenario or segment.
pub fn text() -> Result<String> {
    let mut out = String::new();
    for line in TEMPLATE.lines() {
        match line.strip_prefix('@') {
            None => writeln!(out, "{line}")?,
            Some(words) => {
                let shown = show(words).with_context(|| line.to_owned())?;
                writeln!(out, "```text\n{}\n```", shown.trim_end())?;
            }
        }
    }
    Ok(out)
}

fn show(words: &str) -> Result<String> {
    let words: Vec<_> = words.split_whitespace().collect();
    if words == ["diagram"] {
        return Ok(diagram::text());
    }
    let [what, id, rest @ ..] = words.as_slice() else {
        bail!("what, and of which scenario?");
    };
    let [scenario] = scenarios::named(id)[..] else {
        bail!("{id} is not one scenario");
    };
    let trace = (scenario.memory)()?;
    let styled = match (*what, rest) {
        ("ladder", []) => ladder::text(&trace, None),
        ("states", []) => report::states(&trace),
        ("calls", []) => report::calls(&trace),
        ("examples", []) => report::examples(scenario)?,
        ("print", []) => printed(scenario, &trace)?,
        ("decode", [number]) => decode(&trace, number.parse()?)?,
        ("words", [number]) => header(&trace, number.parse()?)?,
        _ => bail!("nothing of that name"),
    };
    Ok(strip_str(&styled).to_string())
}

fn printed(scenario: &Scenario, trace: &Trace) -> Result<String> {
    let printed = report::printed(scenario, trace);
    printed.with_context(|| format!("no classic trace goes with {}", scenario.id))
}

fn segment(trace: &Trace, number: usize) -> Result<&Segment> {
    ensure!(number > 0, "segments are counted from 1");
    let (_, segment) = trace
        .segments()
        .nth(number - 1)
        .context("no such segment")?;
    Ok(segment)
}

/// The TCP header of the segment with this number, as `decode` prints it.
fn decode(trace: &Trace, number: usize) -> Result<String> {
    let mut decoder = Decoder::new(None);
    let mut last = Vec::new();
    for number in 1..=number {
        // The earlier segments are decoded too, to learn the window scales.
        last = decoder.decode(Kind::Ip, &segment(trace, number)?.packet)?;
    }
    let tcp = last
        .iter()
        .find(|field| field.name.starts_with("Transmission"));
    Ok(tcp.context("no TCP header")?.to_string())
}

/// The TCP header of the segment with this number, in hexadecimal.
fn header(trace: &Trace, number: usize) -> Result<String> {
    let segment = segment(trace, number)?;
    let packet = ip::Packet::parse(&segment.packet)?;
    let payload = packet.payload();
    let header = &payload[..payload.len() - segment.length];
    let mut out = String::new();
    for (number, word) in header.chunks(4).enumerate() {
        let bytes: Vec<_> = word.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(out, "{:4}: {}", 4 * number, bytes.join(" "))?;
    }
    Ok(out)
}
