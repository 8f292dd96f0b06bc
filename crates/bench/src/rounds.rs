//! Rounds: in each round every side does every work once, because the speed of a shared machine
//! changes from one minute to the next.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use millstream_console::Progress;

use crate::lab::{Lab, Measured};
use crate::results::{Metric, Results};
use crate::setup::Setup;
use crate::stats::jain;
use crate::work::{Report, Work};

/// A comparison of sides that do the same work.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// The title of the table.
    pub(crate) title: String,
    /// The work.
    pub(crate) work: Work,
    /// The sides; the others are compared with the first.
    pub(crate) setups: Vec<Setup>,
}

/// A plan of cases.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// What is compared.
    pub(crate) cases: Vec<Case>,
    /// The number of rounds.
    pub(crate) rounds: usize,
    /// The duration of one measurement in seconds.
    pub(crate) seconds: f64,
}

impl Plan {
    /// Runs the plan. A side that fails is reported, and has no sample for that round. It is
    /// stopped, because it might go on with its failed work and take processor time from the
    /// following sides; the first side may try again.
    ///
    /// # Errors
    /// If every measurement fails.
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

/// The rate of each flow in megabits per second.
fn megabits(flows: &[u64], seconds: f64) -> Vec<f64> {
    let rate = |&bytes: &u64| bytes as f64 * 8e-6 / seconds;
    flows.iter().map(rate).collect()
}

/// The progress of this many measurements.
pub(crate) fn progress(steps: usize) -> Progress {
    Progress::of_steps(steps as u64)
}

/// Adds the results of one measurement.
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
