//! Runs every script against the Linux kernel, in real time: the kernel behaves as the scripts say,
//! or a script explains the difference.
//!
//! Scripts mostly wait, so all of them run at the same time.

use std::env;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use libtest_mimic::{Arguments, Failed, Trial};
use millstream_conformance::report;
use millstream_conformance::runner::Verdict;
use millstream_conformance::suite::{self, Plan, TargetKind};
use millstream_testbed::netns;
use skipped_tests::Skipped;

fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    arguments
        .test_threads
        .get_or_insert(TargetKind::Linux.jobs());
    if let Err(reason) = netns::enter() {
        anyhow::ensure!(
            env::var_os("CI").is_none(),
            "no network namespace, and CI must not skip: {reason}"
        );
        if !arguments.list {
            skipped_tests::note(
                Path::new(env!("CARGO_TARGET_TMPDIR")),
                &Skipped {
                    test: "scripts against the kernel".to_owned(),
                    why: reason.to_string(),
                    packages: Vec::new(),
                },
            );
        }
        return Ok(ExitCode::SUCCESS);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut trials = Vec::new();
    for path in suite::find(&[root.join("scripts")])? {
        let name = path.strip_prefix(root)?.with_extension("");
        let name = name.to_str().context("a path that is not UTF-8")?;
        trials.push(Trial::test(name.replace('/', "::"), move || agrees(&path)));
    }
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

/// The maximum number of attempts at a script. The kernel's time is real, and a pause of some
/// milliseconds changes its behaviour; a real failure is reproducible.
const ATTEMPTS: usize = 3;

fn agrees(path: &Path) -> Result<(), Failed> {
    let plan = Plan {
        target: TargetKind::Linux,
        ..Plan::default()
    };
    let mut outcome = suite::run_file(path, &plan);
    for _ in 1..ATTEMPTS {
        if !matches!(outcome.verdict, Verdict::Failed(_)) {
            break;
        }
        outcome = suite::run_file(path, &plan);
    }
    match &outcome.verdict {
        Verdict::Passed => Ok(()),
        Verdict::Skipped(reason) if is_accounted_for(reason) => Ok(()),
        _ => Err(report::text(path, &outcome, true).into()),
    }
}

/// Accepts a difference that the script explains, and scripts that take too long. All other
/// requirements of a script must be supported.
fn is_accounted_for(reason: &str) -> bool {
    reason.starts_with("Linux differs: ") || reason.ends_with(" s of real time")
}
