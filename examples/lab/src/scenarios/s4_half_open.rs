//! S4: one end has lost its state, and the other does not know.

use std::time::Duration;

use anyhow::Result;
use millstream_engine::{Config, Keepalive};

use super::{Scenario, plain};
use crate::lab::{LEFT, Lab, RIGHT, Socket};
use crate::link::{cut, steady};
use crate::over_tun::{self, OverTun};
use crate::trace::Trace;

const TRANSIT: Duration = Duration::from_millis(10);

/// The pause in the classic capture.
const SILENCE: Duration = Duration::from_secs(510);

pub(super) static REBOOT: Scenario = Scenario {
    id: "S4a",
    title: "the server's host loses power",
    about: "The cable is unplugged before the power fails, so that no FIN arrives. The client's \
            end stays ESTABLISHED through 8.5 minutes of silence. Its first segment after that is \
            answered by a reset, because the server's host is back and has no such connection.",
    memory: reboot,
    tun: Some(OverTun::told(
        over_tun::reboot,
        "The kernel is not switched off: it is made to forget the connection, and its reset is \
         lost. millstream's end stays ESTABLISHED, as it would for any length of silence. Its \
         first segment after that is answered by a reset.",
    )),
    printed: None,
    examples: &[],
};

fn reboot() -> Result<Trace> {
    let mut lab = Lab::new(["client", "server"], [plain; 2], steady(TRANSIT));
    let near = lose_power(&mut lab)?;
    lab.run_for(SILENCE);
    lab.remark("8.5 minutes later the client types a line.");
    lab.write(near, &[b'x'; 44])?;
    lab.quiet();
    lab.remark("A new connection works.");
    lab.listen(RIGHT, 22)?;
    let server = lab.addr(RIGHT, 22);
    lab.establish(LEFT, 40_001, server)?;
    Ok(lab.finish())
}

pub(super) static KEEPALIVE: Scenario = Scenario {
    id: "S4b",
    title: "the same with keepalive",
    about: "With keepalive the survivor notices by itself: after two hours of silence its stack \
            sends a probe, and the answer is a reset.",
    memory: keepalive,
    tun: Some(OverTun::told(
        over_tun::keepalive,
        "With keepalive the survivor notices by itself: after 300 ms of silence millstream sends a \
         probe, and the answer is a reset. By default it waits for two hours, as over memory.",
    )),
    printed: None,
    examples: &[],
};

fn keepalive() -> Result<Trace> {
    let probing: fn(&mut Config) = |config| config.socket.keepalive = Some(Keepalive::default());
    let mut lab = Lab::new(["client", "server"], [probing, plain], steady(TRANSIT));
    lose_power(&mut lab)?;
    lab.run_for(Duration::from_secs(7201));
    Ok(lab.finish())
}

/// Opens a session with the server and makes its host lose its memory; returns the client's end.
fn lose_power(lab: &mut Lab) -> Result<Socket> {
    let server = lab.addr(RIGHT, 22);
    lab.listen(RIGHT, 22)?;
    let (near, _) = lab.establish(LEFT, 40_000, server)?;
    lab.run_until(Duration::from_secs(1));
    lab.remark("The cable is pulled, and the server's host loses its power.");
    lab.link().set_script(cut());
    lab.reboot(RIGHT);
    lab.run_until(Duration::from_secs(2));
    lab.remark("The host is back, with empty tables, and so is the cable.");
    lab.link().set_script(steady(TRANSIT));
    Ok(near)
}
