//! Plays a sequence against one stack and records the results.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, anyhow};
use millstream_wire::tcp::Flags;

use super::sequence::{Ack, Opening, Seq, Sequence, Spec, Step, Timestamp};
use super::wire::{self, Flow};
use crate::script::{Segment, TcpOpt};
use crate::target::{Called, Errno, Failure, Shutdown, SockOpt, Socket, Target, Time};

/// The first value of the peer's timestamp clock, and its ticks from one segment to the next.
const STAMP: u32 = 5000;
const STAMP_TICK: u32 = 10;

/// `TCP_SYN_SENT`, `TCP_SYN_RECV`, `TCP_TIME_WAIT` and `TCP_CLOSE`
const SYN_SENT: i64 = 2;
const SYN_RECEIVED: i64 = 3;
const TIME_WAIT: i64 = 6;
const CLOSE: i64 = 7;

/// The results of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The segment into which the step was translated.
    pub segment: Option<Segment>,
    /// The result of the step's call.
    pub result: Option<Answer>,
    /// Whether a connection could be accepted afterwards.
    pub accepted: Option<Answer>,
    /// The segments sent by the stack.
    pub sent: Vec<Segment>,
    /// The state afterwards, if the socket reports it.
    pub state: Option<i64>,
}

impl Seen {
    /// Whether a listener has nothing to accept, so that any connection is still half-open.
    #[must_use]
    pub fn is_half_open(&self) -> bool {
        match self.accepted {
            Some(Err(Failure::WouldBlock)) => true,
            Some(_) => false,
            // The socket belongs to an earlier connection, which is closed.
            None => matches!(self.state, None | Some(TIME_WAIT | CLOSE)),
        }
    }
}

/// The result of a call: a number, or an error.
pub type Answer = std::result::Result<usize, Failure>;

/// The state of a sequence in progress.
struct Player<'a> {
    target: &'a mut dyn Target,
    flow: Flow,
    pace: Duration,
    listener: Option<Socket>,
    connection: Option<Socket>,
    /// The next sequence number that the stack expects, and the end of its window, according to its
    /// segments.
    expected: u32,
    edge: u32,
    window_shift: u8,
    peer_scales: bool,
    /// The end of the stack's sent data, and of the part that it knows to have arrived.
    sent_end: u32,
    una: u32,
    /// The peer's clock, and the stack's latest timestamp.
    stamp: u32,
    heard_stamp: u32,
    /// The initial sequence number to which the numbers above are relative.
    isn_heard: u32,
}

/// Plays `sequence` between `stack`, an address of the target, and `peer`. Returns the results of
/// the opening and of each step, and the final state. `pace` passes after each step.
///
/// # Errors
/// If the target does not support a call, or sends a packet that cannot be parsed.
pub(super) fn play(
    target: &mut dyn Target,
    sequence: &Sequence,
    (stack, peer): (SocketAddr, SocketAddr),
    pace: Duration,
) -> Result<(Vec<Seen>, &'static str)> {
    let mut player = Player {
        target,
        flow: Flow {
            stack,
            peer,
            peer_isn: sequence.isn,
            stack_isn: 0,
        },
        pace,
        listener: None,
        connection: None,
        expected: 0,
        edge: 0,
        window_shift: 0,
        peer_scales: false,
        sent_end: 0,
        una: 0,
        stamp: STAMP,
        heard_stamp: 0,
        isn_heard: 0,
    };
    let mut seen = vec![player.open(sequence)?];
    for step in &sequence.steps {
        seen.push(player.step(step)?);
    }
    let state = player.target.state(stack, peer);
    player.clean_up()?;
    Ok((seen, state))
}

