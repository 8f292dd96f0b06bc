//! S8: the options, and those that a connection uses.

use std::time::Duration;

use anyhow::Result;
use millstream_engine::Config;

use super::Scenario;
use crate::classic::Example;
use crate::decode::Kind;
use crate::lab::{LEFT, Lab, RIGHT};
use crate::link::{losing, steady};
use crate::trace::Trace;

const TRANSIT: Duration = Duration::from_millis(10);

/// The first list of options, `<mss 512,nop,wscale 0,nop,nop,timestamp 146647 0>`.
const OLD: Example = Example {
    caption: "<mss 512,nop,wscale 0,nop,nop,timestamp 146647 0>",
    kind: Kind::Options,
    digits: "02040200 01030300 0101080a 00023cd7 00000000",
    scale: None,
};

/// The second list of options, `<mss 1460,nop,wscale 8,nop,nop,sackOK>`.
const NEW: Example = Example {
    caption: "<mss 1460,nop,wscale 8,nop,nop,sackOK>",
    kind: Kind::Options,
    digits: "020405b4 01030308 01010402",
    scale: None,
};

pub(super) static EVERY_OPTION: Scenario = Scenario {
    id: "S8a",
    title: "every option in use",
    about: "Both SYNs offer all options still in use: segment size, window scale 8, SACK, \
            timestamps. All later segments carry timestamps, after two no-operations for \
            alignment, and their windows are multiplied by 256. The second data segment is lost, \
            and a SACK option reports the data received beyond it.",
    memory: every_option,
    tun: None,
    printed: None,
    examples: &[OLD, NEW],
};

/// The largest receive buffer whose windows need a scale of 8.
const SCALED_BY_8: usize = 12 << 20;

fn modern(config: &mut Config) {
    config.socket.receive_buffer_max = SCALED_BY_8;
}

fn every_option() -> Result<Trace> {
    let mut sent = 0;
    let script = losing(steady(TRANSIT), move |from, segment| {
        sent += u32::from(from == LEFT && segment.length > 0);
        from == LEFT && segment.length > 0 && sent == 2
    });
    let mut lab = Lab::new(["client", "server"], [modern; 2], script);
    let server = lab.addr(RIGHT, 80);
    lab.listen(RIGHT, 80)?;
    let (near, _) = lab.establish(LEFT, 1099, server)?;
    lab.run_for(Duration::from_millis(100));
    lab.write(near, &[b'x'; 5000])?;
    lab.run_for(Duration::from_secs(1));
    Ok(lab.finish())
}

pub(super) static WHAT_BOTH_OFFER: Scenario = Scenario {
    id: "S8b",
    title: "only options that both offer",
    about: "The client offers segments of 1460 bytes, a window scale and SACK; the server offers \
            segments of 512 bytes, a window scale and timestamps. Each multiplies windows by the \
            other's scale. The server does not support SACK, and it does not offer timestamps in \
            its answer, because the client did not: neither is used. The segment size is not \
            negotiated: each side announces its own limit, and the client sends at most 512 bytes.",
    memory: common_options,
    tun: None,
    printed: None,
    examples: &[],
};

fn without_timestamps(config: &mut Config) {
    modern(config);
    config.socket.timestamps = false;
}

fn without_sack(config: &mut Config) {
    let socket = &mut config.socket;
    socket.max_segment_size = Some(512);
    socket.receive_buffer = usize::from(u16::MAX);
    socket.receive_buffer_max = usize::from(u16::MAX);
    socket.sack = false;
}

fn common_options() -> Result<Trace> {
    let configure = [without_timestamps, without_sack];
    let mut lab = Lab::new(["client", "server"], configure, steady(TRANSIT));
    let server = lab.addr(RIGHT, 80);
    lab.listen(RIGHT, 80)?;
    let (near, _) = lab.establish(LEFT, 1099, server)?;
    lab.run_for(Duration::from_millis(100));
    lab.write(near, &[b'x'; 1000])?;
    lab.quiet();
    Ok(lab.finish())
}
