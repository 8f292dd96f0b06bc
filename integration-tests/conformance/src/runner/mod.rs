//! Runs a script against a stack.
//!
//! - this file: the runner, and time;
//! - `events`: each kind of event; `expect`: packets that the stack has to send;
//! - `calls`, `operation`, `options`, `arguments`: the socket interface; `assert`: `TCP_INFO`;
//!   `environment`: sysctls and options;
//! - `mapping`: the numbers of the script and of the wire; `inject`, `observe`: packets in and out;
//! - `matching`: the comparison of segments; `outcome`: the result of a script.
//!
//! Before each event the stack runs until the event's time, timer by timer. A packet that no line
//! claims before the next packet from the peer, the next call, or the end of the script, is an
//! error.

mod arguments;
mod assert;
mod calls;
mod environment;
mod events;
mod expect;
mod inject;
mod mapping;
mod matching;
mod observe;
mod operation;
mod options;
mod outcome;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use self::calls::{Attempt, Begun, Descriptor};
use self::environment::Setup;
use self::expect::OwedAck;
use self::mapping::Flow;
pub use self::matching::{Profile, Tolerance};
use self::observe::Observed;
use self::operation::Fd;
use self::outcome::Stop;
pub use self::outcome::{Mismatch, Outcome, TraceLine, Verdict};
use crate::script::Script;
use crate::target::{Called, Environment, Failure, Target, Time};

/// The time for which the stack runs after the last event.
const AFTERMATH: Duration = Duration::from_secs(1);

/// The criteria of a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// How strictly segments are compared.
    pub profile: Profile,
    /// How strictly times are compared.
    pub tolerance: Tolerance,
    /// An additional tolerance for the clocks of a real machine.
    pub slack: Duration,
}

impl Settings {
    /// Whether time passes by itself, so that a delay persists.
    fn real_time(&self) -> bool {
        !self.slack.is_zero()
    }
}

/// Runs `script` on a new stack, which `build` creates for its environment.
pub fn run(
    script: &Script,
    settings: Settings,
    build: impl FnOnce(&Environment) -> Called<Box<dyn Target>>,
) -> Outcome {
    let (verdict, trace) = match prepare(script, build) {
        Ok((setup, mut target)) => {
            let mut runner = Runner::new(target.as_mut(), setup, settings);
            let verdict = match runner.play(script) {
                Ok(()) => Verdict::Passed,
                Err(stop) => stop.into(),
            };
            (verdict, runner.into_trace())
        }
        Err(stop) => (stop.into(), Vec::new()),
    };
    Outcome { verdict, trace }
}

fn prepare(
    script: &Script,
    build: impl FnOnce(&Environment) -> Called<Box<dyn Target>>,
) -> Result<(Setup, Box<dyn Target>), Stop> {
    let setup = Setup::of(script)?;
    let target = build(&setup.environment).map_err(|failure| match failure {
        Failure::Unsupported(reason) => Stop::skipped(reason),
        other => Stop::skipped(format!("the stack could not be created: {other}")),
    })?;
    Ok((setup, target))
}

impl From<Stop> for Verdict {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Failed(mismatch) => Self::Failed(mismatch),
            Stop::Skipped(reason) => Self::Skipped(reason),
        }
    }
}

/// A script in progress.
struct Runner<'a> {
    target: &'a mut dyn Target,
    setup: Setup,
    settings: Settings,
    /// The stack's clock.
    now: Time,
    /// The origin of relative times: the previous event.
    base: Time,
    flows: Vec<Flow>,
    /// The flow of packets for which the script names none.
    current: Option<usize>,
    /// The address that the script has bound last.
    bound: Option<SocketAddr>,
    descriptors: BTreeMap<Fd, Descriptor>,
    /// The socket to which assertions refer: the one opened last.
    subject: Option<Fd>,
    /// Packets sent by the stack that no line has claimed.
    unclaimed: VecDeque<Observed>,
    /// Calls that have not returned.
    waiting: Vec<Waiting>,
    /// Pure acknowledgments that may come later.
    owed: Vec<OwedAck>,
    trace: Vec<TraceLine>,
}

/// A blocked call.
#[derive(Clone, Debug)]
struct Waiting {
    begun: Begun,
    line: usize,
    source: String,
    until: Time,
    tolerance: Duration,
}

impl<'a> Runner<'a> {
    fn new(target: &'a mut dyn Target, setup: Setup, settings: Settings) -> Self {
        Self {
            target,
            setup,
            settings,
            now: Time::ZERO,
            base: Time::ZERO,
            flows: Vec::new(),
            current: None,
            bound: None,
            descriptors: BTreeMap::new(),
            subject: None,
            unclaimed: VecDeque::new(),
            waiting: Vec::new(),
            owed: Vec::new(),
            trace: Vec::new(),
        }
    }

