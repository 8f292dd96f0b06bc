//! Messages sent back and forth, one at a time.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Report;
use crate::dial::Dial;
use crate::service::Service;
use crate::stats::quantile;

/// The number of round trips before the measurement.
const WARM_UP: usize = 200;
/// The rate of opening idle connections that any side is expected to reach, per second.
const OPENED_PER_SECOND: f64 = 1000.0;

/// An exchange of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PingPong {
    /// The message size in bytes.
    pub(crate) size: usize,
    /// The number of open, idle connections.
    pub(crate) idle: usize,
}

impl fmt::Display for PingPong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ping-pong of {} B", self.size)?;
        match self.idle {
            0 => Ok(()),
            idle => write!(f, " beside {idle} idle"),
        }
    }
}

impl PingPong {
    /// The time allowed for opening the idle connections.
    pub(super) fn preparation(self) -> Duration {
        Duration::from_secs_f64(self.idle as f64 / OPENED_PER_SECOND)
    }

    /// Exchanges messages for `time`.
    pub(super) async fn run(self, dial: impl Dial, time: Duration) -> Result<Report> {
        let mut idle = Vec::with_capacity(self.idle);
        for n in 0..self.idle {
            // Two services, so that each of their ports has fewer than 65536 clients.
            let service = [Service::Sink, Service::Echo][n % 2];
            let stream = dial.dial(service).await;
            idle.push(stream.with_context(|| format!("opening idle connection {n}"))?);
        }
        let mut stream = dial.dial(Service::Echo).await?;
        let message = vec![0x5A; self.size];
        let mut answer = vec![0; self.size];
        for _ in 0..WARM_UP {
            stream.write_all(&message).await?;
            stream.read_exact(&mut answer).await?;
        }
        let mut times = Vec::with_capacity(1 << 16);
        let end = Instant::now() + time;
        let mut sent = Instant::now();
        while sent < end {
            stream.write_all(&message).await?;
            stream.read_exact(&mut answer).await?;
            let now = Instant::now();
            times.push((now - sent).as_secs_f64() * 1e6);
            sent = now;
        }
        ensure!(answer == message, "the echo differs from the message");
        drop(idle);
        Ok(Report::PingPong(
            [0.5, 0.99, 0.999].map(|q| quantile(&mut times, q)),
        ))
    }
}
