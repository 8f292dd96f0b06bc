//! Traces as the founding document prints them, after the tcpdump of its time, and where that print is not
//! consistent with itself.

use std::time::Duration;

use millstream_wire::tcp::Flags;

use crate::segment::Segment;
use crate::trace::Trace;

/// The document's print of a scenario.
pub struct Printed {
    /// What it prints of each segment.
    pub style: Style,
    /// Its lines.
    pub lines: &'static [&'static str],
    /// What it leaves out of a line, counted from 1, and prints in others of the same trace.
    pub omissions: &'static [(usize, Omission)],
}

/// What a print of the document shows.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// The time since the line before, in parentheses.
    pub differences: bool,
    /// The windows.
    pub windows: bool,
}

/// Something left out of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omission {
    /// The number of bytes in parentheses.
    Length,
    /// The window.
    Window,
}

impl Omission {
    /// What there is to say about it.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Length => {
                "the document leaves out the length, (0), which it prints after the same kind of range elsewhere"
            }
            Self::Window => {
                "the document leaves out the window, which every segment has and which it prints on other lines"
            }
        }
    }
}

impl Printed {
    /// The trace's segments in the document's style with everything in it, each with a sentence for what the
    /// document leaves out of that line.
    #[must_use]
    pub fn lines_of(&self, trace: &Trace) -> Vec<(String, Vec<&'static str>)> {
        let lines = self.render(trace, &[]);
        let sentences = |number: usize| {
            let of_line = self.omissions.iter().filter(move |(n, _)| *n == number);
            of_line.map(|(_, omission)| omission.sentence()).collect()
        };
        lines
            .into_iter()
            .enumerate()
            .map(|(n, line)| (line, sentences(n + 1)))
            .collect()
    }

    /// The trace's segments as the document has them, what it leaves out left out.
    #[must_use]
    pub fn lines_as_printed(&self, trace: &Trace) -> Vec<String> {
        self.render(trace, self.omissions)
    }

    fn render(&self, trace: &Trace, omissions: &[(usize, Omission)]) -> Vec<String> {
        let count = trace.segments().count();
        let width = count.to_string().len();
        let mut before = Duration::ZERO;
        let mut lines = Vec::new();
        for (n, (at, segment)) in trace.segments().enumerate() {
            let left_out = |what| omissions.contains(&(n + 1, what));
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

/// SYNs with the numbers of the header, everything else relative; a range where there is something to number.
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
