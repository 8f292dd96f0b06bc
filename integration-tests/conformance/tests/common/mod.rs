//! Helpers for the tests of all targets.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use libtest_mimic::{Failed, Trial};
use millstream_conformance::report;
use millstream_conformance::runner::{Outcome, Verdict};
use millstream_conformance::suite::{self, Plan};

/// One test for each script in a folder of this package.
pub(crate) fn trials(
    folder: &str,
    test: impl Fn(&Path) -> Result<(), Failed> + Clone + Send + 'static,
) -> Result<Vec<Trial>> {
    let trial = |path: PathBuf| {
        let test = test.clone();
        Ok(Trial::test(name(&path)?, move || test(&path)))
    };
    scripts(folder)?.into_iter().map(trial).collect()
}

/// The scripts in a folder of this package.
pub(crate) fn scripts(folder: &str) -> Result<Vec<PathBuf>> {
    suite::find(&[root().join(folder)])
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn name(path: &Path) -> Result<String> {
    let relative = path.strip_prefix(root())?.with_extension("");
    let relative = relative.to_str().context("a path that is not UTF-8")?;
    Ok(relative.replace('/', "::"))
}

/// A script's outcome as the message of a failed test.
pub(crate) fn report(path: &Path, outcome: &Outcome) -> Failed {
    report::text(path, outcome, true).into()
}

/// The first line of a wrong script, `// fails: LINE what`, states the expected failure.
pub(crate) fn fails_as_it_says(path: &Path, plan: &Plan) -> Result<(), Failed> {
    let source = fs::read_to_string(path)?;
    let (line, what) = first_line(&source, "// fails: ")?
        .split_once(' ')
        .ok_or("no line and what is wrong there")?;
    let line: usize = line.parse()?;
    let outcome = suite::run_source(&source, plan);
    match &outcome.verdict {
        Verdict::Failed(mismatch) if mismatch.line == line && mismatch.what.contains(what) => {
            Ok(())
        }
        _ => Err(report(path, &outcome)),
    }
}

/// The text after `mark` in the first line of a script.
pub(crate) fn first_line<'a>(source: &'a str, mark: &str) -> Result<&'a str, Failed> {
    let first = source.lines().next().unwrap_or_default();
    let rest = first.strip_prefix(mark);
    rest.ok_or_else(|| format!("the first line does not begin with {mark:?}").into())
}
