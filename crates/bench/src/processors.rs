//! The processors of the two ends of a comparison. Without pinning, the scheduler sometimes puts
//! client and side on one processor and sometimes on two, and round-trip times differ by a factor
//! of ten.

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// The placement of client and side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
pub(crate) enum Pinning {
    /// The client on one processor, the side on the others
    #[default]
    Apart,
    /// Both on the same one
    Together,
    /// Where the scheduler puts them
    Free,
}

/// One end of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The client.
    Client,
    /// The measured side.
    Side,
}

impl Pinning {
    /// Moves this process to the processors of `end`. Must be called before any thread is started.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub(crate) fn apply(self, end: End) -> Result<()> {
        let this = Pid::from_raw(0);
        let allowed = sched_getaffinity(this).context("asking for processors")?;
        let mut all = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false));
        let first = all.next();
        let chosen: Vec<_> = match (self, end) {
            (Self::Free, _) => return Ok(()),
            (Self::Apart, End::Side) => all.collect(),
            (Self::Apart, End::Client) | (Self::Together, _) => first.into_iter().collect(),
        };
        // On a machine with a single processor both ends share it.
        if chosen.is_empty() {
            return Ok(());
        }
        let mut set = CpuSet::new();
        for cpu in chosen {
            set.set(cpu)?;
        }
        sched_setaffinity(this, &set).context("choosing a processor")
    }
}
