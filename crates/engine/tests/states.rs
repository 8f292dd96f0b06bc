//! Every state against every kind of segment: the answer and the next state, from a table that was
//! written from RFC 9293 3.10.7 and RFC 5961, independently of the engine.

mod support;

use millstream_engine::{ListenOptions, SocketOptions, State};
use support::wire::{Seg, Wire, seg};

/// Our window in these connections, unscaled.
const WINDOW: i64 = 64_240;
/// The peer's window.
const PEER_WINDOW: i64 = 65_535;

/// The position of a segment's sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Long before the window.
    Old,
    /// RCV.NXT.
    LeftEdge,
    Inside,
    /// RCV.NXT + RCV.WND, the first position outside.
    RightEdge,
    Beyond,
}

/// The acknowledgment number of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Acks {
    /// SND.NXT: everything sent.
    All,
    /// SND.UNA: nothing new.
    Nothing,
    /// Less than SND.UNA, but not older than any window.
    Old,
    /// Older than any window.
    TooOld,
    /// Beyond SND.NXT.
    TooNew,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    syn: bool,
    ack: bool,
    fin: bool,
    rst: bool,
    place: Place,
    acks: Acks,
    data: bool,
}

impl Case {
    fn all() -> impl Iterator<Item = Self> {
        let places = [
            Place::Old,
            Place::LeftEdge,
            Place::Inside,
            Place::RightEdge,
            Place::Beyond,
        ];
        let acks = [
            Acks::All,
            Acks::Nothing,
            Acks::Old,
            Acks::TooOld,
            Acks::TooNew,
        ];
        (0..32u8).flat_map(move |bits| {
            places.into_iter().flat_map(move |place| {
                acks.into_iter().map(move |acks| Self {
                    syn: bits & 1 != 0,
                    ack: bits & 2 != 0,
                    fin: bits & 4 != 0,
                    rst: bits & 8 != 0,
                    data: bits & 16 != 0,
                    place,
                    acks,
                })
            })
        })
    }

    /// Not acceptable by RFC 9293 3.10.7.4, first. An empty segment at the right edge itself is
    /// accepted, as by Linux, so that ACK and RST count if the window is closed.
    fn is_outside(&self) -> bool {
        let occupies = self.data || self.fin || self.syn;
        match self.place {
            Place::Old | Place::Beyond => true,
            Place::RightEdge => occupies,
            Place::LeftEdge | Place::Inside => false,
        }
    }

    /// The segment, where the peer's next byte is `nxt`, and ours is between `una` and `sent`.
    fn segment(&self, nxt: i64, una: i64, sent: i64) -> Seg {
        let mut flags = String::new();
        for (on, letter) in [
            (self.syn, 'S'),
            (self.fin, 'F'),
            (self.rst, 'R'),
            (self.ack, '.'),
        ] {
            if on {
                flags.push(letter);
            }
        }
        let segment = seg(&flags, self.seq(nxt), self.data_len() as usize);
        if self.ack {
            segment.ack(self.acknowledges(una, sent))
        } else {
            segment
        }
    }

    fn seq(&self, nxt: i64) -> i64 {
        match self.place {
            Place::Old => nxt - 5000,
            Place::LeftEdge => nxt,
            Place::Inside => nxt + 100,
            // Advertised by the SYN-ACK; too little has arrived since to move it
            // (RFC 9293 3.8.6.2.2).
            Place::RightEdge => 1 + WINDOW,
            Place::Beyond => 1 + WINDOW + 100,
        }
    }

    fn acknowledges(&self, una: i64, sent: i64) -> i64 {
        match self.acks {
            Acks::All => sent,
            Acks::Nothing => una,
            Acks::Old => una - 500,
            Acks::TooOld => una - PEER_WINDOW - 1000,
            Acks::TooNew => sent + 1,
        }
    }

    fn data_len(&self) -> i64 {
        if self.data { 10 } else { 0 }
    }

    /// SEG.LEN
    fn len(&self) -> i64 {
        self.data_len() + i64::from(self.syn) + i64::from(self.fin)
    }

