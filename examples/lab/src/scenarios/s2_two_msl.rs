//! S2: the 2MSL wait, its purpose and its cost.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Scenario, plain};
use crate::lab::{LEFT, Lab, RIGHT};
use crate::link::{losing, steady};
use crate::over_tun::{self, OverTun};
use crate::trace::Trace;

const TRANSIT: Duration = Duration::from_millis(10);

pub(super) static LAST_ACK_LOST: Scenario = Scenario {
    id: "S2a",
    title: "the last ACK is lost: the purpose of TIME-WAIT",
    about: "The server retransmits its FIN, because it was not acknowledged. The client's \
            application has finished, but the client's end in TIME-WAIT acknowledges the FIN \
            again, and its wait restarts.",
    memory: last_ack_lost,
    tun: Some(OverTun::as_told(over_tun::last_ack_lost)),
    printed: None,
    examples: &[],
};

fn last_ack_lost() -> Result<Trace> {
    let mut lab = Lab::new(["client", "server"], [plain; 2], steady(TRANSIT));
    let server = lab.addr(RIGHT, 7);
    let listener = lab.listen(RIGHT, 7)?;
    let (near, far) = lab.establish(LEFT, 1099, server)?;
    lab.close_listener(RIGHT, listener);
    lab.run_for(Duration::from_millis(100));
    lab.shutdown(near)?;
    lab.quiet();
    let mut left = 1;
    lab.link()
        .set_script(losing(steady(TRANSIT), move |from, segment| {
            let lost = from == LEFT && segment.letters() == "." && left > 0;
            left -= i32::from(lost);
            lost
        }));
    lab.shutdown(far)?;
    lab.run_for(Duration::from_secs(61));
    Ok(lab.finish())
}

pub(super) static ADDRESS_IN_USE: Scenario = Scenario {
    id: "S2b",
    title: "\"Address already in use\", in seven steps",
    about: "PC1 serves port 6666, PC2 connects from port 1098, and PC1 stops its server first: its \
            end waits for 2MSL. Meanwhile the uses of port 6666 on PC1 depend on SO_REUSEADDR and \
            on the destination.",
    memory: address_in_use,
    tun: Some(OverTun::told(
        over_tun::address_in_use,
        "millstream serves port 6666, linux connects from port 1098, and millstream stops its \
         server first: its end waits for 2MSL. Meanwhile the uses of port 6666 on millstream \
         depend on SO_REUSEADDR and on the destination.",
    )),
    printed: None,
    examples: &[],
};

fn address_in_use() -> Result<Trace> {
    let mut lab = Lab::new(["pc1", "pc2"], [plain; 2], steady(TRANSIT));
    let (server, client) = (lab.addr(LEFT, 6666), lab.addr(RIGHT, 1098));
    lab.remark("1. PC1 serves port 6666.");
    let listener = lab.listen(LEFT, 6666)?;
    lab.remark("2. PC2 connects from port 1098.");
    let (theirs, ours) = lab.establish(RIGHT, 1098, server)?;
    lab.remark("3. PC1 stops its server first: its end will wait for 2MSL.");
    lab.close_listener(LEFT, listener);
    lab.close(ours);
    lab.quiet();
    lab.close(theirs);
    lab.quiet();

    lab.run_until(Duration::from_secs(1));
    lab.remark("4. A client on PC1 wants port 6666 for itself.");
    ensure!(lab.bind(LEFT, 6666, false).is_err(), "the port was free");
    lab.remark("5. With SO_REUSEADDR it gets the port.");
    let binding = lab.bind(LEFT, 6666, true)?;
    lab.remark("6. Yet it cannot connect to PC2's port 1098: that very four-tuple waits.");
    let again = lab.connect_from(LEFT, binding, client);
    ensure!(again.is_err(), "the four-tuple was free");
    lab.remark("7. Any other port of PC2 makes another four-tuple, which is free.");
    let other = lab.listen(RIGHT, 1099)?;
    let elsewhere = lab.addr(RIGHT, 1099);
    let binding = lab.bind(LEFT, 6666, true)?;
    lab.connect_from(LEFT, binding, elsewhere)?;
    lab.quiet();
    lab.close_listener(RIGHT, other);

    lab.run_until(Duration::from_secs(61));
    lab.remark("After 2MSL the four-tuple with port 1098 is free too.");
    lab.listen(RIGHT, 1098)?;
    let binding = lab.bind(LEFT, 6666, true)?;
    lab.connect_from(LEFT, binding, client)?;
    lab.quiet();
    Ok(lab.finish())
}

pub(super) static ANY_PORT: Scenario = Scenario {
    id: "S2c",
    title: "a client without a fixed port",
    about: "The client lets the stack choose its port. It closes first, and its end waits for \
            2MSL; its next connection to the same server, made at once, has another port, and so \
            another four-tuple.",
    memory: any_port,
    tun: Some(OverTun::as_told(over_tun::any_port)),
    printed: None,
    examples: &[],
};

fn any_port() -> Result<Trace> {
    let mut lab = Lab::new(["client", "server"], [plain; 2], steady(TRANSIT));
    let server = lab.addr(RIGHT, 7);
    lab.listen(RIGHT, 7)?;
    let near = lab.connect_from_any(LEFT, server)?;
    lab.quiet();
    let far = lab.accepted(RIGHT)?;
    lab.close(near);
    lab.quiet();
    lab.close(far);
    lab.quiet();
    lab.remark("The first connection is in TIME-WAIT. The client connects again.");
    lab.connect_from_any(LEFT, server)?;
    lab.quiet();
    Ok(lab.finish())
}
