//! One measurement, in a process of its own: so that the sides' processor time and memory are theirs.

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

/// What a client process is told to do.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Job {
    /// Work against a side. Tells a [`Report`](crate::work::Report).
    Work {
        /// Whom with.
        target: Target,
        /// What.
        work: Work,
        /// For how long.
        seconds: f64,
        /// Which processors the client runs on.
        pinning: Pinning,
    },
    /// Idle connections of kernel sockets, until the standard input ends. Tells when they are open.
    Hold {
        /// The host.
        address: IpAddr,
        /// How many others hold.
        first: usize,
        /// How many.
        count: usize,
    },
    /// Memory of idle connections. Tells bytes of each.
    Idle(Idle),
}

/// Whom a client works with.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Target {
    /// A host at this address.
    Address(IpAddr),
    /// Two stacks of its own.
    Memory(Setup),
}

/// Does the job and tells the result as JSON.
///
/// # Errors
/// It could not be done.
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

/// Lets this process open as many files as the system lets any.
pub(crate) fn raise_file_limit() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("allowing many open files")
}
