//! Peers that never finish closing: FIN-WAIT-2, orphans with a zero window, and TIME-WAIT by the
//! million.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use millstream_wire::tcp::Flags;

use super::{Attack, Scale};
use crate::bare::Bare;
use crate::heap::Growth;
use crate::puppet::Puppet;
use crate::report::Report;
use crate::scene::{service, stranger};
use crate::service::ANSWER;

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "fin-wait-2",
        about: "peers that acknowledge our FIN and send none",
        play: fin_wait,
    },
    Attack {
        name: "orphans",
        about: "peers whose answer is written and closed, and whose window stays zero",
        play: orphans,
    },
    Attack {
        name: "time-wait",
        about: "connections that we close first, so that they stay in TIME-WAIT",
        play: time_wait,
    },
];

/// An honest peer connects, receives its answer, and both close. Returns whether this ends without
/// a reset.
fn honest(bare: &mut Bare, n: u32) -> Result<bool> {
    let mut puppet = Puppet::new(stranger(n), service(), 1460);
    let id = bare.establish(&mut puppet)?;
    bare.stack.write(bare.now, id, &[b'a'; ANSWER])?;
    bare.stack.close(bare.now, id);
    let mut marks = Flags::empty();
    bare.drain_to(|packet| {
        if let Ok(flags) = puppet.hear(packet) {
            marks |= flags;
        }
    });
    bare.take(puppet.fin());
    bare.drain_to(|packet| {
        if let Ok(flags) = puppet.hear(packet) {
            marks |= flags;
        }
    });
    Ok(marks.contains(Flags::FIN) && !marks.contains(Flags::RST))
}

/// Notes how many of 100 honest peers end without a reset.
fn note_honest(bare: &mut Bare, report: &mut Report) -> Result<()> {
    let mut well = 0;
    for n in 0..100 {
        well += u32::from(honest(bare, 120_000 + n)?);
    }
    report.note("honest closes without a reset, %", f64::from(well));
    Ok(())
}

fn fin_wait(scale: Scale, report: &mut Report) -> Result<()> {
    let count: u32 = scale.pick(10_000, 100_000);
    let mut bare = Bare::new(1024, |config| {
        if scale == Scale::Short {
            config.max_orphans = 4096;
        }
    })?;
    let mut growth = Growth::start();
    for n in 0..count {
        let mut puppet = Puppet::new(stranger(n), service(), 1460);
        let id = bare.establish(&mut puppet)?;
        bare.stack.close(bare.now, id);
        bare.drain_to(|packet| {
            let _ = puppet.hear(packet);
        });
        bare.take(puppet.ack());
        bare.drain();
        // A thousand a second.
        bare.wait(Duration::from_millis(1));
    }
    report.note(
        "bytes held a connection",
        growth.now() as f64 / f64::from(count),
    );
    report.note("resets sent", bare.stack.counters().resets_sent as f64);
    note_honest(&mut bare, report)?;
    bare.wait(Duration::from_secs(200));
    report.note("records left after 200 s", bare.stack.orphan_count() as f64);
    Ok(())
}

fn orphans(scale: Scale, report: &mut Report) -> Result<()> {
    let count: u32 = scale.pick(7_000, 70_000);
    let mut bare = Bare::new(1024, |config| {
        if scale == Scale::Short {
            config.max_orphans = 6_000;
        }
    })?;
    let mut growth = Growth::start();
    for n in 0..count {
        let mut puppet = Puppet::new(stranger(n), service(), 1460);
        let id = bare.establish(&mut puppet)?;
        puppet.window = 0;
        bare.take(puppet.ack());
        bare.stack.write(bare.now, id, &[b'a'; ANSWER])?;
        bare.stack.close(bare.now, id);
        bare.drain();
        bare.wait(Duration::from_micros(100));
    }
    report.note(
        "bytes held a connection",
        growth.now() as f64 / f64::from(count),
    );
    note_honest(&mut bare, report)?;
    bare.wait(Duration::from_secs(3600));
    report.note(
        "records left after an hour",
        bare.stack.orphan_count() as f64,
    );
    Ok(())
}

fn time_wait(scale: Scale, report: &mut Report) -> Result<()> {
    let count: u32 = scale.pick(50_000, 1 << 20);
    let mut bare = Bare::new(1024, |_| {})?;
    let mut growth = Growth::start();
    for n in 0..count {
        ensure!(honest(&mut bare, n)?, "connection {n} was reset");
    }
    report.note(
        "bytes held a connection",
        growth.now() as f64 / f64::from(count),
    );
    // All are due at one moment; packets can arrive between the calls.
    let mut worst = Duration::ZERO;
    let mut calls = 0_u32;
    while let Some(next) = bare.stack.poll_timeout() {
        bare.now = bare.now.max(next);
        let began = Instant::now();
        bare.stack.handle_timeout(bare.now);
        worst = worst.max(began.elapsed());
        calls += 1;
        bare.drain();
    }
    report.note("longest handle_timeout, ms", worst.as_secs_f64() * 1e3);
    report.note(
        "records worked off in a call",
        f64::from(count) / f64::from(calls),
    );
    report.note("records left", bare.stack.time_wait_count() as f64);
    Ok(())
}
