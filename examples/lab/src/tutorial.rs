//! The tutorial: a template in which lines that begin with `@` stand for what a scenario comes to.
//!
//! - `@ladder S1a`: the ladder;
//! - `@states S1a`: the states of both ends;
//! - `@calls S1a`: what the applications saw;
//! - `@print S5`: the trace in the document's style, with what there is to say about the document's own print;
//! - `@words S3b 1`: the TCP header of that segment, counted from 1, four bytes a line.

use std::fmt::Write as _;

use anstream::adapter::strip_str;
use anyhow::{Context as _, Result, bail, ensure};
use millstream_wire::ip;

use crate::scenarios::{self, Scenario};
use crate::trace::Trace;
use crate::{ladder, report};

const TEMPLATE: &str = include_str!("../tutorial.md.in");

/// The tutorial as it should stand in docs/tutorial.md.
///
/// # Errors
/// A scenario went wrong, or the template asks for what there is not.
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
    let [what, id, rest @ ..] = words.as_slice() else {
        bail!("what, and of which scenario?");
    };
    let [scenario] = scenarios::named(id)[..] else {
        bail!("{id} is not one scenario");
    };
    let trace = (scenario.memory)()?;
    let styled = match (*what, rest) {
        ("ladder", []) => ladder::text(&trace),
        ("states", []) => report::states(&trace),
        ("calls", []) => report::calls(&trace),
        ("print", []) => printed(scenario, &trace)?,
        ("words", [number]) => header(&trace, number.parse()?)?,
        _ => bail!("nothing of that name"),
    };
    Ok(strip_str(&styled).to_string())
}

fn printed(scenario: &Scenario, trace: &Trace) -> Result<String> {
    let printed = report::printed(scenario, trace);
    printed.with_context(|| format!("the document has no print of {}", scenario.id))
}

/// The TCP header of the segment of that number, in hexadecimal.
fn header(trace: &Trace, number: usize) -> Result<String> {
    ensure!(number > 0, "segments are counted from 1");
    let (_, segment) = trace
        .segments()
        .nth(number - 1)
        .context("no such segment")?;
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
