//! The runner of the tests over TUN: a table of cases, each with a thread and a runtime of its own,
//! in a network namespace that the process creates before it starts a thread.
//!
//! If no namespace can be created, or a case's programs are not installed, the case is reported as
//! skipped; with `CI` in the environment it fails instead. A case that fails prints the state of
//! its sockets, the last packets of its links, and the path of a pcapng file with more of them.

use std::env;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::LocalBoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use skipped_tests::Skipped;
use tokio::runtime::{Builder, Runtime};

use crate::lab::Lab;
use crate::link::Netlink;
use crate::netns;
use crate::program::Program;

/// The time beyond a case's limit after which its thread is given up as stuck.
const GRACE: Duration = Duration::from_secs(20);

/// The number of threads of a multi-threaded runtime.
const WORKERS: usize = 4;

/// One case.
#[derive(Clone, Copy)]
pub struct Case {
    /// The name on the command line and in reports.
    pub name: &'static str,
    /// The time limit.
    pub limit: Duration,
    /// The programs that it requires.
    pub needs: &'static [Program],
    /// Creates its runtime.
    pub runtime: fn() -> io::Result<Runtime>,
    /// Runs it.
    pub run: fn(&Lab) -> LocalBoxFuture<'_, Result<()>>,
}

/// An array of cases, named after their functions and their runtime:
/// `cases![limit, needs, runtime; module::function, ..]`.
#[macro_export]
macro_rules! cases {
    ($limit:expr, $needs:expr, $runtime:ident; $($module:ident :: $function:ident),* $(,)?) => {
        [$($crate::harness::Case {
            name: concat!(stringify!($module), "::", stringify!($function), "::", stringify!($runtime)),
            limit: $limit,
            needs: $needs,
            runtime: $crate::harness::$runtime,
            run: |lab| Box::pin($module::$function(lab)),
        }),*]
    };
}

/// The `main` of a test target: runs the cases selected on the command line, one at a time, because
/// cases measure memory and descriptors of the process. The output of failed cases and the notes of
/// skipped ones are written to `directory`.
///
/// Must be called before the process starts a thread.
#[must_use]
pub fn main(cases: impl IntoIterator<Item = Case>, directory: &'static Path) -> ExitCode {
    main_with(cases, directory, 1)
}

/// Like [`main`], but runs `at_once` cases at the same time unless the command line sets another
/// number: for cases that mostly wait and measure nothing.
#[must_use]
pub fn main_with(
    cases: impl IntoIterator<Item = Case>,
    directory: &'static Path,
    at_once: usize,
) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(at_once);

    let missing = if arguments.list {
        None
    } else {
        prepare().err()
    };
    let trials = cases
        .into_iter()
        .map(|case| match lacks(&case, missing.as_deref()) {
            None => Trial::test(case.name, move || run(&case, directory)),
            Some(skipped) => cannot_run(&case, skipped, directory),
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A single-threaded runtime.
///
/// # Errors
/// The operating system's error.
pub fn one_thread() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// A multi-threaded runtime.
///
/// # Errors
/// The operating system's error.
pub fn many_threads() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
}

/// Enters the namespace and brings its loopback up. An error applies to all cases.
fn prepare() -> Result<(), String> {
    netns::enter().map_err(|error| format!("no network namespace: {error}"))?;
    let up = || -> Result<()> {
        one_thread()?.block_on(async { Netlink::open()?.link("lo").await?.up().await })
    };
    up().map_err(|error| format!("no loopback: {error:#}"))
}

/// The missing prerequisites of a case: those `missing` for all cases, or its own programs.
fn lacks(case: &Case, missing: Option<&str>) -> Option<Skipped> {
    let skipped = |why, packages| Skipped {
        test: case.name.to_owned(),
        why,
        packages,
    };
    if let Some(why) = missing {
        return Some(skipped(why.to_owned(), Vec::new()));
    }
    let programs = case.needs.iter();
    let (whys, packages): (Vec<_>, Vec<_>) = programs
        .filter_map(|program| {
            let error = program.find().err()?;
            Some((error.to_string(), program.package_if_missing()))
        })
        .unzip();
    let packages = packages.into_iter().flatten().map(str::to_owned).collect();
    (!whys.is_empty()).then(|| skipped(whys.join("; "), packages))
}

fn cannot_run(case: &Case, skipped: Skipped, directory: &Path) -> Trial {
    if env::var_os("CI").is_some() {
        return Trial::test(case.name, || Err(Failed::from(skipped.why)));
    }
    skipped_tests::note(directory, &skipped);
    Trial::test(case.name, || Ok(())).with_ignored_flag(true)
}

/// Runs a case on a thread of its own, so that a case that blocks its thread is detected, too.
fn run(case: &Case, directory: &Path) -> Result<(), Failed> {
    let lab = Arc::new(Lab::new(case.name));
    let (done, outcome) = mpsc::channel();
    let thread = {
        let (lab, directory) = (lab.clone(), directory.to_owned());
        let (limit, runtime, run) = (case.limit, case.runtime, case.run);
        thread::Builder::new()
            .name(case.name.to_owned())
            .spawn(move || {
                let result = runtime().context("runtime").and_then(|runtime| {
                    runtime.block_on(async {
                        tokio::time::timeout(limit, run(&lab))
                            .await
                            .unwrap_or_else(|_| {
                                Err(anyhow::anyhow!("the time limit of {limit:?} has passed"))
                            })
                    })
                });
                let result =
                    result.map_err(|error| failed(&lab, &directory, &format!("{error:#}")));
                // The receiver waits until the grace time has passed; after that the result is not
                // needed.
                let _ = done.send(result);
            })
            .map_err(|error| format!("no thread: {error}"))?
    };
    match outcome.recv_timeout(case.limit + GRACE) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => Err(failed(
            &lab,
            directory,
            "the case's thread is stuck: a task does not yield",
        )),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            let panic = thread.join().err();
            let text = panic
                .as_ref()
                .and_then(|panic| panic.downcast_ref::<String>());
            Err(failed(
                &lab,
                directory,
                text.map_or("panicked", String::as_str),
            ))
        }
    }
}

fn failed(lab: &Lab, directory: &Path, why: &str) -> Failed {
    format!("{why}\n{}", lab.report(directory)).into()
}
