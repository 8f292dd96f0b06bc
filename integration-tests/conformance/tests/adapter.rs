//! Runs every script against the tokio adapter, which may skip only the expected ones, and wrong
//! scripts, which must fail.

mod common;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};
use millstream_conformance::runner::{Outcome, Verdict};
use millstream_conformance::suite::{self, Plan, TargetKind};

use self::common::{fails_as_it_says, report, scripts, trials};

/// Features that tokio's interface, and so the adapter's, omits. A script that requires one of them
/// is skipped.
const LEFT_OUT: [&str; 4] = [
    "the adapter has no MSG_OOB",
    "the adapter has no SHUT_RD",
    "the adapter has no close that lingers",
    "the adapter has no options of a listener that listens",
];

/// The minimum percentage of scripts that run on the adapter.
const PERCENT_RUN: usize = 90;

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let mut all = trials("scripts", passes)?;
    all.extend(trials("tests/must-fail", fails)?);
    all.push(Trial::test("most_scripts_run", most_run));
    Ok(libtest_mimic::run(&arguments, all).exit_code())
}

fn plan() -> Plan {
    Plan {
        target: TargetKind::Adapter,
        ..Plan::default()
    }
}

fn run(path: &Path) -> Outcome {
    suite::run_file(path, &plan())
}

fn passes(path: &Path) -> Result<(), Failed> {
    let outcome = run(path);
    match &outcome.verdict {
        Verdict::Passed => Ok(()),
        Verdict::Skipped(reason) if is_left_out(reason) => Ok(()),
        _ => Err(report(path, &outcome)),
    }
}

fn fails(path: &Path) -> Result<(), Failed> {
    match run(path).verdict {
        Verdict::Skipped(reason) if is_left_out(&reason) => Ok(()),
        _ => fails_as_it_says(path, &plan()),
    }
}

fn is_left_out(reason: &str) -> bool {
    LEFT_OUT.contains(&reason)
}

fn most_run() -> Result<(), Failed> {
    let scripts = scripts("scripts")?;
    let outcomes = scripts.iter().map(|path| run(path).verdict);
    let ran = outcomes.filter(|verdict| !matches!(verdict, Verdict::Skipped(_)));
    let ran = ran.count();
    let all = scripts.len();
    if ran * 100 < all * PERCENT_RUN {
        return Err(format!("only {ran} of {all} scripts are not skipped").into());
    }
    Ok(())
}
