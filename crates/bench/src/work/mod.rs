//! The work that is measured. `bulk`, `pingpong` and `connect` run over any [`Dial`]; `idle`, `scale`
//! and `wheel` look at the engine, and at the adapter, without a device.

pub(crate) mod bulk;
pub(crate) mod connect;
pub(crate) mod idle;
pub(crate) mod pingpong;
pub(crate) mod scale;
pub(crate) mod wheel;

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::FutureExt as _;
use serde::{Deserialize, Serialize};

use self::bulk::Bulk;
use self::connect::Connect;
use self::pingpong::PingPong;
use crate::dial::Dial;

/// Time over what the work itself takes after which a side is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Work for a client.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Work {
    /// Streams that last.
    Bulk(Bulk),
    /// Small messages there and back.
    PingPong(PingPong),
    /// Short connections.
    Connect(Connect),
}

/// What a client measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// Bytes moved, and in how many seconds.
    Bulk {
        /// Bytes, both ways together.
        bytes: u64,
        /// Seconds.
        seconds: f64,
        /// Bytes of each stream, by the way they went, that had arrived when the time was over.
        flows: Vec<Vec<u64>>,
    },
    /// Microseconds of a round trip that 50, 99 and 99.9 % take at the most.
    PingPong([f64; 3]),
    /// Connections per second.
    Connect(f64),
}

impl Work {
    /// The same without idle connections beside it, and how many those were.
    pub(crate) fn without_idle(self) -> (Self, usize) {
        match self {
            Self::PingPong(PingPong { size, idle }) => {
                (Self::PingPong(PingPong { size, idle: 0 }), idle)
            }
            other => (other, 0),
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// The server failed, or did not get it done in time.
    pub(crate) async fn run(self, dial: impl Dial, seconds: f64) -> Result<Report> {
        let time = Duration::from_secs_f64(seconds);
        let (preparation, work) = match self {
            Self::Bulk(work) => (Duration::ZERO, work.run(dial, time).boxed()),
            Self::PingPong(work) => (work.preparation(), work.run(dial, time).boxed()),
            Self::Connect(work) => (Duration::ZERO, work.run(dial, time).boxed()),
        };
        tokio::time::timeout(preparation + time + PATIENCE, work)
            .await
            .context("not done in time")?
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bulk(work) => work.fmt(f),
            Self::PingPong(work) => work.fmt(f),
            Self::Connect(work) => work.fmt(f),
        }
    }
}
