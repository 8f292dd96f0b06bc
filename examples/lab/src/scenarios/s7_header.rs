//! S7: the header, with TCP's two ECN flags and the two ECN bits of the IP header.

use std::time::Duration;

use anyhow::Result;
use millstream_engine::{Config, EcnMode};

use super::{Scenario, plain};
use crate::classic::Example;
use crate::decode::Kind;
use crate::lab::{LEFT, Lab, RIGHT};
use crate::link::{marking, steady};
use crate::trace::Trace;

const TRANSIT: Duration = Duration::from_millis(10);

pub(super) static SCENARIO: Scenario = Scenario {
    id: "S7",
    title: "the header, and its report of congestion",
    about: "The client requests ECN and the server agrees. Each segment is followed by the two ECN \
            bits of the IP header and the flags CWR and ECE. A router marks the second data \
            segment, 11; the server echoes the mark with ECE until the client reports with CWR \
            that it has reduced its window.",
    memory,
    tun: None,
    printed: None,
    examples: &[HEADER],
};

/// A header of a capture that shows only relative sequence numbers.
const HEADER: Example = Example {
    caption: "A header of a transfer; the SYNs before it agreed on a scaling factor of 128",
    kind: Kind::Tcp,
    digits: "0016 ed67 00000001 00000001 50 10 013a 29cf 0000",
    scale: Some(7),
};

fn asking(config: &mut Config) {
    config.socket.ecn = EcnMode::Active;
}

fn memory() -> Result<Trace> {
    let mut sent = 0;
    let script = marking(steady(TRANSIT), move |from, segment| {
        sent += u32::from(from == LEFT && segment.length > 0);
        from == LEFT && segment.length > 0 && sent == 2
    });
    let mut lab = Lab::new(["client", "server"], [asking, plain], script);
    let server = lab.addr(RIGHT, 80);
    lab.listen(RIGHT, 80)?;
    let (near, _) = lab.establish(LEFT, 1099, server)?;
    for _ in 0..4 {
        lab.run_for(Duration::from_millis(100));
        lab.write(near, &[b'x'; 1000])?;
        lab.quiet();
    }
    Ok(lab.finish())
}
