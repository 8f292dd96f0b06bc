//! The implementations over which every case runs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::case::{Case, Seen};
use crate::{kernel, ours};

/// What a case runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Implementation {
    /// `tokio::net` on the kernel's loopback.
    Kernel,
    /// Two stacks over a link in memory, in real time.
    Memory,
    /// The same on a paused clock.
    Paused,
    /// The same on a runtime of several threads.
    Threads,
    /// One stack that talks to itself.
    Loopback,
}

/// What a case has seen, or how it failed.
pub type Outcome = Result<Seen, String>;

impl Implementation {
    /// All of them, the kernel first.
    pub const ALL: [Self; 5] = [
        Self::Kernel,
        Self::Memory,
        Self::Paused,
        Self::Threads,
        Self::Loopback,
    ];

    /// The name in the names of tests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Memory => "memory",
            Self::Paused => "paused",
            Self::Threads => "threads",
            Self::Loopback => "loopback",
        }
    }

    /// What it is.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Kernel => "`tokio::net` on the kernel's loopback",
            Self::Memory => "two stacks over a link in memory, in real time",
            Self::Paused => "two stacks over a link in memory, on tokio's paused clock",
            Self::Threads => "two stacks over a link in memory, on a runtime of several threads",
            Self::Loopback => "one stack that talks to itself on 127.0.0.1 and ::1",
        }
    }

    /// Runs the case of that number. The kernel is asked only once.
    pub fn run(self, number: usize) -> Outcome {
        match self {
            Self::Kernel => of_the_kernel(number),
            Self::Loopback => self.run_in(&ours::behaviour::cases()[number], ours::World::of_one),
            _ => self.run_in(&ours::behaviour::cases()[number], ours::World::of_two),
        }
    }

    fn run_in<W, F: Future<Output = W>>(self, case: &Case<W>, world: fn() -> F) -> Outcome {
        let run = || {
            // On a paused clock nothing waits in vain for long.
            let limit = Duration::from_secs(if self == Self::Paused { 600 } else { 30 });
            self.runtime().block_on(async {
                tokio::time::timeout(limit, async {
                    let world = world().await;
                    (case.run)(&world).await
                })
                .await
            })
        };
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(seen)) => Ok(seen),
            Ok(Err(_)) => Err("it waits for something that does not happen".to_owned()),
            Err(panic) => Err(text_of(&*panic)),
        }
    }

    fn runtime(self) -> Runtime {
        let mut builder = match self {
            Self::Threads => Builder::new_multi_thread(),
            _ => Builder::new_current_thread(),
        };
        builder.worker_threads(2).enable_all();
        if self == Self::Paused {
            builder.start_paused(true);
        }
        builder.build().expect("the runtime starts")
    }
}

fn of_the_kernel(number: usize) -> Outcome {
    static OUTCOMES: OnceLock<Vec<OnceLock<Outcome>>> = OnceLock::new();
    let cases = kernel::behaviour::cases();
    let empty = || cases.iter().map(|_| OnceLock::new()).collect();
    let outcome = &OUTCOMES.get_or_init(empty)[number];
    let run = || {
        // One after the other: all cases share the kernel's ports.
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        Implementation::Kernel.run_in(&cases[number], kernel::World::new)
    };
    outcome.get_or_init(run).clone()
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked").to_owned()
}
