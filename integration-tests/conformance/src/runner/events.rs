//! Runs each kind of event.

use std::time::Duration;

use millstream_wire::tcp::Flags;

use super::calls::{Attempt, Begun, Reply};
use super::operation::operation;
use super::outcome::{Stop, TraceLine};
use super::{Runner, Waiting, assert, clock, inject};
use crate::script::{Action, Assertion, Body, Call, Event, Packet, Time as When};
use crate::target::{Failure, Time};

/// The time limit for a packet that may arrive at any time.
const ANY_TIME: Duration = Duration::from_secs(600);

/// The time of an event, absolute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) from: Time,
    pub(super) to: Time,
    /// Whether the event is a call that begins at `from` and blocks until `to`.
    blocking: bool,
    /// Whether the time is determined by the event itself.
    pub(super) open: bool,
    pub(super) tolerance: Duration,
}

impl Runner<'_> {
    pub(super) fn event(&mut self, event: &Event) -> Result<(), Stop> {
        let span = self.span(event.time);
        if let Action::Expect(packet) = &event.action {
            return self.expect(event, packet, &span);
        }
        self.base = span.from;
        self.reach(event, &span)?;
        match &event.action {
            Action::Inject(packet) => {
                self.silence(event.line, "the next packet of the peer")?;
                self.inject(packet)
            }
            Action::Call(call) => {
                self.silence(event.line, "the next call")?;
                self.call(event, call, &span)
            }
            Action::Assert(assertions) => assertions
                .iter()
                .try_for_each(|assertion| self.assert(event.line, assertion)),
            Action::Command(_) if self.nothing_has_happened() => Ok(()),
            Action::Command(command) if command.contains("sysctl_restore") => Ok(()),
            Action::Command(command) => Err(Stop::skipped(format!(
                "the command `{command}` in the middle of a script"
            ))),
            Action::Python => Err(Stop::skipped("code beyond assertions")),
            Action::Expect(_) => Ok(()),
        }
    }

    /// Commands before the first event belong to the environment, which is already set up.
    fn nothing_has_happened(&self) -> bool {
        self.flows.is_empty() && self.descriptors.is_empty()
    }

    fn span(&self, time: When) -> Span {
        let after = |wait: Duration| self.base + wait;
        let (from, to) = match time {
            When::At(at) => (at, at),
            When::After(wait) => (after(wait), after(wait)),
            When::Between(from, to) | When::Blocking(from, to) => (from, to),
            When::AfterBetween(from, to) | When::BlockingAfter(from, to) => {
                (after(from), after(to))
            }
            When::Any => (self.now, self.now + ANY_TIME),
        };
        let tolerance = self.settings.tolerance.after(to.saturating_sub(self.base));
        Span {
            from,
            to,
            blocking: matches!(time, When::Blocking(..) | When::BlockingAfter(..)),
            open: matches!(time, When::Any | When::Between(..) | When::AfterBetween(..)),
            tolerance: tolerance.max(self.setup.tolerance.unwrap_or_default())
                + self.settings.slack,
        }
    }

    /// Runs until the time of an event that the script causes.
    fn reach(&mut self, event: &Event, span: &Span) -> Result<(), Stop> {
        // An expected packet that came late, within its tolerance, may have advanced the clock
        // further.
        if self.now > span.from + span.tolerance && !self.settings.real_time() {
            return Err(Stop::failed(
                event.line,
                "times run backwards",
                format!("an event at {}", clock(span.from)),
                format!("it is {} already", clock(self.now)),
            ));
        }
        self.run_to(span.from)
    }

    fn inject(&mut self, packet: &Packet) -> Result<(), Stop> {
        let index = self.flow_for(packet.ip.port);
        if let Body::Tcp(segment) = &packet.body
            && segment.flags.contains(Flags::SYN)
            && self.awaits_syn(index)
        {
            self.flows[index].learn_peer_syn(segment);
        }
        let flow = &self.flows[index];
        let bytes = match &packet.body {
            Body::Tcp(segment) => inject::segment(flow, packet.ip, segment)?,
            Body::Icmp(message) => inject::message(flow, packet.ip, message)?,
            Body::Udp => return Err(Stop::skipped("UDP")),
        };
        self.trace.push(TraceLine {
            at: self.now,
            inbound: true,
            text: packet.to_string(),
            bytes: bytes.to_vec(),
        });
        self.target.inject(bytes);
        self.settle()
    }

    /// Whether a SYN would begin a connection on this flow, so that its number is the initial one.
    fn awaits_syn(&self, flow: usize) -> bool {
        let flow = &self.flows[flow];
        let state = self.target.state(flow.local, flow.remote);
        matches!(state, "CLOSED" | "LISTEN" | "SYN-SENT" | "TIME-WAIT")
    }

    fn call(&mut self, event: &Event, call: &Call, span: &Span) -> Result<(), Stop> {
        let operation = operation(call, &self.setup.environment)?;
        let mut begun = Begun::new(call, operation, self.now);
        let attempt = self.attempt(&mut begun)?;
        match attempt {
            Attempt::Done(reply) => {
                if span.to > self.now + span.tolerance && span.blocking {
                    return Err(Stop::failed(
                        event.line,
                        "the call did not block",
                        format!("{} to return at {}", event.source, clock(span.to)),
                        format!("return at {}", clock(self.now)),
                    ));
                }
                self.settle()?;
                self.judge(event.line, call, &reply)
            }
            Attempt::Blocks if span.blocking => {
                self.waiting.push(Waiting {
                    begun,
                    line: event.line,
                    source: event.source.clone(),
                    until: span.to,
                    tolerance: span.tolerance,
                });
                self.settle()
            }
            Attempt::Blocks => Err(Stop::failed(
                event.line,
                "the call blocks",
                event.source.clone(),
                "no result",
            )),
        }
    }

    /// Checks a call's reply against the script.
    pub(super) fn judge(&self, line: usize, call: &Call, reply: &Reply) -> Result<(), Stop> {
        match reply.mismatch(call) {
            None => Ok(()),
            Some((expected, actual)) => Err(Stop::failed(
                line,
                format!("the result of {}", call.name),
                expected,
                actual,
            )),
        }
    }

    fn assert(&mut self, line: usize, assertion: &Assertion) -> Result<(), Stop> {
        let subject = self.subject.and_then(|fd| self.descriptors.get(&fd));
        let socket = subject.map(|descriptor| descriptor.socket);
        let mut lookup = |name: &str| match socket {
            Some(socket) => self.target.info(socket, name),
            None => Err(Failure::Unsupported("an assertion without a socket".into())),
        };
        let value = assert::evaluate(&assertion.expr, &mut lookup);
        match value {
            Ok(0) => {
                let mut values = Vec::new();
                for name in assert::fields(&assertion.expr) {
                    if let Ok(value) = lookup(name) {
                        values.push(format!("{name} = {value}"));
                    }
                }
                Err(Stop::failed(
                    line,
                    "the assertion does not hold",
                    assertion.source.clone(),
                    values.join(", "),
                ))
            }
            Ok(_) => Ok(()),
            Err(Failure::Unsupported(reason)) => Err(Stop::skipped(reason)),
            Err(other) => Err(Stop::failed(
                line,
                "the assertion has no value",
                assertion.source.clone(),
                other.to_string(),
            )),
        }
    }
}
