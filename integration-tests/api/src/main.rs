//! Writes docs/api/*.txt, the public API of each library, or checks that they are up to date.
//!
//! The lists are snapshots: a change of the public API appears in the diff of a commit. They are
//! made from rustdoc's JSON, which only the nightly toolchain writes.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};

/// The libraries, by package and by the name of their JSON file.
const LIBRARIES: [(&str, &str); 4] = [
    ("millstream-wire", "millstream_wire"),
    ("millstream-engine", "millstream_engine"),
    ("millstream", "millstream"),
    ("millstream-netsim", "millstream_netsim"),
];

#[derive(Parser)]
#[command(about, version)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Write docs/api/*.txt.
    Write,
    /// Report every line in which docs/api/*.txt differ from the libraries.
    Check,
}

fn main() -> Result<ExitCode> {
    let task = Cli::parse().command;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut stale = false;
    for (package, json) in LIBRARIES {
        let listed = list(&root, package, json)?;
        let page = root.join(format!("docs/api/{package}.txt"));
        match task {
            Task::Write => fs::write(&page, listed).context("writing the list")?,
            Task::Check => {
                let kept = fs::read_to_string(&page).unwrap_or_default();
                let changes = changes(&kept, &listed);
                stale |= !changes.is_empty();
                print!("{changes}");
            }
        }
    }
    if stale {
        eprintln!("The public API has changed. If it should: cargo run -p millstream-api -- write");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// The public items of a library, one per line, in alphabetical order.
fn list(root: &Path, package: &str, json: &str) -> Result<String> {
    let json = document(root, package, json)?;
    let api = public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()
        .with_context(|| format!("reading what rustdoc says of {package}"))?;
    let mut lines: Vec<String> = api.items().map(ToString::to_string).collect();
    lines.sort_unstable();
    lines.dedup();
    Ok(lines.join("\n") + "\n")
}

/// Runs rustdoc to write the JSON of a library, and returns its path.
fn document(root: &Path, package: &str, json: &str) -> Result<PathBuf> {
    let target = root.join("target/api");
    let status = Command::new("cargo")
        .current_dir(root)
        .args([
            "+nightly",
            "rustdoc",
            "--quiet",
            "--lib",
            "--all-features",
            "-p",
            package,
        ])
        .arg("--target-dir")
        .arg(&target)
        .args([
            "--",
            "-Zunstable-options",
            "--output-format=json",
            "--cap-lints=allow",
        ])
        // The caller's toolchain must not override `+nightly`.
        .env_remove("RUSTUP_TOOLCHAIN")
        .status()
        .context("running cargo")?;
    ensure!(
        status.success(),
        "rustdoc failed for {package}: is the nightly toolchain installed?"
    );
    Ok(target.join(format!("doc/{json}.json")))
}

/// The lines that are in only one of the two lists.
fn changes(kept: &str, listed: &str) -> String {
    let mut changes = String::new();
    let only = |lines: &str, others: &str| -> Vec<String> {
        let others: std::collections::HashSet<_> = others.lines().collect();
        lines
            .lines()
            .filter(|line| !others.contains(line))
            .map(str::to_owned)
            .collect()
    };
    for line in only(kept, listed) {
        let _ = writeln!(changes, "- {line}");
    }
    for line in only(listed, kept) {
        let _ = writeln!(changes, "+ {line}");
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_the_lines_that_one_list_has() {
        assert_eq!(changes("a\nb\n", "b\nc\n"), "- a\n+ c\n");
        assert_eq!(changes("a\nb\n", "a\nb\n"), "");
    }
}
