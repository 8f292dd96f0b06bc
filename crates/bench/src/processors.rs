//! Which processors the two ends of a comparison run on. Left to the scheduler, client and side share
//! one for a while and then do not, and a round trip takes ten times as long.

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// Where client and side run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
pub(crate) enum Pinning {
    /// The client on one processor, the side on the others
    #[default]
    Apart,
    /// Both on the same one
    Together,
    /// Wherever the scheduler puts them
    Free,
}

/// One end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The client.
    Client,
    /// The side that is measured.
    Side,
}

impl Pinning {
    /// Moves this process to where `end` runs. To be called before any thread is started.
    ///
    /// # Errors
    /// The kernel refuses.
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
        // With a single processor there is nothing to choose.
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
