//! S3: resets, to refuse and to abort.

use std::time::Duration;

use anyhow::Result;
use millstream_engine::Config;

use super::{Scenario, plain};
use crate::classic::{Printed, Style};
use crate::lab::{LEFT, Lab, RIGHT};
use crate::link::{steady, timetable};
use crate::over_tun::{self, OverTun};
use crate::trace::Trace;

pub(super) static REFUSED: Scenario = Scenario {
    id: "S3a",
    title: "a port without a listener",
    about: "Each SYN is answered by a reset: its sequence number is 0, because there is no \
            connection, and its ACK shows the client which segment is refused. The client tries \
            three times, half a second apart.",
    memory: refused,
    tun: Some(OverTun::told(
        over_tun::refused,
        "Each SYN is answered by a reset: its sequence number is 0, because there is no \
         connection, and its ACK shows the client which segment is refused. millstream tries the \
         kernel's port three times, one attempt directly after the other; then the kernel tries \
         millstream's.",
    )),
    printed: None,
    examples: &[],
};

fn refused() -> Result<Trace> {
    let transit = Duration::from_millis(10);
    let mut lab = Lab::new(["client", "server"], [plain; 2], steady(transit));
    let server = lab.addr(RIGHT, 5001);
    for half_seconds in 0..3 {
        lab.run_until(half_seconds * Duration::from_millis(500));
        lab.connect(LEFT, 61383, server)?;
        lab.quiet();
    }
    Ok(lab.finish())
}

pub(super) static ABORT: Scenario = Scenario {
    id: "S3b",
    title: "abortive release",
    about: "With SO_LINGER and a time of zero, close() sends a reset instead of a FIN. A reset is \
            not acknowledged. The peer's application can distinguish it from a normal end: its \
            read fails. The segments have the classic trace's times, at which they were captured; \
            a state changes at its host, when it sends or receives the segment.",
    memory: abort,
    tun: Some(OverTun::told(
        over_tun::abort,
        "With SO_LINGER and a time of zero, close() sends a reset instead of a FIN. A reset is not \
         acknowledged. The kernel's application can distinguish it from a normal end: its read \
         fails.",
    )),
    printed: Some(&ABORT_PRINTED),
    examples: &[],
};

/// The time of each segment in the classic trace.
const TIMES: [(usize, f64); 6] = [
    (LEFT, 0.0),
    (RIGHT, 0.004_975),
    (LEFT, 0.006_656),
    (LEFT, 4.833_073),
    (RIGHT, 5.026_224),
    (LEFT, 9.527_634),
];

static ABORT_PRINTED: Printed = Printed {
    style: Style {
        differences: true,
        windows: false,
    },
    lines: &[
        "1 0.0                bsd1.1099 > svr4.8888: S 671112193:671112193(0) <mss 1024>",
        "2 0.004975 (0.0050)  svr4.8888 > bsd1.1099: S 3224959489:3224959489(0) ack 671112194 <mss 1024>",
        "3 0.006656 (0.0017)  bsd1.1099 > svr4.8888: . ack 1",
        "4 4.833073 (4.8264)  bsd1.1099 > svr4.8888: P 1:14(13) ack 1",
        "5 5.026224 (0.1932)  svr4.8888 > bsd1.1099: . ack 14",
        "6 9.527634 (4.5014)  bsd1.1099 > svr4.8888: R 14:14(0) ack 1",
    ],
    omissions: &[],
};

/// A host like those of the classic trace: segments of 1024 bytes and no option except the segment
/// size.
fn host(config: &mut Config) {
    super::of_the_time(config, 1024, 4096);
}

fn abort() -> Result<Trace> {
    let script = timetable(&TIMES, [Duration::from_millis(1); 2]);
    let mut lab = Lab::new(["bsd1", "svr4"], [host; 2], script);
    lab.set_next_isn(LEFT, 671_112_193);
    lab.set_next_isn(RIGHT, 3_224_959_489);
    let server = lab.addr(RIGHT, 8888);
    lab.listen(RIGHT, 8888)?;
    let (near, _) = lab.establish(LEFT, 1099, server)?;
    lab.run_until(Duration::from_secs_f64(TIMES[3].1));
    lab.write(near, b"hello, world\n")?;
    lab.run_until(Duration::from_secs_f64(TIMES[5].1));
    lab.set_options(near, |options| options.linger = Some(Duration::ZERO))?;
    lab.remark("bsd1 closes with SO_LINGER and a time of zero.");
    lab.close(near);
    lab.quiet();
    Ok(lab.finish())
}
