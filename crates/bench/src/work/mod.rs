//! The measured work. `bulk`, `pingpong` and `connect` run over any [`Dial`]; `idle`, `scale` and
//! `wheel` measure the engine and the adapter without a device.

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

/// The time beyond the duration of the work after which a side is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Work for a client.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Work {
    /// Bulk streams.
    Bulk(Bulk),
    /// Small messages in both directions.
    PingPong(PingPong),
    /// Short connections.
    Connect(Connect),
}

/// The result of a client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// Bytes moved, and the time in seconds.
    Bulk {
        /// Bytes of both directions together.
        bytes: u64,
        /// Seconds.
        seconds: f64,
        /// Bytes of each stream that had arrived at the end of the time, by direction.
        flows: Vec<Vec<u64>>,
    },
    /// The 50, 99 and 99.9 % quantiles of the round-trip time in microseconds.
    PingPong([f64; 3]),
    /// Connections per second.
    Connect(f64),
}

impl Work {
    /// The same work without idle connections, and their number.
    pub(crate) fn without_idle(self) -> (Self, usize) {
        match self {
            Self::PingPong(PingPong { size, idle }) => {
                (Self::PingPong(PingPong { size, idle: 0 }), idle)
            }
            other => (other, 0),
        }
    }

    /// Does the work.
    ///
    /// # Errors
    /// If the server fails, or if the work takes too long.
    pub(crate) async fn run(self, dial: impl Dial, seconds: f64) -> Result<Report> {
        let time = Duration::from_secs_f64(seconds);
        let (preparation, work) = match self {
            Self::Bulk(work) => (Duration::ZERO, work.run(dial, time).boxed()),
            Self::PingPong(work) => (work.preparation(), work.run(dial, time).boxed()),
            Self::Connect(work) => (Duration::ZERO, work.run(dial, time).boxed()),
        };
        tokio::time::timeout(preparation + time + PATIENCE, work)
            .await
            .context("the time limit has passed")?
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
