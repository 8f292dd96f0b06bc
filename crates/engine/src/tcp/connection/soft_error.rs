//! ICMP errors about a connection (RFC 9293 3.9.2.2, RFC 5461, RFC 5927).

use millstream_wire::SeqNum;
use millstream_wire::icmp::{ErrorKind, Unreachable};

use super::{Context, Outcome, Tcb};
use crate::error::{ConnectionError, DropReason};
use crate::tcp::state::State;

impl Tcb {
    /// Processes an ICMP error that quotes a local segment with `seq`.
    pub(crate) fn on_icmp_error(
        &mut self,
        kind: &ErrorKind,
        seq: Option<SeqNum>,
        cx: &mut Context<'_>,
    ) -> Outcome {
        // RFC 5927 4.1: only errors about a segment in flight are accepted.
        let position = seq.map(|seq| self.sender.snd.position(seq));
        let in_flight = self.sender.snd.una..self.sender.snd.nxt;
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
        // RFC 5461: only a connection that is not yet established is aborted; later the error is
        // advisory (MUST-56, and SHLD-26 as Linux reads it).
        if matches!(*self.state, State::SynSent | State::SynReceived) {
            return self.fail(error, cx);
        }
        self.app.soft_error = Some(error);
        Outcome::Alive
    }
}

/// The meaning of an ICMP error for an opening connection; `None` if it is to be ignored (MUST-55).
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
