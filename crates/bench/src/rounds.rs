//! Rounds: every side does every work in turn, round after round, because the speed of a shared
//! machine changes from one minute to the next.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use millstream_console::Progress;

use crate::lab::{Lab, Measured};
use crate::results::{Metric, Results};
use crate::setup::Setup;
use crate::stats::jain;
use crate::work::{Report, Work};

/// Sides that do the same work.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// What heads the table.
    pub(crate) title: String,
    /// The work.
    pub(crate) work: Work,
    /// Who does it; the first is the one that the others are compared with.
    pub(crate) setups: Vec<Setup>,
}

/// A plan of cases.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// What is compared.
    pub(crate) cases: Vec<Case>,
    /// How often.
    pub(crate) rounds: usize,
    /// Seconds of one measurement.
    pub(crate) seconds: f64,
}

impl Plan {
    /// Carries it out. A side that fails is told of, and has no sample for that round. It is ended, because it may go on
    /// with what it could not do, on the processor of those that come after it; but the first side may try again.
    ///
    /// # Errors
    /// All failed.
    pub(crate) fn run(&self, lab: &mut Lab, results: &mut Results) -> Result<()> {
        let needed: BTreeSet<_> = self.cases.iter().flat_map(|case| &case.setups).collect();
        for setup in needed {
            if let Err(error) = lab.start(*setup) {
                eprintln!("{error:#}");
            }
        }
        let setups = self.cases.iter().flat_map(|case| &case.setups);
        let steps = setups.filter(|setup| lab.has(**setup)).count();
        let progress = progress(steps * self.rounds);
        let mut measured = 0;
        for round in 1..=self.rounds {
            for case in &self.cases {
                for (place, setup) in case.setups.iter().enumerate() {
                    if !lab.has(*setup) {
                        continue;
                    }
                    let side = setup.label();
                    progress.set_message(format!("{}: {side}", case.title));
                    match lab.measure(*setup, case.work, self.seconds) {
                        Ok(sample) => {
                            measured += 1;
                            record(results, &case.title, &side, sample);
                        }
                        Err(error) => {
                            progress.suspend(|| {
                                eprintln!("{}: {side}, round {round}: {error:#}", case.title);
                            });
                            if place > 0 {
                                lab.stop(*setup);
                            }
                        }
                    }
                    progress.inc(1);
                }
            }
        }
        progress.finish_and_clear();
        ensure!(measured > 0, "no measurement succeeded");
        Ok(())
    }
}

/// Megabits per second of each flow.
fn megabits(flows: &[u64], seconds: f64) -> Vec<f64> {
    let rate = |&bytes: &u64| bytes as f64 * 8e-6 / seconds;
    flows.iter().map(rate).collect()
}

/// Of so many measurements.
pub(crate) fn progress(steps: usize) -> Progress {
    Progress::of_steps(steps as u64)
}

/// Adds what one measurement told.
pub(crate) fn record(results: &mut Results, case: &str, side: &str, measured: Measured) {
    let mut add = |metric, value| results.add(case, side, metric, value);
    match measured.report {
        Report::Bulk {
            bytes,
            seconds,
            flows,
        } => {
            let bytes = bytes as f64;
            add(Metric::Gbits, bytes * 8.0 / seconds / 1e9);
            if let Some(time) = measured.processor {
                add(Metric::CpuPerByte, time.as_nanos() as f64 / bytes);
            }
            if flows.iter().any(|way| way.len() > 1) {
                let rates: Vec<Vec<_>> = flows.iter().map(|way| megabits(way, seconds)).collect();
                let least = rates
                    .iter()
                    .flatten()
                    .copied()
                    .fold(f64::INFINITY, f64::min);
                add(Metric::Least, least);
                let fairness = rates.iter().map(|way| jain(way)).fold(1.0, f64::min);
                add(Metric::Jain, fairness);
                results.set_flows(case, side, rates.concat());
            }
            if let Some(dropped) = measured.dropped {
                results.add(case, side, Metric::Dropped, dropped as f64);
            }
        }
        Report::PingPong(times) => {
            for (metric, time) in [Metric::P50, Metric::P99, Metric::P999]
                .into_iter()
                .zip(times)
            {
                add(metric, time);
            }
        }
        Report::Connect(rate) => add(Metric::PerSecond, rate),
    }
}
