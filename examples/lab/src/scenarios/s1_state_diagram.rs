//! S1: the state diagram: along its usual path, without a reply, and by the direct path into
//! TIME-WAIT.

use std::time::Duration;

use anyhow::Result;

use super::{Scenario, plain};
use crate::lab::{LEFT, Lab, RIGHT};
use crate::link::{cut, losing, steady};
use crate::over_tun::{self, OverTun};
use crate::trace::Trace;

const TRANSIT: Duration = Duration::from_millis(10);

pub(super) static LIFE: Scenario = Scenario {
    id: "S1a",
    title: "a normal connection: open, exchange data, half-close, close",
    about: "The client closes first. Until the server also closes, the connection is half closed: \
            the client in FIN-WAIT-2 sends no more data but still receives it. The client's end \
            finally waits in TIME-WAIT for 2MSL.",
    memory: life,
    tun: Some(OverTun::as_told(over_tun::life)),
    printed: None,
    examples: &[],
};

fn life() -> Result<Trace> {
    let mut lab = Lab::new(["client", "server"], [plain; 2], steady(TRANSIT));
    let server = lab.addr(RIGHT, 7);
    let listener = lab.listen(RIGHT, 7)?;
    let (near, far) = lab.establish(LEFT, 1099, server)?;
    lab.close_listener(RIGHT, listener);
    lab.run_for(Duration::from_millis(100));
    lab.write(near, b"hello, world\n")?;
    lab.quiet();
    lab.run_for(Duration::from_millis(100));
    lab.shutdown(near)?;
    lab.quiet();
    lab.remark("The connection is half closed: the server may still send.");
    lab.run_for(Duration::from_millis(100));
    lab.write(far, b"hello, client\n")?;
    lab.quiet();
    lab.run_for(Duration::from_millis(100));
    lab.shutdown(far)?;
    lab.run_for(Duration::from_secs(61));
    Ok(lab.finish())
}

pub(super) static NO_ANSWER: Scenario = Scenario {
    id: "S1b",
    title: "a SYN without an answer",
    about: "The SYN is retransmitted six times, each time after twice the previous interval. Then \
            the connection returns to CLOSED and the application gets its error, after 127 \
            seconds.",
    memory: no_answer,
    tun: Some(OverTun::told(
        over_tun::no_answer,
        "The SYN is retransmitted twice: after 100 ms, and after twice that time. Then the \
         connection returns to CLOSED and the application gets its error, after 0.7 seconds. The \
         lab shortens these times; the same scenario over memory shows the stack's own.",
    )),
    printed: None,
    examples: &[],
};

fn no_answer() -> Result<Trace> {
    let mut lab = Lab::new(["client", "nobody"], [plain; 2], cut());
    let server = lab.addr(RIGHT, 7);
    lab.connect(LEFT, 1099, server)?;
    lab.run_for(Duration::from_secs(200));
    Ok(lab.finish())
}

pub(super) static FIN_WITH_ACK: Scenario = Scenario {
    id: "S1c",
    title: "the peer's FIN carries the ACK of the first FIN",
    about: "The bare ACK of the client's FIN is lost, and the server closes before a \
            retransmission: one segment acknowledges the client's FIN and carries the server's. \
            The client goes directly from FIN-WAIT-1 to TIME-WAIT.",
    memory: fin_with_ack,
    tun: Some(OverTun::as_told(over_tun::fin_with_ack)),
    printed: None,
    examples: &[],
};

fn fin_with_ack() -> Result<Trace> {
    let mut lab = Lab::new(["client", "server"], [plain; 2], steady(TRANSIT));
    let server = lab.addr(RIGHT, 7);
    let listener = lab.listen(RIGHT, 7)?;
    let (near, far) = lab.establish(LEFT, 1099, server)?;
    lab.close_listener(RIGHT, listener);
    lab.run_for(Duration::from_millis(100));
    lab.link()
        .set_script(losing(steady(TRANSIT), |from, segment| {
            from == RIGHT && segment.letters() == "."
        }));
    lab.shutdown(near)?;
    lab.quiet();
    lab.shutdown(far)?;
    lab.run_for(Duration::from_secs(61));
    Ok(lab.finish())
}
