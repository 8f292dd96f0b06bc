//! Random sequences against the engine and against Linux: the results must be the same, or the
//! difference must be known and explained.
//!
//! | module | contents |
//! |---|---|
//! | [`sequence`] | a sequence: calls, and segments relative to the stack's own segments |
//! | [`generate`] | random sequences that are worth playing |
//! | [`play`] | one sequence against one stack |
//! | `wire` | conversion between segments and packets |
//! | `comparison` | whether two results agree, and the fields that are not compared |
//! | [`rules`] | the known differences and their reasons |
//! | `evidence` | the facts that the rules examine |
//! | [`shrink`] | the shortest sequence that still shows a difference |
//! | [`script`] | a sequence as a wire script |

mod comparison;
mod evidence;
pub mod generate;
pub mod play;
pub mod rules;
pub mod script;
pub mod sequence;
pub mod shrink;
mod wire;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};

use self::play::{Seen, play};
use self::rules::Rule;
use self::sequence::{Sequence, Spec, Step};
use crate::script::Segment;
use crate::target::Environment;
use crate::target::engine::EngineTarget;
use crate::target::linux::LinuxTarget;

/// Sequences that one kernel plays before a new one replaces it.
const PER_KERNEL: u64 = 2000;

/// The interval between steps, virtual or real: a whole sequence takes less than the shortest
/// retransmission timeout, and the segments of one step are overdue by RACK's window, a quarter of
/// a step, when those of the next step arrive.
const PACE: Duration = Duration::from_millis(5);
const REAL_PACE: Duration = Duration::from_micros(60);

/// The results of both stacks for one sequence, if they differ.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The seed of the sequence.
    pub seed: u64,
    /// The sequence, shortened as far as possible.
    pub sequence: Sequence,
    /// The first difference.
    pub how: Divergence,
}

/// The first point at which two stacks differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Divergence {
    /// The step, counted from one; zero is the opening, and the number of steps plus one is the
    /// end.
    pub step: usize,
    /// The engine's results up to that step.
    pub engine: Vec<Seen>,
    /// Linux's results up to that step.
    pub linux: Vec<Seen>,
    /// The states at the end.
    pub states: (&'static str, &'static str),
}

impl Divergence {
    /// The results that differ; `None` if only the final states do.
    #[must_use]
    pub fn both(&self) -> Option<(&Seen, &Seen)> {
        self.engine.get(self.step).zip(self.linux.get(self.step))
    }

    /// The description of the segment, if the stacks differ after one.
    fn spec<'a>(&self, sequence: &'a Sequence) -> Option<&'a Spec> {
        match sequence.steps.get(self.step.checked_sub(1)?)? {
            Step::Segment(spec) => Some(spec),
            _ => None,
        }
    }

    /// Whether the stacks differ after a segment, and `are` holds for that segment and both
    /// results.
    fn segment(&self, are: impl Fn(&Segment, &Seen, &Seen) -> bool) -> bool {
        self.both().is_some_and(|(ours, theirs)| {
            let segment = ours.segment.as_ref();
            segment.is_some_and(|segment| are(segment, ours, theirs))
        })
    }
}

/// The results of many sequences.
#[derive(Debug, Default)]
pub struct Report {
    /// The number of sequences played.
    pub played: u64,
    /// The number of occurrences of each known difference.
    pub known: BTreeMap<&'static str, u64>,
    /// The unexplained differences.
    pub differences: Vec<Difference>,
}

/// The stack's configuration: no limits on replies and no delay of any, so that each is seen at
/// once, and no behaviour that depends on the clock.
#[must_use]
pub fn environment() -> Environment {
    Environment {
        challenge_interval: Duration::ZERO,
        quick_acks: true,
        ecn: 2,
        congestion: "reno".to_owned(),
        tail_loss_probe: false,
        frto: false,
        ..Environment::default()
    }
}

