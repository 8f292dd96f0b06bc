//! Random sequences against the engine and the Linux kernel: the results agree, or
//! docs/deviations.md explains the difference.

use std::env;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};
use millstream_conformance::differential::{self, rules::RULES, script};
use millstream_testbed::netns;
use skipped_tests::Skipped;

/// A short run; the command accepts any number.
const SEQUENCES: u64 = 1000;
const SEED: u64 = 1;
const JOBS: usize = 2;
/// The number of differences after which the test stops.
const LIMIT: usize = 5;

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let mut trials = vec![Trial::test(
        "every_rule_is_documented",
        every_rule_is_documented,
    )];
    match netns::enter() {
        Ok(()) => trials.push(Trial::test("nothing_unexplained", nothing_unexplained)),
        Err(reason) => {
            anyhow::ensure!(
                env::var_os("CI").is_none(),
                "no network namespace, and CI must not skip: {reason}"
            );
            if !arguments.list {
                skipped_tests::note(
                    Path::new(env!("CARGO_TARGET_TMPDIR")),
                    &Skipped {
                        test: "nothing_unexplained".to_owned(),
                        why: reason.to_string(),
                        packages: Vec::new(),
                    },
                );
            }
        }
    }
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

fn nothing_unexplained() -> Result<(), Failed> {
    let report = differential::run(SEED, SEQUENCES, JOBS, LIMIT, |_| {})?;
    let scripts: Vec<_> = report.differences.iter().map(script::text).collect();
    if !scripts.is_empty() {
        return Err(scripts.join("\n").into());
    }
    if report.played != SEQUENCES {
        return Err(format!("only {} sequences were played", report.played).into());
    }
    Ok(())
}

fn every_rule_is_documented() -> Result<(), Failed> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/deviations.md");
    let page = fs::read_to_string(page)?;
    let missing: Vec<_> = RULES
        .iter()
        .map(|rule| rule.name)
        .filter(|name| !page.contains(&format!("| {name} |")))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "docs/deviations.md does not explain: {}",
            missing.join("; ")
        )
        .into())
    }
}
