//! The stacks that are current beyond one future: those of whole runtimes, and the process's.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use tokio::runtime::{Handle, Id};

use crate::error::NoCurrentStack;
use crate::net::scope;
use crate::net::stack::Stack;

/// The standard library's lock in every build: it is held for a few instructions, within which no
/// task can be interleaved, and a scheduler of models could not make a static one.
static ENTERED: Mutex<Entered> = Mutex::new(Entered {
    runtimes: Vec::new(),
    process: None,
    last: 0,
});

struct Entered {
    /// The runtimes that have a stack, the last entered at the end. A process has few.
    runtimes: Vec<InRuntime>,
    process: Option<Stack>,
    /// The name of the newest guard.
    last: u64,
}

struct InRuntime {
    runtime: Id,
    guard: u64,
    stack: Stack,
}

impl Stack {
    /// Makes this stack the current one of the whole process: of every thread and runtime that has
    /// no other. Returns the stack that was it before.
    ///
    /// This is for programs that move from `tokio::net` as a whole: they call it once at the start
    /// of `main` and change their `use` lines. The stack has one more handle from now on, so that
    /// it lives as long as its runtime. [`clear_default`](Self::clear_default) gives it up.
    pub fn set_default(&self) -> Option<Self> {
        entered(|entered| entered.process.replace(self.clone()))
    }

    /// Takes back [`set_default`](Self::set_default), and returns the stack that was current.
    pub fn clear_default() -> Option<Self> {
        entered(|entered| entered.process.take())
    }

    /// Makes this stack the current one of the runtime in which this is called, until the guard is
    /// dropped: for all its tasks, wherever they were spawned (`tokio::spawn`, `JoinSet`,
    /// `LocalSet`), and for the closures of `spawn_blocking`. The runtime need not be the one in
    /// which the stack was built. Of several guards in one runtime, the youngest determines the
    /// stack; they may be dropped in any order, and in any thread.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
    /// # let (device, _peer) = millstream::device::pair();
    /// # let stack = millstream::Stack::builder().device(device).address("10.0.0.2/24").build()?;
    /// use millstream::net::TcpListener;
    ///
    /// let _current = stack.enter_runtime();
    /// let listener = tokio::spawn(TcpListener::bind("10.0.0.2:80")).await??;
    /// assert_eq!(listener.local_addr()?.port(), 80);
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    /// If it is called outside a tokio runtime.
    pub fn enter_runtime(&self) -> RuntimeGuard {
        let runtime = Handle::current().id();
        let guard = entered(|entered| {
            entered.last += 1;
            entered.runtimes.push(InRuntime {
                runtime,
                guard: entered.last,
                stack: self.clone(),
            });
            entered.last
        });
        RuntimeGuard { guard }
    }

    /// The current stack: that of the innermost [`scope`](Self::scope) or [`enter`](Self::enter),
    /// otherwise that of the [runtime](Self::enter_runtime), otherwise that of the
    /// [process](Self::set_default).
    ///
    /// # Errors
    /// There is no current stack.
    pub fn current() -> Result<Self, NoCurrentStack> {
        if let Some(stack) = scope::innermost() {
            return Ok(stack);
        }
        let runtime = Handle::try_current().ok().map(|handle| handle.id());
        entered(|entered| {
            let of_runtime = entered.runtimes.iter().rev();
            let mut of_runtime = of_runtime.filter(|entry| Some(entry.runtime) == runtime);
            let of_runtime = of_runtime.next().map(|entry| &entry.stack);
            of_runtime.or(entered.process.as_ref()).cloned()
        })
        .ok_or(NoCurrentStack)
    }
}

fn entered<R>(f: impl FnOnce(&mut Entered) -> R) -> R {
    f(&mut ENTERED.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Keeps a stack current in a runtime; see [`Stack::enter_runtime`].
#[must_use = "the stack is current only as long as the guard lives"]
pub struct RuntimeGuard {
    guard: u64,
}

impl Drop for RuntimeGuard {
    fn drop(&mut self) {
        // Dropped after the lock is released: it may be the last handle of a stack.
        let ended = entered(|entered| {
            let mut runtimes = entered.runtimes.iter();
            let index = runtimes.position(|entry| entry.guard == self.guard);
            index.map(|index| entered.runtimes.remove(index))
        });
        drop(ended);
    }
}

impl fmt::Debug for RuntimeGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeGuard").finish_non_exhaustive()
    }
}
