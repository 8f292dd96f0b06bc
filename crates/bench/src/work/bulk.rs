//! Streams that carry as much data as possible for a given time.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use super::Report;
use crate::dial::Dial;
use crate::service::{READ, Service};

/// The direction of the data, seen from the measured side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
pub(crate) enum Way {
    /// The side receives
    In,
    /// The side sends
    Out,
    /// The side does both at once, on two connections
    Both,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
            Self::Both => "both ways",
        }
    }
}

/// Bulk streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bulk {
    /// The direction.
    pub(crate) way: Way,
    /// The number of parallel streams in each direction.
    pub(crate) streams: usize,
    /// Bytes per write to the socket.
    pub(crate) write: usize,
}

impl fmt::Display for Bulk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.streams == 1 { "" } else { "s" };
        write!(
            f,
            "bulk {}, {} stream{plural}, writes of {}",
            self.way.name(),
            self.streams,
            self.write
        )
    }
}

impl Bulk {
    /// Moves data for `time`.
    pub(super) async fn run(self, dial: impl Dial, time: Duration) -> Result<Report> {
        let began = Instant::now();
        let end = began + time;
        let mut streams = JoinSet::new();
        for _ in 0..self.streams {
            if self.way != Way::Out {
                let flow = fill(dial.clone(), self.write, end);
                streams.spawn(async { Ok::<_, io::Error>((Way::In, flow.await?)) });
            }
            if self.way != Way::In {
                let flow = drain(dial.clone(), end);
                streams.spawn(async { Ok((Way::Out, flow.await?)) });
            }
        }
        let mut bytes = 0;
        let (mut inward, mut outward) = (Vec::new(), Vec::new());
        while let Some(moved) = streams.join_next().await {
            let (way, moved) = moved??;
            bytes += moved.bytes;
            match way {
                Way::Out => outward.push(moved.in_time),
                Way::In | Way::Both => inward.push(moved.in_time),
            }
        }
        ensure!(bytes > 0, "no data was transferred");
        let mut flows = vec![inward, outward];
        flows.retain(|flows| !flows.is_empty());
        Ok(Report::Bulk {
            bytes,
            seconds: began.elapsed().as_secs_f64(),
            flows,
        })
    }
}

/// The bytes that one stream carried.
struct Moved {
    /// Bytes in total.
    bytes: u64,
    /// Bytes that had arrived at the end of the time.
    in_time: u64,
}

/// Writes until the time is over, and waits until the peer has read all bytes.
async fn fill<D: Dial>(dial: D, write: usize, end: Instant) -> io::Result<Moved> {
    let mut stream = dial.dial(Service::Sink).await?;
    let data = vec![0x5A; write];
    let mut bytes = 0;
    while Instant::now() < end {
        stream.write_all(&data).await?;
        bytes += data.len() as u64;
    }
    let in_time = D::arrived(&stream)?;
    stream.shutdown().await?;
    match stream.read(&mut [0]).await? {
        0 => Ok(Moved { bytes, in_time }),
        _ => Err(io::Error::other("data from a sink")),
    }
}

/// Reads until the time is over.
async fn drain(dial: impl Dial, end: Instant) -> io::Result<Moved> {
    let mut stream = dial.dial(Service::Source).await?;
    let mut buffer = vec![0; READ];
    let mut bytes = 0;
    while Instant::now() < end {
        match stream.read(&mut buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => bytes += length as u64,
        }
    }
    Ok(Moved {
        bytes,
        in_time: bytes,
    })
}
