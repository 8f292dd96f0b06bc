//! The cost of an attack's packet compared with an ordinary packet: time here, instructions under
//! callgrind.

use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;

use crate::bare::Bare;

/// An engine in the state that the attack requires, and the packets to send to it.
pub(crate) struct Storm {
    /// The engine.
    pub(crate) bare: Bare,
    /// The packets, in order.
    pub(crate) packets: Vec<Bytes>,
}

/// Packets of a storm that are processed before the measurement begins.
const WARM_UP: usize = 16;

/// Measurements of each storm; the fastest counts, because noise only adds time.
const ROUNDS: usize = 5;

impl Storm {
    /// Processes the packets. Returns their number and the time.
    fn run(mut self) -> (u64, f64) {
        let rest = self.packets.split_off(WARM_UP.min(self.packets.len()));
        work_off(&mut self.bare, self.packets);
        let count = rest.len() as u64;
        let began = Instant::now();
        measured(&mut self.bare, rest);
        (count, began.elapsed().as_secs_f64())
    }
}

/// Nanoseconds per packet.
///
/// # Errors
/// The storm could not be made.
pub(crate) fn nanoseconds(make: impl Fn() -> Result<Storm>) -> Result<f64> {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let (count, seconds) = make()?.run();
        ensure!(count > 0, "a storm without packets");
        best = best.min(seconds * 1e9 / count as f64);
    }
    Ok(best)
}

/// Runs a storm once, for callgrind. Returns the number of measured packets.
///
/// # Errors
/// The storm could not be made.
pub(crate) fn once(make: impl Fn() -> Result<Storm>) -> Result<u64> {
    Ok(make()?.run().0)
}

/// Instructions per packet of the storm with that name, counted by valgrind in a separate process.
/// `None` if valgrind is not installed.
///
/// # Errors
/// The process failed, or printed no count.
pub(crate) fn instructions(storm: &str) -> Result<Option<f64>> {
    let program = std::env::current_exe().context("finding this program")?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*cost*measured*"])
        .arg("--callgrind-out-file=/dev/null")
        .arg(program)
        .args(["storm", storm])
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context("starting valgrind"),
    };
    let messages = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("the storm {storm} failed under valgrind: {messages}");
    }
    let collected = messages
        .lines()
        .find_map(|line| line.split_once("Collected :"))
        .and_then(|(_, count)| count.trim().parse::<f64>().ok())
        .context("valgrind printed no count")?;
    let packets: f64 = String::from_utf8_lossy(&output.stdout).trim().parse()?;
    Ok(Some(collected / packets))
}

/// The function that callgrind measures; callgrind's command line names it.
#[inline(never)]
fn measured(bare: &mut Bare, packets: Vec<Bytes>) {
    work_off(black_box(bare), packets);
}

fn work_off(bare: &mut Bare, packets: Vec<Bytes>) {
    for packet in packets {
        bare.take(packet);
        bare.drain();
    }
}