    fn play(&mut self, script: &Script) -> Result<(), Stop> {
        for event in &script.events {
            self.event(event)?;
        }
        let line = script.events.last().map_or(1, |event| event.line);
        let waiting = self.waiting.iter().map(|w| w.until + w.tolerance);
        let owed = self.owed.iter().map(|owed| owed.deadline);
        let end = waiting.chain(owed).max().unwrap_or(self.now);
        self.run_to(end.max(self.now))?;
        self.silence(line, "the end of the script")?;
        self.run_to(self.now + AFTERMATH)?;
        self.aftermath(line)
    }

    /// Lets the stack run until `time`.
    fn run_to(&mut self, time: Time) -> Result<(), Stop> {
        while self.now < time {
            self.step(time)?;
        }
        if let Some(late) = self
            .waiting
            .iter()
            .find(|w| w.until + w.tolerance < self.now)
        {
            return Err(Stop::failed(
                late.line,
                "the call still blocks",
                format!("{} by {}", late.source, clock(late.until)),
                format!("no return by {}", clock(self.now)),
            ));
        }
        self.check_owed()
    }

    /// Lets the stack run until an event happens, but not beyond `limit`.
    fn step(&mut self, limit: Time) -> Result<(), Stop> {
        let ends = self.waiting.iter().map(|waiting| waiting.until);
        let next = ends.filter(|end| *end > self.now).min();
        let limit = next.map_or(limit, |end| end.min(limit));
        self.now = self.target.advance(limit);
        self.settle()
    }

    /// To be called after every event: collects packets and retries waiting calls.
    fn settle(&mut self) -> Result<(), Stop> {
        self.collect();
        let mut index = 0;
        while let Some(waiting) = self.waiting.get(index) {
            let mut waiting = waiting.clone();
            match self.attempt(&mut waiting.begun)? {
                Attempt::Blocks => {
                    self.waiting[index] = waiting;
                    index += 1;
                }
                Attempt::Done(reply) => {
                    self.waiting.remove(index);
                    let off = self.now.abs_diff(waiting.until);
                    if off > waiting.tolerance {
                        return Err(Stop::failed(
                            waiting.line,
                            "the call returned at another time",
                            format!("{} at {}", waiting.source, clock(waiting.until)),
                            format!("return at {}", clock(self.now)),
                        ));
                    }
                    self.judge(waiting.line, &waiting.begun.call, &reply)?;
                }
            }
            self.collect();
        }
        Ok(())
    }

    fn collect(&mut self) {
        while let Some((at, bytes)) = self.target.take_packet() {
            let mut observed = Observed::read(at, bytes, &self.flows);
            self.note(&mut observed);
            self.unclaimed.push_back(observed);
        }
    }

    fn current_flow(&self) -> Option<&Flow> {
        self.flows.get(self.current?)
    }

    /// Makes the flow between two addresses the current one.
    fn begin_flow(&mut self, local: SocketAddr, remote: SocketAddr) {
        let known = self
            .flows
            .iter()
            .position(|flow| flow.local == local && flow.remote == remote);
        let index = known.unwrap_or_else(|| {
            self.flows.push(Flow::new(local, remote));
            self.flows.len() - 1
        });
        self.current = Some(index);
    }

    /// The flow of a packet: the one with the peer's port in the line, or the current one. An
    /// unknown peer begins a new flow.
    fn flow_for(&mut self, port: Option<u16>) -> usize {
        let known = match port {
            Some(port) => self.flows.iter().rposition(|f| f.remote.port() == port),
            None => self.current,
        };
        known.unwrap_or_else(|| {
            let environment = &self.setup.environment;
            let port = port.unwrap_or(Environment::PEER_PORT);
            let local = self.bound.unwrap_or_else(|| environment.bind_addr());
            let remote = SocketAddr::new(environment.peer_ip(), port);
            self.flows.push(Flow::new(local, remote));
            let index = self.flows.len() - 1;
            self.current.get_or_insert(index);
            index
        })
    }

    fn into_trace(mut self) -> Vec<TraceLine> {
        for observed in std::mem::take(&mut self.unclaimed) {
            self.trace_observed(&observed);
        }
        self.trace
    }

    fn trace_observed(&mut self, observed: &Observed) {
        self.trace.push(TraceLine {
            at: observed.at,
            inbound: false,
            text: observed.describe(&self.flows),
            bytes: observed.bytes.clone(),
        });
    }
}

/// The format of times in reports.
fn clock(time: Time) -> String {
    format!("{:.6} s", time.as_secs_f64())
}
