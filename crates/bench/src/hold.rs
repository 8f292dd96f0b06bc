//! Idle connections, held by processes of their own: one process may not open files enough for all of them.

use std::env;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

use crate::dial::{Dial as _, KernelDial};
use crate::measure::Job;
use crate::service::Service;
use crate::setup::Runtime;

/// Connections of one process.
const EACH: usize = 15_000;

/// Processes that hold connections open until this is dropped.
pub(crate) struct Holders(Vec<Child>);

impl Holders {
    /// Has `count` connections to the host at `address` opened.
    pub(crate) fn open(address: IpAddr, count: usize) -> Result<Self> {
        let mut holders = Self(Vec::new());
        for first in (0..count).step_by(EACH) {
            let count = EACH.min(count - first);
            let job = serde_json::to_string(&Job::Hold { address, count })?;
            let mut child = Command::new(env::current_exe()?)
                .args(["measure", &job])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .context("starting a process that holds connections")?;
            let told = child.stdout.take().context("no standard output")?;
            holders.0.push(child);
            let mut line = String::new();
            BufReader::new(told).read_line(&mut line)?;
            anyhow::ensure!(!line.is_empty(), "idle connections could not be opened");
        }
        Ok(holders)
    }
}

impl Drop for Holders {
    fn drop(&mut self) {
        for holder in &mut self.0 {
            // Its standard input ends: it ends.
            drop(holder.stdin.take());
        }
        for holder in &mut self.0 {
            let _ = holder.wait();
        }
    }
}

/// What such a process does: opens `count` connections, says so, and waits for its standard input to end.
pub(crate) fn hold(address: IpAddr, count: usize) -> Result<()> {
    let runtime = Runtime::Current.build()?;
    let held = runtime.block_on(async {
        let mut held = Vec::with_capacity(count);
        for n in 0..count {
            // Two services: one port of theirs has fewer than 65536 clients.
            let service = [Service::Sink, Service::Echo][n % 2];
            let stream = KernelDial(address).dial(service).await;
            held.push(stream.with_context(|| format!("opening idle connection {n}"))?);
        }
        anyhow::Ok(held)
    })?;
    writeln!(io::stdout(), "open")?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    drop(held);
    Ok(())
}
