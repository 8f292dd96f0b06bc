//! The ladder diagram of a trace: the events between two hosts in order, one in each row.
//! [`text()`] and [`group()`] draw the same rows.

mod svg;
mod text;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use millstream_engine::State;

pub use self::svg::group;
pub use self::text::text;
use crate::segment::Segment;
use crate::trace::{Call, Change, Trace, What};

/// One row.
#[derive(Clone, Debug)]
struct Row<'a> {
    at: Duration,
    /// The new states of the left and the right host's end.
    states: [Option<State>; 2],
    between: Between<'a>,
}

/// The contents of a row between the hosts.
#[derive(Clone, Copy, Debug)]
enum Between<'a> {
    Nothing,
    Segment {
        segment: &'a Segment,
        /// Whether it comes from the left host.
        rightwards: bool,
    },
    Remark(&'a str),
    /// The result of an application's call.
    Call {
        call: &'a Call,
        /// The host of the application.
        host: &'a str,
    },
}

/// The rows of a trace.
fn rows(trace: &Trace) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for entry in &trace.entries {
        let between = match &entry.what {
            What::Call(call) if !is_shown(call) => continue,
            What::Call(call) => Between::Call {
                call,
                host: &trace.hosts[call.host].name,
            },
            What::State(change) => {
                note_state(&mut rows, entry.at, change);
                continue;
            }
            What::Remark { text } => Between::Remark(text),
            What::Segment(segment) => Between::Segment {
                segment,
                rightwards: trace.host_of(segment.from.ip()) == Some(0),
            },
        };
        match rows.last_mut() {
            Some(row) if row.sends(entry.at, between) => row.between = between,
            _ => rows.push(Row {
                at: entry.at,
                states: [None; 2],
                between,
            }),
        }
    }
    rows
}

/// Errors are shown, and calls without a segment, such as a bind.
fn is_shown(call: &Call) -> bool {
    call.answer.is_err() || call.call.starts_with("bind(")
}

/// Adds a state to a row without other contents, or to one with the other host's change at the same
/// time.
fn note_state(rows: &mut Vec<Row<'_>>, at: Duration, change: &Change) {
    match rows.last_mut() {
        Some(row)
            if row.at == at
                && row.states[change.host].is_none()
                && matches!(row.between, Between::Nothing) =>
        {
            row.states[change.host] = Some(change.to);
        }
        _ => {
            let mut states = [None; 2];
            states[change.host] = Some(change.to);
            rows.push(Row {
                at,
                states,
                between: Between::Nothing,
            });
        }
    }
}

impl Row<'_> {
    /// Whether the segment `between` is sent at the same time as this row's change of state.
    fn sends(&self, at: Duration, between: Between<'_>) -> bool {
        let Between::Segment { rightwards, .. } = between else {
            return false;
        };
        let sender = usize::from(!rightwards);
        self.at == at && matches!(self.between, Between::Nothing) && self.states[sender].is_some()
    }
}

/// Formats the segments of a trace: with ports if there is more than one connection.
struct Writer {
    ports: bool,
}

impl Writer {
    fn new(trace: &Trace) -> Self {
        let pair = |segment: &Segment| -> [SocketAddr; 2] {
            let (from, to) = (segment.from, segment.to);
            [from.min(to), from.max(to)]
        };
        let pairs: BTreeSet<_> = trace.segments().map(|(_, s)| pair(s)).collect();
        Self {
            ports: pairs.len() > 1,
        }
    }

    fn write(&self, segment: &Segment) -> String {
        if self.ports {
            let (from, to) = (segment.from.port(), segment.to.port());
            format!("{from} > {to}: {}", segment.summary())
        } else {
            segment.summary()
        }
    }
}

/// A time as the ladder shows it.
fn time(at: Duration) -> String {
    format!("{:.6}", at.as_secs_f64())
}
