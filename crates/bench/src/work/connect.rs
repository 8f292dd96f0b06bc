//! Connections that carry one byte.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use super::Report;
use crate::dial::Dial;
use crate::service::Service;

/// Short connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Connect {
    /// The number of parallel connections.
    pub(crate) parallel: usize,
}

impl fmt::Display for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connect, {} at a time", self.parallel)
    }
}

impl Connect {
    /// Opens and closes connections for `time`.
    pub(super) async fn run(self, dial: impl Dial, time: Duration) -> Result<Report> {
        let began = Instant::now();
        let end = began + time;
        let mut tasks = JoinSet::new();
        for _ in 0..self.parallel {
            let dial = dial.clone();
            tasks.spawn(async move {
                let mut count = 0_u32;
                while Instant::now() < end {
                    once(&dial).await?;
                    count += 1;
                }
                Ok::<_, io::Error>(count)
            });
        }
        let mut count = 0;
        while let Some(done) = tasks.join_next().await {
            count += done??;
        }
        Ok(Report::Connect(
            f64::from(count) / began.elapsed().as_secs_f64(),
        ))
    }
}

/// Opens a connection, has one byte echoed, closes, and waits for the peer to close.
async fn once(dial: &impl Dial) -> io::Result<()> {
    let mut stream = dial.dial(Service::Echo).await?;
    stream.write_all(&[0x5A]).await?;
    stream.read_u8().await?;
    stream.shutdown().await?;
    match stream.read(&mut [0]).await? {
        0 => Ok(()),
        _ => Err(io::Error::other("the echo is longer than the message")),
    }
}
