//! Script files: finding and running them.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::heading;
use crate::runner::{self, Mismatch, Outcome, Settings, Tolerance, Verdict};
use crate::script::{self, ParseError, Script};
use crate::target::adapter::AdapterTarget;
use crate::target::engine::EngineTarget;
use crate::target::linux::LinuxTarget;
use crate::target::{Called, Environment, Target};

/// A stack against which scripts can run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TargetKind {
    /// The protocol engine on virtual time.
    #[default]
    Engine,
    /// The tokio adapter on a paused clock.
    Adapter,
    /// The Linux kernel's own sockets, in a network namespace, in real time.
    Linux,
}

impl TargetKind {
    /// Whether its clock is the machine's.
    #[must_use]
    pub fn is_real(self) -> bool {
        self == Self::Linux
    }

    /// The default number of scripts that run at the same time: in real time they mostly wait.
    #[must_use]
    pub fn jobs(self) -> usize {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        if self.is_real() { 32 * cores } else { cores }
    }

    /// Creates a new stack.
    ///
    /// # Errors
    /// If the stack does not support a setting.
    pub fn build(self, environment: &Environment) -> Called<Box<dyn Target>> {
        match self {
            Self::Engine => Ok(Box::new(EngineTarget::new(environment)?)),
            Self::Adapter => Ok(Box::new(AdapterTarget::new(environment)?)),
            Self::Linux => Ok(Box::new(LinuxTarget::new(environment)?)),
        }
    }
}

/// The additional tolerance for a real machine: its timers have a resolution of a few milliseconds,
/// and it may be busy.
const REAL_TIME_SLACK: Duration = Duration::from_millis(25);

/// The number of attempts at a script on a real machine before it counts as failed.
const REAL_TIME_TRIES: usize = 5;

/// The default limit on the duration of a script in real time.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The scripts at `paths`: files in the given order, whether or not they exist, and for folders all
/// `.pkt` files below, sorted. Links to folders are not followed, because they may form cycles.
///
/// # Errors
/// If a folder cannot be read or contains no scripts.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        let before = found.len();
        if path.is_dir() {
            find_below(path, &mut found)?;
            anyhow::ensure!(found.len() > before, "no scripts below {}", path.display());
        } else {
            found.push(path.clone());
        }
    }
    Ok(found)
}

fn find_below(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let context = || format!("cannot read {}", folder.display());
    let mut entries = fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.path()))
                .collect::<Result<Vec<_>, _>>()
        })
        .with_context(context)?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() && !entry.is_symlink() {
            find_below(&entry, found)?;
        } else if entry
            .extension()
            .is_some_and(|extension| extension == "pkt")
        {
            found.push(entry);
        }
    }
    Ok(())
}

/// The settings of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    /// The stack.
    pub target: TargetKind,
    /// The criteria of the comparison.
    pub settings: Settings,
    /// In real time, scripts that take longer than this are skipped; by default [`PATIENCE`].
    pub patience: Option<Duration>,
}

/// Runs many scripts, `jobs` at the same time. `done` is called for each when it has ended,
/// `report` receives the outcomes in order.
///
/// # Errors
/// The first error of `report`; scripts that have not started by then are not run.
pub fn run_files(
    paths: &[PathBuf],
    plan: &Plan,
    jobs: usize,
    done: impl FnMut(),
    report: impl FnMut(&Path, Outcome) -> Result<()>,
) -> Result<()> {
    run_all(paths, jobs, |path| run_file(path, plan), done, report)
}

fn run_all(
    paths: &[PathBuf],
    jobs: usize,
    run: impl Fn(&Path) -> Outcome + Sync,
    mut done: impl FnMut(),
    mut report: impl FnMut(&Path, Outcome) -> Result<()>,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let (ended, outcomes) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, paths.len().max(1)) {
            let (next, run, ended) = (&next, &run, ended.clone());
            scope.spawn(move || {
                while let Some((index, path)) = take(next, paths) {
                    if ended.send((index, unless_it_panics(|| run(path)))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(ended);
        let mut early = BTreeMap::new();
        let mut reported = 0;
        for (index, outcome) in outcomes {
            done();
            early.insert(index, outcome);
            while let Some(outcome) = early.remove(&reported) {
                report(&paths[reported], outcome)?;
                reported += 1;
            }
        }
        Ok(())
    })
}

fn take<'a>(next: &AtomicUsize, paths: &'a [PathBuf]) -> Option<(usize, &'a Path)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    Some((index, paths.get(index)?))
}

/// Runs the script in a file. A file that cannot be read or parsed counts as a failure.
#[must_use]
pub fn run_file(path: &Path, plan: &Plan) -> Outcome {
    match fs::read_to_string(path) {
        Ok(source) => run_source(&source, plan),
        Err(error) => failed(Mismatch {
            line: 1,
            column: None,
            what: "the file cannot be read".to_owned(),
            expected: "text".to_owned(),
            actual: error.to_string(),
        }),
    }
}

/// Runs a script. A panic in the stack or the runner counts as a failure.
#[must_use]
pub fn run_source(source: &str, plan: &Plan) -> Outcome {
    unless_it_panics(|| play(source, plan))
}

/// Turns a panic into a failure of the current script.
fn unless_it_panics(run: impl FnOnce() -> Outcome) -> Outcome {
    panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        failed(Mismatch {
            line: 1,
            column: None,
            what: "a panic".to_owned(),
            expected: "none".to_owned(),
            actual: text.unwrap_or("one without words").to_owned(),
        })
    })
}

