//! S6: both ends close at once.

use std::time::Duration;

use anyhow::Result;

use super::{Scenario, plain};
use crate::lab::{LEFT, Lab, RIGHT};
use crate::link::steady;
use crate::over_tun::{self, OverTun};
use crate::trace::Trace;

const TRANSIT: Duration = Duration::from_millis(10);

pub(super) static SCENARIO: Scenario = Scenario {
    id: "S6",
    title: "simultaneous close",
    about: "Each side sends its FIN before the other's has arrived: each goes from FIN-WAIT-1 to \
            CLOSING, and both wait for 2MSL.",
    memory,
    tun: Some(OverTun::told(
        over_tun::simultaneous_close,
        "The link holds both FINs until both are there: each end goes from FIN-WAIT-1 to CLOSING, \
         and then both wait. The record contains the end of millstream's wait, but not that of the \
         kernel's.",
    )),
    printed: None,
    examples: &[],
};

fn memory() -> Result<Trace> {
    let names = ["client", "server"];
    let mut lab = Lab::new(names, [plain; 2], steady(TRANSIT));
    let server = lab.addr(RIGHT, 7);
    let listener = lab.listen(RIGHT, 7)?;
    let (near, far) = lab.establish(LEFT, 1099, server)?;
    lab.close_listener(RIGHT, listener);
    lab.run_for(Duration::from_millis(100));
    lab.shutdown(near)?;
    lab.run_for(TRANSIT / 2);
    lab.shutdown(far)?;
    lab.run_for(Duration::from_secs(61));
    Ok(lab.finish())
}
