//! Running and stopping an example server.

use std::future::Future;
use std::io;

use anyhow::Result;
use millstream::Stack;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end a server: SIGINT, which Ctrl-C sends to a program in the foreground, and
/// SIGTERM, which `kill` sends. A shell's Ctrl-C does not reach programs started with `&`.
#[derive(Debug)]
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// Catches the signals from now on. To be called before the interface is created, so that it is
    /// always removed in order.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Runs `work` on the stack until it ends or a signal arrives, then shuts the stack down: open
    /// connections are reset, so that no client waits for a reply, and the interface is removed.
    ///
    /// # Errors
    /// The errors of `work`.
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
