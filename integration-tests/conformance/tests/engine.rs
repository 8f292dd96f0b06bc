//! Runs every script against the engine, and deliberately wrong scripts, which must fail.

mod common;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};
use millstream_conformance::runner::{Profile, Verdict};
use millstream_conformance::suite::{self, Plan};

use self::common::{fails_as_it_says, first_line, report, trials};

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let mut all = Vec::new();
    for profile in [Profile::Strict, Profile::Rfc, Profile::Bsd] {
        let test = move |path: &Path| passes(path, profile);
        let kind = |trial: Trial| trial.with_kind(format!("{profile:?}"));
        all.extend(trials("scripts", test)?.into_iter().map(kind));
    }
    all.extend(trials("tests/must-fail", |path| {
        fails_as_it_says(path, &Plan::default())
    })?);
    for (folder, profile) in [
        ("tests/profiles/rfc", Profile::Rfc),
        ("tests/profiles/bsd", Profile::Bsd),
    ] {
        let test = move |path: &Path| needs_profile(path, profile);
        all.extend(trials(folder, test)?);
    }
    all.extend(trials("tests/must-fail-bsd", |path| {
        fails_as_it_says(path, &plan(Profile::Bsd))
    })?);
    all.extend(trials("tests/language", |path| {
        passes(path, Profile::Strict)
    })?);
    all.extend(trials("tests/must-skip", is_skipped)?);
    Ok(libtest_mimic::run(&arguments, all).exit_code())
}

fn plan(profile: Profile) -> Plan {
    let mut plan = Plan::default();
    plan.settings.profile = profile;
    plan
}

fn passes(path: &Path, profile: Profile) -> Result<(), Failed> {
    let outcome = suite::run_file(path, &plan(profile));
    match outcome.verdict {
        Verdict::Passed => Ok(()),
        _ => Err(report(path, &outcome)),
    }
}

/// Checks a script that passes only under a profile less strict than Linux's.
fn needs_profile(path: &Path, profile: Profile) -> Result<(), Failed> {
    let strict = suite::run_file(path, &Plan::default());
    if strict.verdict == Verdict::Passed {
        return Err("it passes as it is".into());
    }
    passes(path, profile)
}

/// The first line, `// skipped: reason`, states the reason.
fn is_skipped(path: &Path) -> Result<(), Failed> {
    let source = fs::read_to_string(path)?;
    let wanted = first_line(&source, "// skipped: ")?;
    let outcome = suite::run_source(&source, &Plan::default());
    match &outcome.verdict {
        Verdict::Skipped(reason) if reason.contains(wanted) => Ok(()),
        _ => Err(report(path, &outcome)),
    }
}
