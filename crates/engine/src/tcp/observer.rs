//! Observation of state changes, for tests, traces and teaching.

use std::fmt;
use std::net::SocketAddr;

use crate::id::ConnectionId;
use crate::tcp::state::{State, Stimulus};
use crate::time::Instant;
use crate::tuple::FourTuple;

/// One change of a connection's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// Time of the change.
    pub at: Instant,
    /// The connection; `None` while it is a half-open or a TIME-WAIT record.
    pub id: Option<ConnectionId>,
    /// The local end.
    pub local: SocketAddr,
    /// The remote end.
    pub peer: SocketAddr,
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// The cause of the change.
    pub stimulus: Stimulus,
}

/// A function that is called on each change.
pub type OnTransition = Box<dyn FnMut(&Transition) + Send>;

/// The observer of a stack.
pub(crate) struct Observer(OnTransition);

impl Observer {
    pub(crate) fn new(on_transition: OnTransition) -> Self {
        Self(on_transition)
    }

    /// Tells what `stimulus` did in the state `from`, if it had an effect.
    pub(crate) fn transition(
        &mut self,
        at: Instant,
        id: Option<ConnectionId>,
        tuple: &FourTuple,
        from: State,
        stimulus: Stimulus,
    ) {
        let Some(to) = from.after(stimulus) else {
            return;
        };
        (self.0)(&Transition {
            at,
            id,
            local: tuple.local(),
            peer: tuple.remote(),
            from,
            to,
            stimulus,
        });
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}