    /// The advance of RCV.NXT if the segment is accepted.
    fn taken(&self) -> i64 {
        match self.place {
            Place::LeftEdge => self.data_len() + i64::from(self.fin),
            _ => 0,
        }
    }

    /// The reset of RFC 9293 3.10.7.1: it takes its position from the segment, or acknowledges it.
    fn reset(&self, nxt: i64, una: i64, sent: i64) -> String {
        if self.ack {
            let at = self.acknowledges(una, sent);
            format!("R {at}:{at}")
        } else {
            format!("R. 0:0 ack {}", self.seq(nxt) + self.len())
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Nothing,
    Ack,
}

/// Whether a segment is processed up to its text in a state that accepts text (RFC 9293 3.10.7.4,
/// first to seventh).
fn is_taken(state: State, case: &Case) -> bool {
    let receives = matches!(
        state,
        State::Established | State::FinWait1 | State::FinWait2
    );
    let acceptable = !matches!(case.acks, Acks::TooOld | Acks::TooNew);
    receives && !case.is_outside() && !case.rst && !case.syn && case.ack && acceptable
}

/// RFC 9293 3.3.2, 3.10.7.4 for the synchronised states. Comments mark the places that follow
/// Linux.
fn expected(state: State, case: &Case) -> (Answer, State) {
    // First, the sequence number.
    if case.is_outside() {
        return (
            if case.rst {
                Answer::Nothing
            } else {
                Answer::Ack
            },
            state,
        );
    }
    // Second, RST (RFC 5961 3).
    if case.rst {
        return match case.place {
            Place::LeftEdge => (Answer::Nothing, State::Closed),
            _ => (Answer::Ack, state),
        };
    }
    // Fourth, SYN (RFC 5961 4).
    if case.syn {
        return (Answer::Ack, state);
    }
    // Fifth, ACK (RFC 5961 5).
    if !case.ack {
        return (Answer::Nothing, state);
    }
    if matches!(case.acks, Acks::TooOld | Acks::TooNew) {
        return (Answer::Ack, state);
    }
    let fin_acked = case.acks == Acks::All;
    let state = match state {
        State::FinWait1 if fin_acked => State::FinWait2,
        State::Closing if fin_acked => return (Answer::Nothing, State::TimeWait),
        State::LastAck if fin_acked => return (Answer::Nothing, State::Closed),
        other => other,
    };
    // Seventh, text; eighth, FIN. Data in the window is acknowledged at once: the first in order
    // quickly, data out of order or truncated always; after the peer's FIN it is ignored.
    let receives = matches!(
        state,
        State::Established | State::FinWait1 | State::FinWait2
    );
    let in_order = case.place == Place::LeftEdge;
    let answer = if (case.data || case.fin) && receives {
        Answer::Ack
    } else {
        Answer::Nothing
    };
    if !(case.fin && in_order && receives) {
        return (answer, state);
    }
    let next = match state {
        State::Established => State::CloseWait,
        State::FinWait1 => State::Closing,
        State::FinWait2 => State::TimeWait,
        other => other,
    };
    (Answer::Ack, next)
}

/// The sent packets, at most one segment.
fn answer(wire: &mut Wire) -> Option<String> {
    let mut sent = wire.sent();
    assert!(sent.len() <= 1, "more than one answer: {sent:?}");
    sent.pop()
}

/// Our ACK: SND.NXT and RCV.NXT.
fn ack(sent: i64, nxt: i64) -> String {
    format!(". {sent}:{sent} ack {nxt}")
}

/// Our SYN-ACK to a SYN at `seq`.
fn syn_ack(seq: i64) -> String {
    format!("S. 0:1 ack {}", seq + 1)
}

fn state_of(wire: &Wire) -> State {
    if wire.stack.time_wait_count() > 0 {
        return State::TimeWait;
    }
    wire.id
        .and_then(|id| wire.stack.state(id))
        .unwrap_or(State::Closed)
}

/// A connection in `state`, with the peer's next position, SND.UNA and SND.NXT.
fn synchronised(state: State) -> (Wire, i64, i64, i64) {
    let mut wire =
        Wire::established_with(|_| {}, SocketOptions::default(), seg("S", 0, 0).mss(1000));
    // Makes some acknowledgment numbers old, but not older than the connection.
    wire.write(1000);
    wire.inject(seg(".", 1, 0).ack(1001));
    let (mut nxt, mut una, mut sent) = (1, 1001, 1001);
    if matches!(state, State::CloseWait | State::LastAck) {
        wire.inject(seg("F.", 1, 0).ack(1001));
        nxt = 2;
    }
    if matches!(
        state,
        State::FinWait1 | State::FinWait2 | State::Closing | State::LastAck
    ) {
        wire.shutdown();
        sent = 1002;
    }
    match state {
        State::FinWait2 => {
            wire.inject(seg(".", 1, 0).ack(1002));
            una = 1002;
        }
        State::Closing => {
            wire.inject(seg("F.", 1, 0).ack(1001));
            nxt = 2;
        }
        _ => {}
    }
    wire.sent();
    assert_eq!(state_of(&wire), state);
    (wire, nxt, una, sent)
}

#[test]
fn synchronised_states() {
    let mut checked = 0;
    for state in [
        State::Established,
        State::FinWait1,
        State::FinWait2,
        State::CloseWait,
        State::Closing,
        State::LastAck,
    ] {
        for case in Case::all() {
            let (mut wire, nxt, una, sent) = synchronised(state);
            if una == sent && case.acks == Acks::Nothing {
                continue;
            }
            wire.inject(case.segment(nxt, una, sent));
            let found = (answer(&mut wire), state_of(&wire));
            let (answer, next) = expected(state, &case);
            let moved = if next == State::Closed || !is_taken(state, &case) {
                0
            } else {
                case.taken()
            };
            let line = match answer {
                Answer::Nothing => None,
                Answer::Ack => Some(ack(sent, nxt + moved)),
            };
            assert_eq!(found, (line, next), "{state}: {case:?}");
            checked += 1;
        }
    }
    assert!(checked > 4000);
}

#[test]
fn closed_and_listen() {
    for case in Case::all() {
        let segment = case.segment(1, 1, 1);
        // A port without a listener: RFC 9293 3.10.7.1.
        let mut closed = Wire::listening(|_| {}, ListenOptions::default());
        closed.aim_at_port(81);
        closed.inject(segment);
        let refused = (!case.rst).then(|| case.reset(1, 1, 1));
        assert_eq!(answer(&mut closed), refused, "CLOSED: {case:?}");
        // 3.10.7.2.
        let mut listening = Wire::listening(|_| {}, ListenOptions::default());
        listening.inject(segment);
        let expected = match case {
            Case { rst: true, .. } => None,
            Case { ack: true, .. } => Some(case.reset(1, 1, 1)),
            // With a FIN it is dropped, as by Linux.
            Case {
                syn: true,
                fin: false,
                ..
            } => Some(syn_ack(case.seq(1))),
            _ => None,
        };
        let opens = case.syn && !case.rst && !case.ack && !case.fin;
        assert_eq!(answer(&mut listening), expected, "LISTEN: {case:?}");
        let sockets = if opens { 2 } else { 1 };
        assert_eq!(listening.stack.sockets().count(), sockets);
    }
}

/// 3.10.7.3.
#[test]
fn syn_sent() {
    for case in Case::all() {
        let mut wire = Wire::connecting(|_| {}, SocketOptions::default());
        wire.sent();
        wire.inject(case.segment(0, 0, 1));
        let acceptable = case.ack && case.acks == Acks::All;
        let expected = match case {
            Case {
                ack: true,
                rst: true,
                ..
            } if !acceptable => (None, State::SynSent),
            Case { ack: true, .. } if !acceptable => (Some(case.reset(0, 0, 1)), State::SynSent),
            Case { rst: true, .. } if acceptable => (None, State::Closed),
            Case { rst: true, .. } => (None, State::SynSent),
            // Text and FIN of a SYN-ACK are accepted when they are retransmitted (as by Linux).
            Case { syn: true, .. } if acceptable => {
                (Some(ack(1, case.seq(0) + 1)), State::Established)
            }
            Case { syn: true, .. } => (Some(syn_ack(case.seq(0))), State::SynReceived),
            _ => (None, State::SynSent),
        };
        assert_eq!(
            (answer(&mut wire), state_of(&wire)),
            expected,
            "SYN-SENT: {case:?}"
        );
    }
}

/// 3.10.7.4 for SYN-RECEIVED. A reset returns it to `back`.
fn expected_in_syn_received(case: &Case, back: State) -> (Option<String>, State) {
    let outside = case.is_outside();
    let in_order = case.place == Place::LeftEdge;
    let here = State::SynReceived;
    match *case {
        Case { rst: true, .. } if outside => (None, here),
        // No answer.
        Case { rst: true, .. } if in_order => (None, back),
        // RFC 5961 3 and 4.
        Case { rst: true, .. } => (Some(ack(1, 1)), here),
        _ if outside || case.syn => (Some(ack(1, 1)), here),
        Case { ack: false, .. } => (None, here),
        _ if case.acks != Acks::All => (Some(case.reset(1, 0, 1)), here),
        Case { fin: true, .. } if in_order => (Some(ack(1, 1 + case.taken())), State::CloseWait),
        Case { data, fin, .. } if data || fin => {
            (Some(ack(1, 1 + case.taken())), State::Established)
        }
        _ => (None, State::Established),
    }
}

/// After a passive open, whose record is not yet a connection.
#[test]
fn syn_received() {
    for case in Case::all() {
        let mut wire = Wire::listening(|_| {}, ListenOptions::default());
        wire.inject(seg("S", 0, 0).mss(1000));
        wire.sent();
        wire.inject(case.segment(1, 0, 1));
        let answer = answer(&mut wire);
        let accepted = wire.stack.accept(wire.listener.unwrap());
        let found = match accepted {
            Some(accepted) => wire.stack.state(accepted.id).unwrap(),
            None if wire.stack.sockets().count() == 2 => State::SynReceived,
            None => State::Listen,
        };
        let expected = expected_in_syn_received(&case, State::Listen);
        assert_eq!((answer, found), expected, "SYN-RECEIVED: {case:?}");
    }
}

/// After crossing SYNs.
#[test]
fn syn_received_of_a_simultaneous_open() {
    for case in Case::all() {
        let mut wire = Wire::connecting(|_| {}, SocketOptions::default());
        wire.inject(seg("S", 0, 0).mss(1000));
        wire.sent();
        assert_eq!(state_of(&wire), State::SynReceived);
        wire.inject(case.segment(1, 0, 1));
        let found = (answer(&mut wire), state_of(&wire));
        let expected = expected_in_syn_received(&case, State::Closed);
        assert_eq!(found, expected, "SYN-RECEIVED: {case:?}");
    }
}

/// 3.10.7.4 for TIME-WAIT, with RFC 6191's reopening; where the RFC leaves it open, as Linux does.
#[test]
fn time_wait() {
    for case in Case::all() {
        let mut wire =
            Wire::established_with(|_| {}, SocketOptions::default(), seg("S", 0, 0).mss(1000));
        wire.shutdown();
        wire.inject(seg("F.", 1, 0).ack(2));
        wire.sent();
        // Its answers are limited in rate.
        wire.wait_ms(1000);
        wire.inject(case.segment(2, 2, 2));
        let newer = !matches!(case.place, Place::Old | Place::LeftEdge);
        let bare = !(case.syn || case.fin || case.data);
        let expected = match case {
            Case { rst: true, .. } if case.place == Place::LeftEdge => (None, false),
            Case { rst: true, .. } => (None, true),
            Case {
                syn: true,
                ack: false,
                ..
            } if newer => ((!case.fin).then(|| syn_ack(case.seq(2))), false),
            _ if bare && case.place == Place::LeftEdge => (None, true),
            _ => (Some(ack(2, 2)), true),
        };
        let stays = wire.stack.time_wait_count() == 1;
        assert_eq!((answer(&mut wire), stays), expected, "TIME-WAIT: {case:?}");
    }
}