impl Player<'_> {
    fn open(&mut self, sequence: &Sequence) -> Result<Seen> {
        let socket = self.target.socket();
        let nodelay = i64::from(sequence.nodelay);
        for (option, value) in [(SockOpt::ReuseAddr, 1), (SockOpt::NoDelay, nodelay)] {
            done(self.target.set_option(socket, option, value))?;
        }
        done(self.target.bind(socket, self.flow.stack))?;
        let result = match sequence.opening {
            Opening::Listen => {
                self.listener = Some(socket);
                self.target.listen(socket, 5)
            }
            Opening::Connect => {
                self.connection = Some(socket);
                self.target.connect(socket, self.flow.peer)
            }
        };
        self.see(None, Some(result.map(|()| 0)))
    }

    fn step(&mut self, step: &Step) -> Result<Seen> {
        if let Step::Segment(spec) = step {
            let segment = self.resolve(spec);
            self.target.inject(wire::packet(&self.flow, &segment));
            return self.see(Some(segment), None);
        }
        let Some(socket) = self.connection else {
            return self.see(None, None);
        };
        let needs_connection = matches!(step, Step::Write(_) | Step::Read(_) | Step::ShutdownWrite);
        if needs_connection && self.is_opening(socket) {
            // A tokio stream cannot make these calls during the opening. The engine accepts early
            // writes for its adapter; Linux blocks the caller, and treats a shutdown as a close.
            return self.see(None, None);
        }
        let result = match step {
            Step::Segment(_) => Ok(0),
            Step::Write(length) => self.target.send(socket, &vec![b'x'; *length], false),
            Step::Read(max) => self.target.recv(socket, *max, false).map(|data| data.len()),
            Step::ShutdownWrite => match self.target.shutdown(socket, Shutdown::Write) {
                // The connection is closed, for which tokio reports no error.
                Ok(()) | Err(Failure::Error(Errno::ENOTCONN)) => Ok(0),
                Err(failure) => Err(failure),
            },
            Step::Close => self.close(socket),
            Step::Abort => {
                done(self.target.set_linger(socket, Some(Duration::ZERO)))?;
                self.close(socket)
            }
        };
        self.see(None, Some(result))
    }

    fn is_opening(&mut self, socket: Socket) -> bool {
        matches!(
            self.target.info(socket, "tcpi_state"),
            Ok(SYN_SENT | SYN_RECEIVED)
        )
    }

    fn close(&mut self, socket: Socket) -> Called<usize> {
        self.connection = None;
        self.target.close(socket).map(|()| 0)
    }

    /// Collects the results of a step.
    fn see(&mut self, segment: Option<Segment>, result: Option<Answer>) -> Result<Seen> {
        let accepted = match (self.listener, self.connection, &segment) {
            (Some(listener), None, Some(_)) => Some(self.target.accept(listener)),
            _ => None,
        };
        if let Some(Ok(socket)) = &accepted {
            self.connection = Some(*socket);
        }
        self.settle();
        let mut sent = Vec::new();
        while let Some((_, bytes)) = self.target.take_packet() {
            if let Some((mut reply, stamp)) = wire::read(&mut self.flow, &bytes)? {
                if let Some(segment) = &segment {
                    self.rebase(segment, &mut reply);
                }
                self.hear(&reply, stamp);
                sent.push(reply);
            }
        }
        let state = self
            .connection
            .and_then(|socket| self.target.info(socket, "tcpi_state").ok());
        Ok(Seen {
            segment,
            result,
            accepted: accepted.map(|accepted| accepted.map(|_| 0)),
            sent,
            state,
        })
    }

    /// If `segment` was a SYN and `reply` accepts it, the peer's numbers become relative to it.
    fn rebase(&mut self, segment: &Segment, reply: &mut Segment) {
        let seq = segment.seq.unwrap_or_default();
        let taken = reply.flags.contains(Flags::SYN | Flags::ACK)
            && segment.flags.contains(Flags::SYN)
            && reply.ack == Some(seq.wrapping_add(1));
        if taken {
            self.flow.peer_isn = self.flow.peer_isn.wrapping_add(seq);
            reply.ack = Some(1);
        }
    }

    fn settle(&mut self) {
        let until = self.target.advance(Time::ZERO) + self.pace;
        while self.target.advance(until) < until {}
    }

    /// Records the numbers that the stack has announced.
    fn hear(&mut self, segment: &Segment, stamp: Option<u32>) {
        self.heard_stamp = stamp.unwrap_or(self.heard_stamp);
        if segment.flags.contains(Flags::RST) {
            return;
        }
        let syn = segment.flags.contains(Flags::SYN);
        if syn && self.flow.stack_isn != self.isn_heard {
            // A new connection between the same ends begins.
            self.isn_heard = self.flow.stack_isn;
            (self.sent_end, self.una) = (0, 0);
        }
        for option in segment.options.iter().flatten() {
            if let TcpOpt::WindowScale(shift) = option {
                self.window_shift = *shift;
            }
        }
        let marks = u32::from(syn) + u32::from(segment.flags.contains(Flags::FIN));
        let end = segment
            .seq
            .unwrap_or_default()
            .wrapping_add(segment.len + marks);
        if is_after(end, self.sent_end) {
            self.sent_end = end;
        }
        if let (Some(ack), Some(window)) = (segment.ack, segment.win) {
            let scaled = !syn && self.peer_scales;
            let shift = if scaled { self.window_shift } else { 0 };
            self.expected = ack;
            self.edge = ack.wrapping_add(u32::from(window) << shift);
        }
    }

    fn resolve(&mut self, spec: &Spec) -> Segment {
        let seq = match spec.seq {
            Seq::Next(by) => self.expected.wrapping_add_signed(by),
            Seq::Edge(by) => self.edge.wrapping_add_signed(by),
        };
        let ack = match spec.ack {
            Ack::Next(by) => self.sent_end.wrapping_add_signed(by),
            Ack::Una(by) => self.una.wrapping_add_signed(by),
        };
        let acknowledges = spec.flags.contains(Flags::ACK);
        if acknowledges && is_after(ack, self.una) && !is_after(ack, self.sent_end) {
            self.una = ack;
        }
        if spec.flags.contains(Flags::SYN) {
            self.peer_scales |= spec.window_scale.is_some();
        }
        Segment {
            flags: spec.flags,
            ae: false,
            seq: Some(seq),
            len: spec.len,
            ack: acknowledges.then_some(ack),
            win: Some(spec.window),
            urg: spec.flags.contains(Flags::URG).then_some(spec.urgent),
            options: Some(self.options(spec)),
        }
    }

    fn options(&mut self, spec: &Spec) -> Vec<TcpOpt> {
        let mut options = Vec::new();
        options.extend(spec.mss.map(TcpOpt::Mss));
        options.extend(spec.sack_permitted.then_some(TcpOpt::SackPermitted));
        let value = match spec.timestamp {
            Timestamp::None => None,
            Timestamp::New => {
                self.stamp += STAMP_TICK;
                Some(self.stamp)
            }
            Timestamp::Same => Some(self.stamp),
            Timestamp::Old => Some(self.stamp - STAMP / 2),
        };
        options.extend(value.map(|val| TcpOpt::Timestamps {
            val: Some(val),
            ecr: Some(self.heard_stamp),
        }));
        options.extend(spec.window_scale.map(TcpOpt::WindowScale));
        let (from, length) = spec.sack;
        if length > 0 {
            let left = self.una.wrapping_add(from);
            options.push(TcpOpt::Sack(vec![(left, left.wrapping_add(length))]));
        }
        if spec.unknown {
            options.push(TcpOpt::Other("unknown".to_owned()));
        }
        options
    }

    /// Removes all state that a later sequence could observe.
    fn clean_up(&mut self) -> Result<()> {
        if let Some(socket) = self.connection {
            done(self.target.set_linger(socket, Some(Duration::ZERO)))?;
        }
        for socket in self.connection.into_iter().chain(self.listener) {
            // A socket whose close fails is closed nevertheless.
            let _ = self.target.close(socket);
        }
        // A reset removes an orphan or a TIME-WAIT record.
        let reset = Spec::plain(Flags::RST);
        let reset = self.resolve(&reset);
        self.target.inject(wire::packet(&self.flow, &reset));
        self.settle();
        while self.target.take_packet().is_some() {}
        Ok(())
    }
}

fn done<T>(called: Called<T>) -> Result<T> {
    called.map_err(|failure| anyhow!("{failure:?}"))
}

/// Whether sequence number `a` is after `b`.
fn is_after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}
