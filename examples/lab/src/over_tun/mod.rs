//! The scenarios with the Linux kernel as one host, over a TUN interface and in real time: the
//! millstream stack is on the left, the kernel on the right, and a gate between the stack and the
//! interface drops and holds packets as the scenario requires.
//!
//! Waits are shorter than over memory: an MSL of 200 ms, and no minutes of silence. A scenario has
//! a separate description if that makes a difference ([`OverTun`]).

mod applications;
mod closing;
mod half_open;
mod kernel_states;
mod life;
mod reset;
mod simultaneous;
mod stage;
mod two_msl;

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::LocalBoxFuture;
use millstream::State;
use millstream_testbed::lab::Lab;
use millstream_testbed::{harness, netns};

pub(crate) use self::closing::{fin_with_ack, simultaneous_close};
pub(crate) use self::half_open::{keepalive, reboot};
pub(crate) use self::life::{life, no_answer};
pub(crate) use self::reset::{abort, refused};
pub(crate) use self::simultaneous::simultaneous_open;
pub(crate) use self::two_msl::{address_in_use, any_port, last_ack_lost};
use crate::scenarios::Scenario;
use crate::trace::Trace;

/// Half the duration of TIME-WAIT.
const MSL: Duration = Duration::from_millis(200);

/// A client's path to ESTABLISHED.
const OPENS: [State; 3] = [State::Closed, State::SynSent, State::Established];
/// The path of the end that closes first.
const CLOSES_FIRST: [State; 4] = [
    State::FinWait1,
    State::FinWait2,
    State::TimeWait,
    State::Closed,
];

/// The differences of all scenarios over TUN.
pub const NOTE: &str = "The waits of millstream are short here: its 2MSL are 400 ms. Those of the \
                        kernel are unchanged: its TIME-WAIT lasts 60 seconds, and the record ends earlier.";

/// The maximum duration of a scenario.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs a scenario over TUN.
pub type Play = for<'a> fn(&'a Lab) -> LocalBoxFuture<'a, Result<Trace>>;

/// A scenario over TUN.
pub struct OverTun {
    /// Runs the scenario.
    pub play: Play,
    /// The description of the scenario if it differs from that over memory.
    pub about: Option<&'static str>,
}

impl OverTun {
    /// A scenario that behaves as over memory.
    #[must_use]
    pub const fn as_told(play: Play) -> Self {
        Self { play, about: None }
    }

    /// A scenario with a separate description.
    #[must_use]
    pub const fn told(play: Play, about: &'static str) -> Self {
        Self {
            play,
            about: Some(about),
        }
    }
}

/// Moves the process into a network namespace of its own, in which scenarios create their
/// interfaces. Must be called once, before the process starts a thread.
///
/// # Errors
/// If the system forbids it, with the reason.
pub fn prepare() -> Result<(), netns::Unavailable> {
    netns::enter()
}

/// Runs a scenario, on a runtime of its own.
///
/// # Errors
/// If the result differs from the scenario's expectation, with the known state of its connections.
pub fn play(scenario: &Scenario) -> Result<Trace> {
    let over_tun = scenario.tun.as_ref().context("it runs only over memory")?;
    let lab = Lab::new(scenario.id);
    let runtime = harness::one_thread().context("runtime")?;
    let played = runtime.block_on(async {
        tokio::time::timeout(LIMIT, (over_tun.play)(&lab))
            .await
            .unwrap_or_else(|_| Err(anyhow::anyhow!("the time limit of {LIMIT:?} has passed")))
    });
    played.map_err(|error| error.context(lab.report(&std::env::temp_dir())))
}
