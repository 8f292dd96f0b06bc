//! Every script against the engine, and scripts that are wrong on purpose, which must not pass.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use libtest_mimic::{Arguments, Failed, Trial};
use millstream_conformance::report;
use millstream_conformance::runner::{Profile, Verdict};
use millstream_conformance::suite::{self, Plan};

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut trials = Vec::new();
    for path in suite::find(&[root.join("scripts")])? {
        for profile in [Profile::Strict, Profile::Rfc, Profile::Bsd] {
            let name = format!("{}::{profile:?}", name(root, &path)?);
            let path = path.clone();
            trials.push(Trial::test(name, move || passes(&path, profile)));
        }
    }
    for path in suite::find(&[root.join("tests/must-fail")])? {
        let name = name(root, &path)?;
        trials.push(Trial::test(name, move || fails_as_it_says(&path)));
    }
    for (folder, profile) in [("rfc", Profile::Rfc), ("bsd", Profile::Bsd)] {
        for path in suite::find(&[root.join("tests/profiles").join(folder)])? {
            let name = name(root, &path)?;
            let trial = move || needs_profile(&path, profile);
            trials.push(Trial::test(name, trial));
        }
    }
    for path in suite::find(&[root.join("tests/must-skip")])? {
        let name = name(root, &path)?;
        trials.push(Trial::test(name, move || is_skipped(&path)));
    }
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

fn name(root: &Path, path: &Path) -> Result<String> {
    let relative = path.strip_prefix(root)?.with_extension("");
    let relative = relative.to_str().context("a path that is not UTF-8")?;
    Ok(relative.replace('/', "::"))
}

fn passes(path: &Path, profile: Profile) -> Result<(), Failed> {
    let mut plan = Plan::default();
    plan.settings.profile = profile;
    let outcome = suite::run_file(path, &plan);
    match outcome.verdict {
        Verdict::Passed => Ok(()),
        _ => Err(report::text(path, &outcome, true).into()),
    }
}

/// A script that only a profile laxer than Linux's lets pass.
fn needs_profile(path: &Path, profile: Profile) -> Result<(), Failed> {
    let strict = suite::run_file(path, &Plan::default());
    if strict.verdict == Verdict::Passed {
        return Err("it passes as it is".into());
    }
    passes(path, profile)
}

/// The first line of a wrong script, `// fails: LINE what`, says where and how the runner finds out.
fn fails_as_it_says(path: &Path) -> Result<(), Failed> {
    let source = std::fs::read_to_string(path)?;
    let first = source.lines().next().unwrap_or_default();
    let (line, what) = first
        .strip_prefix("// fails: ")
        .and_then(|rest| rest.split_once(' '))
        .ok_or("no line that says how it fails")?;
    let line: usize = line.parse()?;
    let outcome = suite::run_source(&source, &Plan::default());
    match &outcome.verdict {
        Verdict::Failed(mismatch) if mismatch.line == line && mismatch.what.contains(what) => {
            Ok(())
        }
        _ => Err(report::text(path, &outcome, true).into()),
    }
}

/// The first line, `// skipped: reason`, says why.
fn is_skipped(path: &Path) -> Result<(), Failed> {
    let source = std::fs::read_to_string(path)?;
    let first = source.lines().next().unwrap_or_default();
    let wanted = first
        .strip_prefix("// skipped: ")
        .ok_or("no line that says why it is skipped")?;
    let outcome = suite::run_source(&source, &Plan::default());
    match &outcome.verdict {
        Verdict::Skipped(reason) if reason.contains(wanted) => Ok(()),
        _ => Err(report::text(path, &outcome, true).into()),
    }
}
