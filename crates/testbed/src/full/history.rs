//! The states that a stack's connections pass through, in order, from the stack's observer.

use std::net::SocketAddr;

use anyhow::{Result, bail};
use millstream::{State, Transition};
use tokio::sync::watch;
use tokio::time::Instant;

/// The transitions of one stack. Clones share the record.
#[derive(Clone)]
pub struct History {
    record: watch::Sender<Seen>,
    keep: bool,
}

#[derive(Default)]
struct Seen {
    transitions: Vec<(Instant, Transition)>,
    /// The number of connections that have ended.
    closed: usize,
}

impl Default for History {
    /// Records every transition.
    fn default() -> Self {
        Self {
            record: watch::Sender::default(),
            keep: true,
        }
    }
}

impl History {
    /// Only counts connections, for tests with a large number of them.
    #[must_use]
    pub fn counting() -> Self {
        Self {
            keep: false,
            ..Self::default()
        }
    }

    /// The observer for the stack's builder.
    pub fn observer(&self) -> impl FnMut(&Transition) + Send + 'static {
        let Self { record, keep } = self.clone();
        move |transition| {
            record.send_modify(|seen| {
                seen.closed += usize::from(transition.to == State::Closed);
                if keep {
                    seen.transitions.push((Instant::now(), *transition));
                }
            });
        }
    }

    /// Waits until `count` connections have reached CLOSED.
    pub async fn closed(&self, count: usize) {
        let mut changes = self.record.subscribe();
        // `self` holds a sender, so the channel cannot be closed.
        let _ = changes.wait_for(|seen| seen.closed >= count).await;
    }

    /// All transitions of the connection between `local` and `peer`.
    #[must_use]
    pub fn transitions(&self, local: SocketAddr, peer: SocketAddr) -> Vec<Transition> {
        let seen = self.record.borrow();
        let of_pair = seen
            .transitions
            .iter()
            .map(|(_, transition)| *transition)
            .filter(|t| (t.local, t.peer) == (local, peer));
        of_pair.collect()
    }

    /// Every transition with the time of its report, in order.
    #[must_use]
    pub fn timed(&self) -> Vec<(Instant, Transition)> {
        self.record.borrow().transitions.clone()
    }

    /// The states of the connection between `local` and `peer`, from the first on. A later
    /// connection between the same addresses continues the list.
    #[must_use]
    pub fn states(&self, local: SocketAddr, peer: SocketAddr) -> Vec<State> {
        states(&self.record.borrow().transitions, local, peer)
    }

    /// Waits until the connection between `local` and `peer` has passed through exactly `expected`.
    ///
    /// # Errors
    /// As soon as the states differ. The case's time limit ends a wait without success.
    pub async fn expect(
        &self,
        local: SocketAddr,
        peer: SocketAddr,
        expected: &[State],
    ) -> Result<()> {
        let mut changes = self.record.subscribe();
        // `self` holds a sender, so the channel cannot be closed.
        let _ = changes
            .wait_for(|seen| {
                let states = states(&seen.transitions, local, peer);
                states.len() >= expected.len() || !expected.starts_with(&states)
            })
            .await;
        let states = self.states(local, peer);
        if states != expected {
            bail!(
                "{local} with {peer} passed through\n  {}\ninstead of\n  {}",
                join(&states),
                join(expected)
            );
        }
        Ok(())
    }

    /// The first `count` connections in the order of their addresses, with their states, one line
    /// for each.
    #[must_use]
    pub fn lines(&self, count: usize) -> Vec<String> {
        let all = &self.record.borrow().transitions;
        let mut pairs: Vec<_> = all.iter().map(|(_, t)| (t.local, t.peer)).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs
            .into_iter()
            .take(count)
            .map(|(local, peer)| {
                format!("{local} with {peer}: {}", join(&states(all, local, peer)))
            })
            .collect()
    }
}

fn states(all: &[(Instant, Transition)], local: SocketAddr, peer: SocketAddr) -> Vec<State> {
    let mut states = Vec::new();
    let all = all.iter().map(|(_, transition)| transition);
    for transition in all.filter(|t| (t.local, t.peer) == (local, peer)) {
        if states.last() != Some(&transition.from) {
            states.push(transition.from);
        }
        states.push(transition.to);
    }
    states
}

fn join(states: &[State]) -> String {
    let names: Vec<_> = states.iter().map(|state| state.name()).collect();
    names.join(" -> ")
}
