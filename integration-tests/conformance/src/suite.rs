//! Script files: finding them and running one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::runner::{self, Mismatch, Outcome, Settings, Verdict};
use crate::script;
use crate::target::engine::EngineTarget;
use crate::target::{Called, Environment, Target};

/// A stack that scripts can be run against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TargetKind {
    /// The protocol engine on virtual time.
    #[default]
    Engine,
}

impl TargetKind {
    /// A fresh stack.
    ///
    /// # Errors
    /// What the stack has no setting for.
    pub fn build(self, environment: &Environment) -> Called<Box<dyn Target>> {
        match self {
            Self::Engine => Ok(Box::new(EngineTarget::new(environment)?)),
        }
    }
}

/// The scripts at `paths`: files as they are named, folders with all `.pkt` files below, in order.
///
/// # Errors
/// A path that cannot be read, or a folder without scripts.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        let before = found.len();
        if path.is_dir() {
            find_below(path, &mut found)?;
            anyhow::ensure!(found.len() > before, "no scripts below {}", path.display());
        } else {
            anyhow::ensure!(path.is_file(), "there is no {}", path.display());
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
        if entry.is_dir() {
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

/// Runs the script in a file. A file that cannot be read, or is no script, has failed.
#[must_use]
pub fn run_file(path: &Path, target: TargetKind, settings: Settings) -> Outcome {
    match fs::read_to_string(path) {
        Ok(source) => run_source(&source, target, settings),
        Err(error) => failed(Mismatch {
            line: 1,
            what: "the file cannot be read".to_owned(),
            expected: "text".to_owned(),
            actual: error.to_string(),
        }),
    }
}

/// Runs a script.
#[must_use]
pub fn run_source(source: &str, target: TargetKind, settings: Settings) -> Outcome {
    match script::parse(source) {
        Ok(script) => runner::run(&script, settings, |environment| target.build(environment)),
        Err(error) => failed(Mismatch {
            line: error.line,
            what: format!("not a script (column {})", error.column),
            expected: error.message.trim_start_matches("expected ").to_owned(),
            actual: error.text,
        }),
    }
}

fn failed(mismatch: Mismatch) -> Outcome {
    Outcome {
        verdict: Verdict::Failed(mismatch),
        trace: Vec::new(),
    }
}
