//! How an example server runs, and how it is told to stop.

use std::future::Future;
use std::io;

use anyhow::Result;
use millstream::Stack;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end a server: SIGINT, which Ctrl-C sends to a program in the foreground, and
/// SIGTERM, which `kill` sends. A shell's Ctrl-C does not reach what was started with `&`.
#[derive(Debug)]
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// Catches the signals from now on: call it before the interface is made, so that what is made
    /// is always taken down in order.
    ///
    /// # Errors
    /// The system refuses.
    pub fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Runs `work` on the stack until it ends or a signal comes, then shuts the stack down: what is
    /// open is reset, so that no client waits for an answer, and the interface goes.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn or<W>(mut self, stack: &Stack, work: W) -> Result<()>
    where
        W: Future<Output = Result<()>>,
    {
        let result = tokio::select! {
            result = work => result,
            _ = self.interrupt.recv() => Ok(()),
            _ = self.terminate.recv() => Ok(()),
        };
        stack.shutdown().await;
        result
    }
}
