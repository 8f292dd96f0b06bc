//! The decision what to send next, if anything. Nothing here changes the connection.

use super::super::space::{FIRST_BYTE, SYN};
use super::super::{Owed, Tcb};
use crate::config::Offload;
use crate::congestion::pacing::Pacer;
use crate::tcp::state::State;
use crate::time::Instant;

/// One packet to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The local SYN, with an ACK if the peer's SYN has arrived.
    Syn,
    /// The positions `start..end`, the FIN included if `fin`.
    Data {
        start: u64,
        end: u64,
        fin: bool,
        /// Whether it empties the send buffer (RFC 9293 MUST-61, SHLD-27).
        push: bool,
        retransmission: bool,
    },
    /// An acknowledgment alone.
    Ack,
    /// A segment just left of the window, without data, that the peer must answer (RFC 9293
    /// SHLD-12).
    Probe,
}

/// The reason why new data is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// There is no new data.
    Nothing,
    /// The congestion window.
    ByCongestion,
    /// The peer's window.
    ByWindow,
    /// Nagle's algorithm: an acknowledgment will release it.
    ByNagle,
    /// The application's cork.
    ByCork,
    /// A writer that is about to write more data for the same segment.
    ByWriter,
    /// Pacing, until the given time.
    ByPacing(Instant),
}

impl Action {
    /// Whether it carries data that was never sent.
    pub(crate) fn is_new_data(&self) -> bool {
        let again = matches!(
            self,
            Self::Data {
                retransmission: true,
                ..
            }
        );
        self.has_payload() && !again
    }

