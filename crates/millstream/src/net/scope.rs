//! The stack that is current within a future or a block, for `TcpListener::bind` and
//! `TcpStream::connect`.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project::pin_project;

use crate::net::stack::Stack;

thread_local! {
    /// The stacks entered on this thread, the innermost last.
    static ENTERED: RefCell<Vec<Stack>> = const { RefCell::new(Vec::new()) };
}

impl Stack {
    /// Runs `future` with this stack as the current one, so that `TcpListener::bind`,
    /// `TcpStream::connect` and `TcpSocket::new_v4` work in it as those of `tokio::net` do.
    ///
    /// Tasks that the future spawns do not inherit its stack: their futures are wrapped, too, or the
    /// stack is current in the whole [runtime](Self::enter_runtime) or the whole
    /// [process](Self::set_default).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
    /// # let (device, _peer) = millstream::device::pair();
    /// # let stack = millstream::Stack::builder().device(device).address("10.0.0.2/24").build()?;
    /// use millstream::TcpListener;
    ///
    /// let listener = stack.scope(TcpListener::bind("10.0.0.2:80")).await?;
    /// assert_eq!(listener.local_addr()?.port(), 80);
    /// # Ok(()) }
    /// ```
    pub fn scope<F: Future>(&self, future: F) -> Scope<F> {
        Scope {
            stack: self.clone(),
            future,
        }
    }

    /// Makes this stack the current one of this thread until the guard is dropped. The innermost
    /// guard or [`scope`](Self::scope) determines the current stack. Guards should be dropped in
    /// the reverse order of their creation; a guard that is dropped early ends those inside it,
    /// too.
    ///
    /// A guard must not be held across an `.await`, where it would affect other tasks (the compiler
    /// rejects it in futures that are `Send`): use [`scope`](Self::scope) there.
    pub fn enter(&self) -> EnterGuard {
        let depth = ENTERED.with_borrow_mut(|entered| {
            entered.push(self.clone());
            entered.len() - 1
        });
        EnterGuard {
            depth,
            not_send: PhantomData,
        }
    }
}

/// The stack of the innermost scope or guard of this thread.
pub(crate) fn innermost() -> Option<Stack> {
    ENTERED.with_borrow(|entered| entered.last().cloned())
}

/// Keeps a stack current on this thread; see [`Stack::enter`].
#[must_use = "the stack is current only as long as the guard lives"]
pub struct EnterGuard {
    depth: usize,
    not_send: PhantomData<*const ()>,
}

impl Drop for EnterGuard {
    fn drop(&mut self) {
        // Dropped after the borrow ends: the last handle of a stack may be dropped here.
        let left =
            ENTERED.with_borrow_mut(|entered| entered.split_off(self.depth.min(entered.len())));
        drop(left);
    }
}

impl fmt::Debug for EnterGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnterGuard").finish_non_exhaustive()
    }
}

/// A future with a current stack; see [`Stack::scope`].
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Scope<F> {
    stack: Stack,
    #[pin]
    future: F,
}

impl<F: Future> Future for Scope<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = this.stack.enter();
        this.future.poll(cx)
    }
}
