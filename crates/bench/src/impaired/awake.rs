//! Keeps processors awake during a measurement over a link in real time.
//!
//! An idle virtual processor is halted, and its host may take milliseconds to wake it: longer than
//! ten packets take on the link, so that the comparison would measure how often each side sleeps. A
//! thread of the lowest priority keeps each processor busy.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// Keeps the processors awake while it exists.
pub(super) struct Awake {
    over: Arc<AtomicBool>,
}

impl Awake {
    /// Keeps all processors awake that this thread may use.
    pub(super) fn start() -> Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let awake = Self {
            over: Arc::clone(&over),
        };
        let allowed = sched_getaffinity(Pid::from_raw(0)).context("asking for processors")?;
        for cpu in (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)) {
            let over = Arc::clone(&over);
            let (said, ready) = mpsc::channel();
            thread::spawn(move || {
                let idle = become_idle_thread(cpu);
                let spins = idle.is_ok();
                let _ = said.send(idle);
                while spins && !over.load(Ordering::Relaxed) {
                    spin_loop();
                }
            });
            ready.recv().context("the thread is gone")??;
        }
        Ok(awake)
    }
}

/// Binds this thread to one processor, at the lowest priority.
fn become_idle_thread(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set).context("choosing a processor")?;
    set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Min,
        ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle),
    )
    .map_err(|error| anyhow!("SCHED_IDLE: {error}"))
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
