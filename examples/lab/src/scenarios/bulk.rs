//! A small transfer with a loss, for a graph: the capture shows the congestion window.

use std::time::Duration;

use anyhow::Result;

use super::{Scenario, plain};
use crate::lab::{LEFT, Lab, RIGHT};
use crate::link::{losing, narrow};
use crate::trace::Trace;

pub(super) static SCENARIO: Scenario = Scenario {
    id: "bulk",
    title: "a transfer with a loss, for `plot`",
    about: "200 kB over a link of a megabyte per second with a delay of 20 ms in each direction. \
            The window grows with each acknowledgment, one segment is lost, SACK blocks report the \
            data received beyond it, and the window shrinks. With --pcap the capture has the \
            congestion window in comments, and `plot` draws it.",
    memory,
    tun: None,
    printed: None,
    examples: &[],
};

/// The number of the data segment that is lost.
const LOST: u32 = 60;

fn memory() -> Result<Trace> {
    let link = narrow(Duration::from_millis(20), 1_000_000);
    let mut sent = 0;
    let script = losing(link, move |from, segment| {
        sent += u32::from(from == LEFT && segment.length > 0);
        from == LEFT && segment.length > 0 && sent == LOST
    });
    let mut lab = Lab::new(["sender", "receiver"], [plain; 2], script);
    let receiver = lab.addr(RIGHT, 5001);
    lab.listen(RIGHT, 5001)?;
    let (near, far) = lab.establish(LEFT, 1099, receiver)?;
    lab.write(near, &[b'x'; 200_000])?;
    lab.run_for(Duration::from_millis(400));
    lab.shutdown(near)?;
    lab.quiet();
    lab.shutdown(far)?;
    lab.quiet();
    Ok(lab.finish())
}