/// Plays `count` sequences, with seeds from `seed` upwards, `jobs` at a time; `progress` is called
/// with the number played so far. Stops after `limit` differences.
///
/// # Errors
/// If no Linux target is available, or if a stack sends a packet that cannot be parsed.
pub fn run(
    seed: u64,
    count: u64,
    jobs: usize,
    limit: usize,
    progress: impl Fn(u64) + Sync,
) -> Result<Report> {
    let next = AtomicU64::new(0);
    let report = Mutex::new(Report::default());
    let work = || -> Result<()> {
        loop {
            let first = next.fetch_add(PER_KERNEL, Ordering::Relaxed);
            if first >= count {
                return Ok(());
            }
            let mut arena = Arena::new()?;
            for seed in (first..count.min(first + PER_KERNEL)).map(|n| seed.wrapping_add(n)) {
                let outcome = arena.judge(seed)?;
                let mut report = report.lock().map_err(|_| anyhow!("a job panicked"))?;
                if report.differences.len() >= limit {
                    return Ok(());
                }
                report.played += 1;
                progress(report.played);
                match outcome {
                    Outcome::Same => {}
                    Outcome::Known(rule) => *report.known.entry(rule.name).or_default() += 1,
                    Outcome::Different(difference) => report.differences.push(*difference),
                }
            }
        }
    };
    thread::scope(|scope| {
        let jobs: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        jobs.into_iter()
            .try_for_each(|job| job.join().map_err(|_| anyhow!("a job panicked"))?)
    })?;
    report.into_inner().map_err(|_| anyhow!("a job panicked"))
}

enum Outcome {
    Same,
    Known(&'static Rule),
    Different(Box<Difference>),
}

/// A kernel, and the ports not yet used in it.
struct Arena {
    linux: LinuxTarget,
    environment: Environment,
    port: u16,
}

impl Arena {
    fn new() -> Result<Self> {
        let environment = environment();
        let linux = LinuxTarget::new(&environment).map_err(|failure| anyhow!("{failure:?}"))?;
        Ok(Self {
            linux,
            environment,
            port: 1024,
        })
    }

    fn judge(&mut self, seed: u64) -> Result<Outcome> {
        let sequence = generate::sequence(seed);
        let Some(mut how) = self.compare(&sequence)? else {
            return Ok(Outcome::Same);
        };
        if let Some(rule) = rules::explains(&sequence, &how) {
            return Ok(Outcome::Known(rule));
        }
        // On a busy machine Linux may retransmit by a timer; a second difference in a row is taken
        // as real.
        let Some(again) = self.unexplained(&sequence)? else {
            return Ok(Outcome::Same);
        };
        how = again;
        let mut sequence = sequence;
        for _ in 0..shrink::ROUNDS {
            let mut smaller = None;
            for candidate in shrink::candidates(&sequence) {
                if let Some(how) = self.unexplained(&candidate)? {
                    smaller = Some((candidate, how));
                    break;
                }
            }
            let Some((found, shows)) = smaller else {
                break;
            };
            (sequence, how) = (found, shows);
        }
        Ok(Outcome::Different(Box::new(Difference {
            seed,
            sequence,
            how,
        })))
    }

    /// The difference between the stacks for `sequence`, unless it is explained.
    fn unexplained(&mut self, sequence: &Sequence) -> Result<Option<Divergence>> {
        let how = self.compare(sequence)?;
        Ok(how.filter(|how| rules::explains(sequence, how).is_none()))
    }

    fn compare(&mut self, sequence: &Sequence) -> Result<Option<Divergence>> {
        self.port = if self.port < 60_000 {
            self.port + 1
        } else {
            1024
        };
        let stack = SocketAddr::new(self.environment.local_ip(), self.port);
        let peer = SocketAddr::new(self.environment.peer_ip(), self.port);
        let mut engine = EngineTarget::new(&self.environment)
            .map_err(|failure| anyhow!("the engine: {failure:?}"))?
            .without_timers();
        let ends = (stack, peer);
        let (engine, engine_state) = play(&mut engine, sequence, ends, PACE)?;
        let (linux, linux_state) = play(&mut self.linux, sequence, ends, REAL_PACE)?;
        let same = |(ours, theirs): (&Seen, &Seen)| comparison::alike(sequence, ours, theirs);
        let step = engine
            .iter()
            .zip(&linux)
            .position(|pair| !same(pair))
            .or_else(|| (engine_state != linux_state).then_some(engine.len()));
        Ok(step.map(|step| Divergence {
            step,
            engine: engine.into_iter().take(step + 1).collect(),
            linux: linux.into_iter().take(step + 1).collect(),
            states: (engine_state, linux_state),
        }))
    }
}
