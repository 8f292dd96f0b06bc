//! ICMP errors about a connection (RFC 9293 3.9.2.2, RFC 5461, RFC 5927).

use millstream_wire::SeqNum;
use millstream_wire::icmp::{ErrorKind, Unreachable};

use super::{Context, Outcome, Tcb};
use crate::error::{ConnectionError, DropReason};
use crate::tcp::state::State;

impl Tcb {
    /// An ICMP error that quotes a segment of ours with `seq`.
    pub(crate) fn on_icmp_error(
        &mut self,
        kind: &ErrorKind,
        seq: Option<SeqNum>,
        cx: &mut Context<'_>,
    ) -> Outcome {
        // RFC 5927 4.1: only about something that is in flight.
        let position = seq.map(|seq| self.snd.position(seq));
        let in_flight = self.snd.una..self.snd.nxt;
        let Some(position) = position.filter(|position| in_flight.contains(position)) else {
            return self.drop_segment(DropReason::IcmpUnrelated, cx);
        };
        if let ErrorKind::PacketTooBig { mtu } = *kind {
            self.on_packet_too_big(mtu, position, cx);
            return Outcome::Alive;
        }
        let Some(error) = connection_error(kind) else {
            return Outcome::Alive;
        };
        // RFC 5461: only a connection that is not yet one is given up; later it is advice (MUST-56, and
        // SHLD-26 as Linux reads it).
        if matches!(self.state, State::SynSent | State::SynReceived) {
            return self.fail(error, cx);
        }
        self.soft_error = Some(error);
        Outcome::Alive
    }
}

/// What an ICMP error means for an opening connection; `None` for what concerns nobody (MUST-55).
fn connection_error(kind: &ErrorKind) -> Option<ConnectionError> {
    Some(match kind {
        ErrorKind::Unreachable(code) => match code {
            Unreachable::Port | Unreachable::Protocol => ConnectionError::Refused,
            Unreachable::Network
            | Unreachable::NetworkUnknown
            | Unreachable::NetworkProhibited
            | Unreachable::NetworkForTos => ConnectionError::NetworkUnreachable,
            _ => ConnectionError::HostUnreachable,
        },
        ErrorKind::TimeExceeded { .. } | ErrorKind::ParameterProblem { .. } => {
            ConnectionError::HostUnreachable
        }
        ErrorKind::PacketTooBig { .. } | ErrorKind::SourceQuench | ErrorKind::Redirect => {
            return None;
        }
    })
}
