//! A trace as a capture file.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use millstream_testbed::capture::Writer;

use crate::trace::{Fate, Trace};

/// The start time of a capture: some programs treat a time of zero as missing.
const BEGINS: Duration = Duration::from_secs(1);

/// Writes the trace's packets as pcapng, without link headers, at their trace times plus one
/// second. Lost and held packets are included, with a comment; the sender's congestion window, if
/// known, is a comment of the form `cwnd=N`.
///
/// # Errors
/// If the file cannot be written.
pub fn write(trace: &Trace, path: &Path) -> Result<()> {
    let mut writer = Writer::create(path)?;
    for (at, segment) in trace.segments() {
        let fate = match segment.fate {
            Fate::Passed => None,
            Fate::Lost => Some("lost on the link"),
            Fate::Held => Some("held on the link, then delivered"),
        };
        // The form that `plot` reads.
        let cwnd = segment.cwnd.map(|cwnd| format!("cwnd={cwnd}"));
        let comments: Vec<_> = fate.into_iter().chain(cwnd.as_deref()).collect();
        writer.write(BEGINS + at, &segment.packet, &comments)?;
    }
    writer.finish()?;
    Ok(())
}
