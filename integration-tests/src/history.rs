//! The states that a stack's connections went through, in order, as its observer told them.

use std::net::SocketAddr;

use anyhow::{Result, bail};
use millstream::{State, Transition};
use tokio::sync::watch;

/// All transitions of one stack. Clones share the record.
#[derive(Clone)]
pub struct History {
    transitions: watch::Sender<Vec<Transition>>,
}

impl Default for History {
    fn default() -> Self {
        Self {
            transitions: watch::Sender::new(Vec::new()),
        }
    }
}

impl History {
    /// The observer to give to the stack's builder.
    pub fn observer(&self) -> impl FnMut(&Transition) + Send + 'static {
        let transitions = self.transitions.clone();
        move |transition| {
            let transition = transition.clone();
            transitions.send_modify(|all| all.push(transition));
        }
    }

    /// The states that the connection between `local` and `peer` was in, from the first on. A
    /// connection that came after another of the same addresses continues its list.
    #[must_use]
    pub fn states(&self, local: SocketAddr, peer: SocketAddr) -> Vec<State> {
        states(&self.transitions.borrow(), local, peer)
    }

    /// Waits until the connection between `local` and `peer` has been through exactly `expected`.
    ///
    /// # Errors
    /// At once when it took another way. The case's time limit ends a wait that is in vain.
    pub async fn expect(&self, local: SocketAddr, peer: SocketAddr, expected: &[State]) -> Result<()> {
        let mut changes = self.transitions.subscribe();
        // The sender is `self`: the channel cannot close.
        let _ = changes
            .wait_for(|all| {
                let states = states(all, local, peer);
                states.len() >= expected.len() || !expected.starts_with(&states)
            })
            .await;
        let states = self.states(local, peer);
        if states != expected {
            bail!(
                "{local} with {peer} went\n  {}\nand not\n  {}",
                join(&states),
                join(expected)
            );
        }
        Ok(())
    }

    /// Every connection and its states, a line each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let all = self.transitions.borrow();
        let mut pairs: Vec<_> = all.iter().map(|t| (t.local, t.peer)).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs
            .into_iter()
            .map(|(local, peer)| format!("{local} with {peer}: {}", join(&states(&all, local, peer))))
            .collect()
    }
}

fn states(all: &[Transition], local: SocketAddr, peer: SocketAddr) -> Vec<State> {
    let mut states = Vec::new();
    for transition in all.iter().filter(|t| (t.local, t.peer) == (local, peer)) {
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
