//! Memory of idle connections: the growth of the process, divided by their number.

use std::fmt;
use std::fs;
use std::future::poll_fn;
use std::io::IoSlice;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use millstream::Cidr;
use millstream::device::{Device as _, Pair, PairConfig};
use millstream_bench::rig::{ADDRESS, PORT, PREFIX, Peer, Rig};
use serde::{Deserialize, Serialize};

use crate::cli::IdleArgs;
use crate::lab;
use crate::measure::Job;
use crate::results::{Metric, Results};
use crate::rounds::progress;
use crate::setup::Runtime;

/// A kind of idle connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Streams that the application holds, in engine and adapter.
    Stream,
    /// Established connections in the engine.
    Established,
    /// Connections before the end of the handshake, in the engine.
    HalfOpen,
    /// Connections in TIME-WAIT, in the engine.
    TimeWait,
}

impl Kind {
    /// All kinds.
    pub(crate) const ALL: [Self; 4] = [
        Self::Stream,
        Self::Established,
        Self::HalfOpen,
        Self::TimeWait,
    ];

    /// The name in a table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream (engine and adapter)",
            Self::Established => "established (engine)",
            Self::HalfOpen => "half-open",
            Self::TimeWait => "TIME-WAIT",
        }
    }
}

/// A number of connections of one kind.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Idle {
    /// The kind.
    pub(crate) kind: Kind,
    /// The number.
    pub(crate) count: u32,
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory of each of {} idle", self.count)
    }
}

impl Idle {
    /// Creates the connections and returns the bytes of resident memory for each.
    ///
    /// # Errors
    /// If the stack does not accept all of them.
    pub(crate) fn run(self) -> Result<f64> {
        let grown = match self.kind {
            Kind::Stream => Runtime::Current.build()?.block_on(streams(self.count))?,
            Kind::Established | Kind::HalfOpen | Kind::TimeWait => self.in_engine()?,
        };
        Ok(grown as f64 / f64::from(self.count))
    }

    fn in_engine(self) -> Result<u64> {
        let count = self.count as usize;
        let mut rig = Rig::new(count, |config| config.max_time_wait = count)?;
        let before = resident()?;
        for n in 0..self.count {
            let mut peer = Peer::number(n);
            match self.kind {
                Kind::HalfOpen => rig.half_open(&mut peer)?,
                Kind::TimeWait => {
                    let id = rig.establish(&mut peer)?;
                    rig.close(&mut peer, id)?;
                }
                Kind::Stream | Kind::Established => {
                    rig.establish(&mut peer)?;
                }
            }
        }
        let grown = resident()?.saturating_sub(before);
        let (stack, _) = rig.stack();
        let there = match self.kind {
            Kind::TimeWait => stack.time_wait_count(),
            // The stack does not count half-open connections; each got its SYN-ACK.
            Kind::HalfOpen => count,
            Kind::Stream | Kind::Established => stack.connection_count(),
        };
        ensure!(there == count, "{there} of {count} are there");
        Ok(grown)
    }
}

/// Measures every kind.
///
/// # Errors
/// If a measurement fails.
pub(crate) fn measure(args: &IdleArgs, results: &mut Results) -> Result<()> {
    let progress = progress(args.output.rounds * args.count.len() * Kind::ALL.len());
    for _ in 0..args.output.rounds {
        for &count in &args.count {
            for kind in Kind::ALL {
                let idle = Idle { kind, count };
                let bytes = lab::run(&Job::Idle(idle))?;
                results.add(&idle.to_string(), kind.name(), Metric::BytesEach, bytes);
                progress.inc(1);
            }
        }
    }
    progress.finish_and_clear();
    Ok(())
}

/// Opens streams to a stack and holds them; returns the bytes by which the process has grown.
async fn streams(count: u32) -> Result<u64> {
    let (near, far) = PairConfig::default().build();
    let stack = millstream::Stack::builder()
        .device(near)
        .address(Cidr::new(ADDRESS, PREFIX))
        .build()?;
    let listener = stack.listen(SocketAddr::new(ADDRESS, PORT)).await?;
    let mut held = Vec::with_capacity(count as usize);
    let before = resident()?;
    for n in 0..count {
        let mut peer = Peer::number(n);
        send(&far, &peer.syn())?;
        peer.take(&receive(&far).await?)?;
        send(&far, &peer.ack())?;
        held.push(listener.accept().await?);
    }
    let grown = resident()?.saturating_sub(before);
    drop(held);
    Ok(grown)
}

fn send(link: &Pair, packet: &[u8]) -> Result<()> {
    Ok(link.try_send(&[IoSlice::new(packet)])?)
}

async fn receive(link: &Pair) -> Result<Vec<u8>> {
    poll_fn(|cx| link.poll_recv_ready(cx)).await?;
    let mut packet = vec![0; link.capabilities().max_frame()];
    let length = link.try_recv(&mut packet)?;
    packet.truncate(length);
    Ok(packet)
}

/// The resident memory of this process in bytes (proc_pid_statm(5)).
fn resident() -> Result<u64> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split_whitespace().nth(1).context("statm is short")?;
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)?;
    Ok(pages.parse::<u64>()? * page.context("no page size")?.cast_unsigned())
}
