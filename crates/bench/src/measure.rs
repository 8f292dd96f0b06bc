//! One measurement, in a process of its own, so that its processor time and memory are measured
//! separately.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use crate::dial::KernelDial;
use crate::hold::{self, Holders};
use crate::processors::{End, Pinning};
use crate::setup::{Runtime, Setup};
use crate::sides;
use crate::work::Work;
use crate::work::idle::Idle;

/// The job of a client process.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Job {
    /// Work with a side. The result is a [`Report`](crate::work::Report).
    Work {
        /// The side.
        target: Target,
        /// The work.
        work: Work,
        /// The duration.
        seconds: f64,
        /// The processors of the client.
        pinning: Pinning,
    },
    /// Idle connections of kernel sockets, until standard input ends. Reports when they are open.
    Hold {
        /// The address of the host.
        address: IpAddr,
        /// The number of connections that other processes hold.
        first: usize,
        /// The number of connections.
        count: usize,
    },
    /// Memory of idle connections. The result is the bytes per connection.
    Idle(Idle),
}

/// The peer of a client.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Target {
    /// A host at this address.
    Address(IpAddr),
    /// Two stacks inside the client's process.
    Memory(Setup),
}

/// Runs the job and prints the result as JSON.
///
/// # Errors
/// If the job fails.
pub(crate) fn run(job: Job) -> Result<()> {
    raise_file_limit()?;
    let result = match job {
        Job::Hold {
            address,
            first,
            count,
        } => return hold::hold(address, first, count),
        Job::Idle(idle) => serde_json::to_value(idle.run()?)?,
        Job::Work {
            target: Target::Address(address),
            work,
            seconds,
            pinning,
        } => {
            pinning.apply(End::Client)?;
            let (work, idle) = work.without_idle();
            let _holders = Holders::open(address, idle)?;
            let runtime = Runtime::Current.build()?;
            serde_json::to_value(runtime.block_on(work.run(KernelDial(address), seconds))?)?
        }
        Job::Work {
            target: Target::Memory(setup),
            work,
            seconds,
            ..
        } => serde_json::to_value(sides::run_in_memory(setup, work, seconds)?)?,
    };
    println!("{result}");
    Ok(())
}

/// Raises this process's limit of open files to the system's maximum.
pub(crate) fn raise_file_limit() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("allowing many open files")
}