fn play(source: &str, plan: &Plan) -> Outcome {
    let script = match script::parse(source) {
        Ok(script) => script,
        Err(error) => return not_a_script(error),
    };
    if plan.target.is_real() {
        return run_in_real_time(source, &script, plan);
    }
    runner::run(&script, plan.settings, |environment| {
        plan.target.build(environment)
    })
}

fn run_in_real_time(source: &str, script: &Script, plan: &Plan) -> Outcome {
    let length = script.duration();
    if length > plan.patience.unwrap_or(PATIENCE) {
        let reason = format!("it takes {} s of real time", length.as_secs());
        return Outcome::skipped(reason);
    }
    let settings = Settings {
        // Long timers of the kernel have a low resolution.
        tolerance: Tolerance::Auto,
        slack: plan.settings.slack + REAL_TIME_SLACK,
        ..plan.settings
    };
    let run = || {
        let build = |environment: &Environment| plan.target.build(environment);
        let mut outcome = runner::run(script, settings, build);
        outcome.verdict = heading::in_its_light(source, outcome.verdict);
        outcome
    };
    // The machine may have been late, which does not happen every time.
    let again = |outcome: Outcome| match outcome.verdict {
        Verdict::Failed(_) => run(),
        _ => outcome,
    };
    (1..REAL_TIME_TRIES).fold(run(), |outcome, _| again(outcome))
}

fn not_a_script(error: ParseError) -> Outcome {
    failed(Mismatch {
        line: error.line,
        column: Some(error.column),
        what: format!("not a script (column {})", error.column),
        expected: error.message.trim_start_matches("expected ").to_owned(),
        actual: error.text,
    })
}

fn failed(mismatch: Mismatch) -> Outcome {
    Outcome {
        verdict: Verdict::Failed(mismatch),
        trace: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRONG: &str = "\
0  socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 30000 <mss 1000>
+0 > S. 0:0(0) ack 1 <mss 1459>
";

    #[test]
    fn a_failing_packet_is_in_the_trace() {
        let outcome = run_source(WRONG, &Plan::default());
        assert!(matches!(outcome.verdict, Verdict::Failed(_)));
        let last = outcome.trace.last().map(|line| line.text.as_str());
        assert_eq!(last, Some("S. 0:0(0) ack 1 win 64240 <mss 1460>"));
    }

    #[test]
    fn a_late_packet_is_shown_in_the_numbers_of_the_script() {
        let late = WRONG.replace("+0 > S. 0:0(0) ack 1 <mss 1459>", "+.5 > S. 0:0(0) ack 1");
        let outcome = run_source(&late, &Plan::default());
        let Verdict::Failed(mismatch) = outcome.verdict else {
            panic!("{:?}", outcome.verdict);
        };
        assert_eq!(mismatch.what, "too early");
        assert!(
            mismatch.actual.contains("S. 0:0(0) ack 1"),
            "{}",
            mismatch.actual
        );
    }

    #[test]
    fn a_panic_fails_only_its_own_script() {
        let paths = ["first", "second", "third"].map(PathBuf::from);
        let run = |path: &Path| {
            let number = path.as_os_str().len();
            assert_ne!(
                path,
                Path::new("second"),
                "this script has {number} letters"
            );
            Outcome::skipped("it is not there".to_owned())
        };
        for jobs in [1, 3] {
            let mut seen = Vec::new();
            let mut ended = 0;
            let see = |path: &Path, outcome: Outcome| {
                let words = match outcome.verdict {
                    Verdict::Failed(mismatch) => mismatch.actual,
                    other => format!("{other:?}"),
                };
                seen.push((path.to_owned(), words));
                Ok(())
            };
            run_all(&paths, jobs, run, || ended += 1, see).expect("all are seen");
            assert_eq!(ended, paths.len());
            let order: Vec<_> = seen.iter().map(|(path, _)| path.clone()).collect();
            assert_eq!(order, paths);
            assert!(seen[1].1.contains("this script has 6 letters"), "{seen:?}");
            assert!(seen[2].1.contains("not there"), "{seen:?}");
        }
    }

    #[test]
    fn no_script_starts_after_a_failed_report() {
        let paths: Vec<_> = (0..100).map(|n| PathBuf::from(n.to_string())).collect();
        let played = AtomicUsize::new(0);
        let run = |_: &Path| {
            played.fetch_add(1, Ordering::Relaxed);
            Outcome::skipped(String::new())
        };
        let mut reports = 0;
        let gone = |_: &Path, _| {
            reports += 1;
            anyhow::bail!("the reader has gone")
        };
        run_all(&paths, 1, run, || {}, gone).expect_err("the report failed");
        assert_eq!(reports, 1);
    }

    #[test]
    fn a_script_without_an_event_has_failed() {
        for source in [
            "",
            "\n\n",
            "// nothing but this\n",
            "--tolerance_usecs=1000\n",
        ] {
            let outcome = run_source(source, &Plan::default());
            let Verdict::Failed(mismatch) = outcome.verdict else {
                panic!("{source:?}: {:?}", outcome.verdict);
            };
            assert_eq!(mismatch.expected, "at least one event", "{source:?}");
        }
    }

    #[test]
    fn a_syntax_error_has_a_column() {
        let outcome = run_source("0 what?", &Plan::default());
        let Verdict::Failed(mismatch) = outcome.verdict else {
            panic!("{:?}", outcome.verdict);
        };
        assert_eq!((mismatch.line, mismatch.column), (1, Some(7)));
    }
}
