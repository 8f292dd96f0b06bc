//! Classic examples: byte sequences to decode, and traces of the 1990s as the tcpdump of that time
//! printed them, with notes where a printed trace is inconsistent.

use std::time::Duration;

use anyhow::Result;
use millstream_wire::WindowScale;
use millstream_wire::tcp::Flags;

use crate::decode::{Decoder, Field, Kind, hex};
use crate::segment::Segment;
use crate::trace::Trace;

/// Bytes to decode.
pub struct Example {
    /// A description of the bytes.
    pub caption: &'static str,
    /// The kind of the bytes.
    pub kind: Kind,
    /// The bytes in hexadecimal.
    pub digits: &'static str,
    /// The sender's window scale, if the preceding SYNs carried the option.
    pub scale: Option<u8>,
}

impl Example {
    /// Decodes the bytes field by field.
    ///
    /// # Errors
    /// If the bytes are not of the stated kind.
    pub fn decode(&self) -> Result<Vec<Field>> {
        let bytes = hex::parse(self.digits)?;
        Decoder::new(self.scale.map(WindowScale::new)).decode(self.kind, &bytes)
    }
}

/// A classic trace that a scenario reproduces, as it was printed.
pub struct Printed {
    /// The columns that it prints.
    pub style: Style,
    /// Its lines.
    pub lines: &'static [&'static str],
    /// Values missing from a line, counted from 1, that other lines of the same trace have.
    pub omissions: &'static [(usize, Omission)],
}

/// The columns of a printed trace.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Whether it has the time since the previous line, in parentheses.
    pub differences: bool,
    /// Whether it has the windows.
    pub windows: bool,
}

/// A value missing from a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omission {
    /// The number of bytes in parentheses.
    Length,
    /// The window.
    Window,
}

impl Omission {
    /// A sentence about the value that is missing for `segment`.
    #[must_use]
    pub fn sentence(self, segment: &Segment) -> String {
        match self {
            Self::Length => format!(
                "the classic trace leaves out the length, ({}), which it prints after the same kind of range elsewhere",
                segment.length
            ),
            Self::Window => format!(
                "the classic trace leaves out \"win {}\", which every segment has and which it prints on other lines",
                segment.window
            ),
        }
    }
}

impl Printed {
    /// The trace's segments as the classic trace prints them, each with a sentence for every value
    /// missing there.
    #[must_use]
    pub fn lines_of(&self, trace: &Trace) -> Vec<(String, Vec<String>)> {
        let sentences = |(n, (_, segment)): (usize, (Duration, &Segment))| {
            let of_line = self
                .omissions
                .iter()
                .filter(move |(line, _)| *line == n + 1);
            of_line
                .map(|(_, omission)| omission.sentence(segment))
                .collect()
        };
        let said = trace.segments().enumerate().map(sentences);
        self.lines_as_printed(trace).into_iter().zip(said).collect()
    }

    /// The trace's segments exactly as the classic trace prints them, without the missing values.
    #[must_use]
    pub fn lines_as_printed(&self, trace: &Trace) -> Vec<String> {
        let count = trace.segments().count();
        let width = count.to_string().len();
        let mut before = Duration::ZERO;
        let mut lines = Vec::new();
        for (n, (at, segment)) in trace.segments().enumerate() {
            let left_out = |what| self.omissions.contains(&(n + 1, what));
            let mut time = match at {
                Duration::ZERO => "0.0".to_owned(),
                at => format!("{:.6}", at.as_secs_f64()),
            };
            if self.style.differences && n > 0 {
                time += &format!(" ({:.4})", (at - before).as_secs_f64());
            }
            before = at;
            let column = if self.style.differences { 18 } else { 9 };
            let ends = format!("{} > {}", trace.end(segment.from), trace.end(segment.to));
            let windows = self.style.windows && !left_out(Omission::Window);
            let text = describe(segment, windows, !left_out(Omission::Length));
            lines.push(format!("{:>width$} {time:column$} {ends}: {text}", n + 1));
        }
        lines
    }
}

/// Prints absolute sequence numbers for SYNs and relative ones otherwise; a range if the segment
/// occupies sequence numbers.
fn describe(segment: &Segment, window: bool, length: bool) -> String {
    let mut text = segment.letters();
    let syn = segment.flags.contains(Flags::SYN);
    if text != "." {
        let (start, end) = if syn {
            let start = i64::from(segment.raw_seq);
            (start, start + segment.length as i64)
        } else {
            (segment.seq, segment.end())
        };
        text += &format!(" {start}:{end}");
        if length {
            text += &format!("({})", segment.length);
        }
    }
    if let Some(ack) = segment.ack {
        let ack = if syn { i64::from(segment.raw_ack) } else { ack };
        text += &format!(" ack {ack}");
    }
    if window {
        text += &format!(" win {}", segment.window);
    }
    text + &segment.option_text()
}