    /// Whether it carries data, and not a FIN alone.
    pub(crate) fn has_payload(&self) -> bool {
        match *self {
            Self::Data {
                start, end, fin, ..
            } => end - start > u64::from(fin),
            Self::Syn | Self::Ack | Self::Probe => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Send(Action),
    Wait(Held),
}

pub(crate) fn decide(tcb: &Tcb, now: Instant, offload: &Offload) -> Decision {
    match *tcb.state {
        State::Closed | State::Listen | State::TimeWait => return Decision::Wait(Held::Nothing),
        _ => {}
    }
    if tcb.sender.recovery.prefers_new_data()
        && let Some(decision) = in_question(tcb, now, offload)
    {
        return decision;
    }
    let held = match data(tcb, now, offload) {
        Ok(action) => return Decision::Send(action),
        Err(held) => held,
    };
    if tcb.owed.contains(Owed::PROBE) {
        return Decision::Send(Action::Probe);
    }
    if tcb.owed.contains(Owed::ACK) && tcb.state != State::SynSent {
        return Decision::Send(Action::Ack);
    }
    Decision::Wait(held)
}

/// Lost data precedes new data.
fn data(tcb: &Tcb, now: Instant, offload: &Offload) -> Result<Action, Held> {
    if let Some(action) = retransmission(tcb, now)? {
        return Ok(action);
    }
    if tcb.owed.contains(Owed::TAIL_PROBE)
        && let Some(action) = tail_probe(tcb)
    {
        return Ok(action);
    }
    new_data(tcb, now, offload)
}

/// While a timeout may be spurious: new data, and nothing that was marked lost (RFC 5682 2.1 step
/// 2b).
fn in_question(tcb: &Tcb, now: Instant, offload: &Offload) -> Option<Decision> {
    let held = match new_data(tcb, now, offload) {
        Ok(action) => return Some(Decision::Send(action)),
        Err(held @ Held::ByPacing(_)) => held,
        // No new data could be sent: proceed as after an ordinary timeout.
        Err(_)
            if !tcb
                .sender
                .recovery
                .has_sent_since_timeout(tcb.sender.snd.nxt) =>
        {
            return None;
        }
        Err(_) => Held::ByCongestion,
    };
    let ack = tcb.owed.contains(Owed::ACK).then_some(Action::Ack);
    Some(ack.map_or(Decision::Wait(held), Decision::Send))
}

/// New data if there is some and the peer's window permits it, regardless of the congestion window;
/// otherwise the end of the last segment (RFC 8985 7.3).
fn tail_probe(tcb: &Tcb) -> Option<Action> {
    let mss = u64::from(tcb.segment_len());
    let room = tcb
        .sender
        .snd
        .right_edge()
        .saturating_sub(tcb.sender.snd.nxt);
    let data = tcb.sender.unsent().min(mss).min(room);
    // The FIN is sent with the last of the data, or alone.
    let fin = tcb.sender.has_unsent()
        && tcb.sender.fin_queued
        && data == tcb.sender.unsent()
        && data < room;
    let new = data + u64::from(fin);
    let (start, end) = if new > 0 {
        (tcb.sender.snd.nxt, tcb.sender.snd.nxt + new)
    } else {
        tcb.sender.recovery.board.tail(mss)?
    };
    let fin = tcb.sender.fin_position().is_some_and(|fin| end > fin);
    Some(Action::Data {
        start,
        end,
        fin,
        push: end - u64::from(fin) == tcb.sender.buf.end(),
        retransmission: new == 0,
    })
}

/// The oldest segment marked lost, if the windows allow it; held back if pacing delays it.
fn retransmission(tcb: &Tcb, now: Instant) -> Result<Option<Action>, Held> {
    let Some(action) = allowed_retransmission(tcb) else {
        return Ok(None);
    };
    if let Action::Data { start, end, .. } = action
        && !tcb.sender.recovery.is_forced()
    {
        pace(tcb, now, end - start)?;
    }
    Ok(Some(action))
}

fn allowed_retransmission(tcb: &Tcb) -> Option<Action> {
    let recovery = &tcb.sender.recovery;
    let (start, end) = recovery
        .board
        .next_retransmission(u64::from(tcb.segment_len()))?;
    if start == SYN {
        return Some(Action::Syn);
    }
    let forced = recovery.is_forced();
    let fits_cwnd = tcb.sender.pipe(tcb.agreed.sack) + (end - start) <= tcb.sender.cwnd();
    if !forced && !fits_cwnd {
        return None;
    }
    // RFC 9293 SHLD-16: a shrunk window limits retransmissions too, except the first segment after
    // a timeout, which then serves as the probe.
    let edge = tcb.sender.snd.right_edge();
    let end = if start < edge {
        end.min(edge)
    } else if forced && start == tcb.sender.snd.una {
        end
    } else {
        return None;
    };
    let fin = tcb.sender.fin_position().is_some_and(|fin| end > fin);
    Some(Action::Data {
        start,
        end,
        fin,
        push: end - u64::from(fin) == tcb.sender.buf.end(),
        retransmission: true,
    })
}

/// Data or a FIN that was never sent (RFC 9293 SHLD-15).
fn new_data(tcb: &Tcb, now: Instant, offload: &Offload) -> Result<Action, Held> {
    if tcb.sender.snd.nxt == SYN {
        return Ok(Action::Syn);
    }
    if !tcb.sender.syn_acked() || !tcb.sender.has_unsent() {
        return Err(Held::Nothing);
    }
    let start = tcb.sender.snd.nxt.max(FIRST_BYTE);
    let available = tcb.sender.unsent();
    let length = data_length(tcb, offload, available)?;
    pace(tcb, now, length)?;
    let end = start + length;
    // The FIN takes a place in the peer's window. With data it needs no room in the congestion
    // window; alone it waits until that is not full.
    let fin = tcb.sender.fin_queued && length == available && end < tcb.sender.snd.right_edge();
    if length == 0 && !fin {
        return Err(Held::ByWindow);
    }
    Ok(Action::Data {
        start,
        end: end + u64::from(fin),
        fin,
        push: length == available,
        retransmission: false,
    })
}

/// Whether pacing allows `length` bytes now.
fn pace(tcb: &Tcb, now: Instant, length: u64) -> Result<(), Held> {
    let Some(pacer) = tcb.sender.congestion.pacer() else {
        return Ok(());
    };
    let at = pacer.next_send_at(now, length.min(u64::from(u32::MAX)) as u32);
    if at > now {
        return Err(Held::ByPacing(at));
    }
    Ok(())
}

/// The amount of new data to send in one segment. Zero only if there is just a FIN to send
/// (RFC 9293 MUST-38, SHLD-28).
fn data_length(tcb: &Tcb, offload: &Offload, available: u64) -> Result<u64, Held> {
    let pipe = tcb.sender.pipe(tcb.agreed.sack);
    let cwnd = tcb.sender.cwnd().saturating_sub(pipe);
    if available == 0 {
        return if cwnd > 0 {
            Ok(0)
        } else {
            Err(Held::ByCongestion)
        };
    }
    let mss = u64::from(tcb.segment_len());
    let window = tcb
        .sender
        .snd
        .right_edge()
        .saturating_sub(tcb.sender.snd.nxt);
    let super_segment = if tcb.ecn.has_reduced() {
        0
    } else {
        offload.max_segment.min(Offload::MAX_SEGMENT) as u64
    };
    if let Some(probe) = tcb.path_probe() {
        return Ok(probe);
    }
    let burst = tcb.sender.congestion.pacer().map_or(u64::MAX, Pacer::burst);
    let largest = (super_segment.min(burst) / mss).max(1) * mss;
    if tcb.sender.more_to_come && available < largest && !tcb.sender.fin_queued {
        return Err(Held::ByWriter);
    }
    let length = available.min(window).min(cwnd).min(largest);
    let whole = length - length % mss;
    if length == available {
        // The tail may be a small segment.
        if length == whole || may_send_small(tcb) {
            return Ok(length);
        }
        return if whole > 0 {
            Ok(whole)
        } else {
            Err(small_held_by(tcb))
        };
    }
    if whole > 0 {
        return Ok(whole);
    }
    if cwnd < window {
        return Err(Held::ByCongestion);
    }
    // Silly-window avoidance (RFC 9293 3.8.6.2.1): at least half of the largest window that the
    // peer ever offered, unless the override timer has fired.
    let enough = length > 0
        && (length >= u64::from(tcb.sender.snd.max_wnd / 2) || tcb.owed.contains(Owed::HELD_DATA));
    if enough {
        Ok(length)
    } else {
        Err(Held::ByWindow)
    }
}

/// Nagle's algorithm (RFC 9293 3.7.4) in Minshall's variant: a small segment waits only for an
/// earlier small one (RFC 9293 MUST-38, SHLD-7).
fn may_send_small(tcb: &Tcb) -> bool {
    if tcb.sender.fin_queued || tcb.owed.contains(Owed::HELD_DATA) || tcb.sender.snd.up.is_some() {
        return true;
    }
    if tcb.options.cork {
        return false;
    }
    tcb.options.nodelay || tcb.sender.snd.small_end <= tcb.sender.snd.una
}

fn small_held_by(tcb: &Tcb) -> Held {
    if tcb.options.cork {
        Held::ByCork
    } else {
        Held::ByNagle
    }
}
