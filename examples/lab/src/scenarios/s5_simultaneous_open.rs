//! S5: both ends open at once, which results in one connection.

use std::time::Duration;

use anyhow::Result;
use millstream_engine::Config;

use super::{Scenario, of_the_time};
use crate::classic::{Omission, Printed, Style};
use crate::lab::{LEFT, Lab, RIGHT};
use crate::link::timetable;
use crate::over_tun::{self, OverTun};
use crate::trace::Trace;

pub(super) static SCENARIO: Scenario = Scenario {
    id: "S5",
    title: "simultaneous open",
    about: "Each side connects to the other from a known port, and their SYNs cross. Each answers \
            with SYN and ACK: one connection, four segments, and no listener. The segments have \
            the classic trace's times, at which they were captured at bsdi; a state changes at its \
            host, when it sends or receives the segment.",
    memory,
    tun: Some(OverTun::told(
        over_tun::simultaneous_open,
        "millstream and the kernel connect to each other from known ports. The link holds both \
         SYNs until both are there, so that they always cross. Each side answers with SYN and ACK: \
         one connection, four segments, and no listener. The kernel acknowledges millstream's \
         second SYN again, and reports it as a duplicate (D-SACK).",
    )),
    printed: Some(&PRINTED),
    examples: &[],
};

/// The time of each segment in the classic trace.
const TIMES: [(usize, f64); 12] = [
    (LEFT, 0.0),
    (RIGHT, 0.213_782),
    (LEFT, 0.215_399),
    (RIGHT, 0.340_405),
    (LEFT, 5.633_142),
    (RIGHT, 6.100_366),
    (RIGHT, 9.640_214),
    (LEFT, 9.796_417),
    (RIGHT, 13.060_395),
    (LEFT, 13.061_828),
    (LEFT, 13.079_769),
    (RIGHT, 13.299_940),
];

static PRINTED: Printed = Printed {
    style: Style {
        differences: false,
        windows: true,
    },
    lines: &[
        " 1 0.0       bsdi.8888 > vangogh.7777: S 91904001:91904001 win 4096 <mss 512>",
        " 2 0.213782  vangogh.7777 > bsdi.8888: S 1058199041:1058199041 win 8192 <mss 512>",
        " 3 0.215399  bsdi.8888 > vangogh.7777: S 91904001:91904001 ack 1058199042 win 4096 <mss 512>",
        " 4 0.340405  vangogh.7777 > bsdi.8888: S 1058199041:1058199041 ack 91904002 win 8192 <mss 512>",
        " 5 5.633142  bsdi.8888 > vangogh.7777: P 1:14(13) ack 1",
        " 6 6.100366  vangogh.7777 > bsdi.8888: . ack 14 win 8192",
        " 7 9.640214  vangogh.7777 > bsdi.8888: P 1:14(13) ack 14",
        " 8 9.796417  bsdi.8888 > vangogh.7777: . ack 14 win 4096",
        " 9 13.060395 vangogh.7777 > bsdi.8888: F 14:14(0) ack 14",
        "10 13.061828 bsdi.8888 > vangogh.7777: . ack 15 win 4096",
        "11 13.079769 bsdi.8888 > vangogh.7777: F 14:14(0) ack 15",
        "12 13.299940 vangogh.7777 > bsdi.8888: . ack 15 win 8192",
    ],
    omissions: &[
        (1, Omission::Length),
        (2, Omission::Length),
        (3, Omission::Length),
        (4, Omission::Length),
        (5, Omission::Window),
        (7, Omission::Window),
        (9, Omission::Window),
        (11, Omission::Window),
    ],
};

fn bsdi(config: &mut Config) {
    of_the_time(config, 512, 4096);
}

fn vangogh(config: &mut Config) {
    of_the_time(config, 512, 8192);
}

fn memory() -> Result<Trace> {
    // The trace is taken at bsdi: segments from vangogh are captured at the end of their path.
    let near = Duration::from_micros(100);
    let script = timetable(&TIMES, [Duration::from_millis(100), near]);
    let names = ["bsdi", "vangogh"];
    let mut lab = Lab::new(names, [bsdi, vangogh], script);
    lab.set_next_isn(LEFT, 91_904_001);
    lab.set_next_isn(RIGHT, 1_058_199_041);
    let (near, far) = (lab.addr(LEFT, 8888), lab.addr(RIGHT, 7777));
    let ours = lab.connect(LEFT, 8888, far)?;
    // Before bsdi's SYN arrives.
    lab.run_until(Duration::from_millis(50));
    let theirs = lab.connect(RIGHT, 7777, near)?;
    lab.quiet();
    let time = |line: usize| Duration::from_secs_f64(TIMES[line - 1].1);
    lab.run_until(time(5));
    lab.write(ours, b"hello, world\n")?;
    lab.run_until(time(7) - Duration::from_millis(100));
    lab.write(theirs, b"hello, world\n")?;
    lab.run_until(time(9) - Duration::from_millis(100));
    lab.shutdown(theirs)?;
    lab.run_until(time(11));
    lab.shutdown(ours)?;
    lab.run_for(Duration::from_secs(62));
    Ok(lab.finish())
}
