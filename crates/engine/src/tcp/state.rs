//! The connection states and the one table of transitions between them (RFC 9293 3.3.2).
//!
//! The engine keeps a state as [`Current`], which changes only by [`State::after`]; that looks the
//! transition up here, and diagrams are drawn from [`TRANSITIONS`]: the two cannot differ.

use std::fmt;
use std::ops::Deref;

/// The state of a connection (RFC 9293 3.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum State {
    /// No connection.
    Closed,
    /// Waiting for a connection request from any peer.
    Listen,
    /// A SYN was sent; waiting for the peer's SYN.
    SynSent,
    /// Both SYNs have been exchanged; waiting for the acknowledgment of the local SYN.
    SynReceived,
    /// Data flows in both directions.
    Established,
    /// This side closed; waiting for the acknowledgment of its FIN, or for the peer's FIN.
    FinWait1,
    /// The local FIN is acknowledged; the peer may still send (half-close).
    FinWait2,
    /// The peer closed; this side may still send.
    CloseWait,
    /// Both sides closed at once; waiting for the acknowledgment of the local FIN.
    Closing,
    /// The peer closed, then this side; waiting for the acknowledgment of the local FIN.
    LastAck,
    /// Waiting until the peer has received the last ACK and old segments have expired (2MSL).
    TimeWait,
}

/// The cause of a transition from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stimulus {
    /// The application listens.
    PassiveOpen,
    /// The application connects: SYN sent.
    ActiveOpen,
    /// A SYN without ACK arrived: SYN-ACK sent.
    Syn,
    /// A SYN with an acceptable ACK arrived: ACK sent.
    SynAck,
    /// The local SYN was acknowledged.
    AckOfSyn,
    /// The application closed its sending side: FIN sent or queued.
    Close,
    /// The peer's FIN arrived in order: ACK sent.
    Fin,
    /// The local FIN was acknowledged.
    AckOfFin,
    /// One segment carried the peer's FIN and the acknowledgment of the local FIN: ACK sent.
    FinAndAckOfFin,
    /// Twice the maximum segment lifetime has passed.
    TwoMslTimeout,
    /// The connection ended at once: reset, abort, timeout, or close before there was a peer.
    Abort,
}

impl State {
    /// All states, in the order of the RFC's figure.
    pub const ALL: [Self; 11] = [
        Self::Closed,
        Self::Listen,
        Self::SynSent,
        Self::SynReceived,
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
    ];

    /// The state that follows `stimulus`, or `None` if the stimulus has no effect in this state.
    #[must_use]
    pub fn after(self, stimulus: Stimulus) -> Option<Self> {
        if stimulus == Stimulus::Abort {
            return (self != Self::Closed).then_some(Self::Closed);
        }
        TRANSITIONS
            .iter()
            .find(|t| t.from == self && t.stimulus == stimulus)
            .map(|t| t.to)
    }

    /// Whether both ends have agreed on sequence numbers (RFC 9293 3.3.2 "synchronized").
    #[must_use]
    pub const fn is_synchronized(self) -> bool {
        !matches!(
            self,
            Self::Closed | Self::Listen | Self::SynSent | Self::SynReceived
        )
    }

    /// Whether the peer may still send data.
    #[must_use]
    pub const fn may_receive(self) -> bool {
        matches!(
            self,
            Self::SynReceived | Self::Established | Self::FinWait1 | Self::FinWait2
        )
    }

    /// Whether the application may still pass data to send.
    #[must_use]
    pub const fn may_send(self) -> bool {
        matches!(
            self,
            Self::SynSent | Self::SynReceived | Self::Established | Self::CloseWait
        )
    }

    /// The name in the RFC's spelling, such as `SYN-RECEIVED`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The state of a connection or of its record: it begins in CLOSED and follows the arrows. Nothing
/// outside of this file can set it to another state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Current(State);

impl Current {
    /// A connection that does not exist yet.
    pub(crate) const CLOSED: Self = Self(State::Closed);

    /// The state to which `stimuli` lead from CLOSED.
    pub(crate) fn reached_by(stimuli: impl IntoIterator<Item = Stimulus>) -> Self {
        let mut state = Self::CLOSED;
        for stimulus in stimuli {
            state.follow(stimulus);
        }
        state
    }

    /// Follows the arrow of `stimulus`, if there is one. Returns whether there was.
    pub(crate) fn follow(&mut self, stimulus: Stimulus) -> bool {
        let to = self.0.after(stimulus);
        self.0 = to.unwrap_or(self.0);
        to.is_some()
    }
}

impl Deref for Current {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

impl PartialEq<State> for Current {
    fn eq(&self, other: &State) -> bool {
        self.0 == *other
    }
}

/// One arrow of the state diagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Arrow {
    /// The state before the transition.
    pub from: State,
    /// The cause of the transition.
    pub stimulus: Stimulus,
    /// The state after the transition.
    pub to: State,
}

const fn arrow(from: State, stimulus: Stimulus, to: State) -> Arrow {
    Arrow { from, stimulus, to }
}

/// Every transition except those of [`Stimulus::Abort`], which leads from any state to CLOSED.
pub const TRANSITIONS: &[Arrow] = {
    use State::{
        CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynReceived,
        SynSent, TimeWait,
    };
    use Stimulus::{
        AckOfFin, AckOfSyn, ActiveOpen, Close, Fin, FinAndAckOfFin, PassiveOpen, Syn, SynAck,
        TwoMslTimeout,
    };
    &[
        arrow(Closed, PassiveOpen, Listen),
        arrow(Closed, ActiveOpen, SynSent),
        arrow(Listen, Syn, SynReceived),
        arrow(SynSent, Syn, SynReceived),
        arrow(SynSent, SynAck, Established),
        arrow(SynReceived, AckOfSyn, Established),
        arrow(SynReceived, Close, FinWait1),
        arrow(Established, Close, FinWait1),
        arrow(Established, Fin, CloseWait),
        arrow(FinWait1, AckOfFin, FinWait2),
        arrow(FinWait1, Fin, Closing),
        arrow(FinWait1, FinAndAckOfFin, TimeWait),
        arrow(FinWait2, Fin, TimeWait),
        arrow(CloseWait, Close, LastAck),
        arrow(Closing, AckOfFin, TimeWait),
        arrow(LastAck, AckOfFin, Closed),
        arrow(TimeWait, TwoMslTimeout, Closed),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_changes_only_along_an_arrow() {
        use Stimulus::{AckOfFin, AckOfSyn, Close, Fin, PassiveOpen, Syn, TwoMslTimeout};
        let life = [
            (PassiveOpen, true, State::Listen),
            (AckOfFin, false, State::Listen),
            (Syn, true, State::SynReceived),
            (Fin, false, State::SynReceived),
            (AckOfSyn, true, State::Established),
            (Close, true, State::FinWait1),
            (Close, false, State::FinWait1),
            (AckOfFin, true, State::FinWait2),
            (Fin, true, State::TimeWait),
            (TwoMslTimeout, true, State::Closed),
            (Stimulus::Abort, false, State::Closed),
        ];
        let mut state = Current::CLOSED;
        for (stimulus, moves, to) in life {
            assert_eq!(state.follow(stimulus), moves, "{stimulus:?}");
            assert_eq!(state, to, "{stimulus:?}");
        }
    }

    #[test]
    fn the_stimuli_of_a_passive_open_lead_to_a_half_open_connection() {
        let state = Current::reached_by([Stimulus::PassiveOpen, Stimulus::Syn]);
        assert_eq!(state, State::SynReceived);
    }
}
