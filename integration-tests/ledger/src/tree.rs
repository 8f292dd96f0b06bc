//! The files of the project that may cite: Rust sources and wire scripts.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use walkdir::{DirEntry, WalkDir};

const FOLDERS: [&str; 2] = ["crates", "integration-tests"];

/// A file with its text; the path is relative to the project's root.
#[derive(Debug)]
pub struct Source {
    /// Seen from the root, with `/` between its parts.
    pub path: String,
    /// All of it.
    pub text: String,
}

/// Every source below `root`, in the order of the paths.
///
/// # Errors
/// A folder or file that cannot be read.
pub fn sources(root: &Path) -> Result<Vec<Source>> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        let files = WalkDir::new(root.join(folder)).sort_by_file_name();
        for entry in files.into_iter().filter_entry(|entry| !is_our_own(entry)) {
            let entry = entry?;
            if entry.file_type().is_file() && cites(entry.path()) {
                found.push(read(root, entry.path())?);
            }
        }
    }
    Ok(found)
}

/// This package speaks of citations without making any.
fn is_our_own(entry: &DirEntry) -> bool {
    entry.path().ends_with("integration-tests/ledger") || entry.file_name() == "target"
}

fn cites(path: &Path) -> bool {
    matches!(path.extension(), Some(end) if end == "rs" || end == "pkt")
}

fn read(root: &Path, path: &Path) -> Result<Source> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let path = path
        .strip_prefix(root)?
        .to_string_lossy()
        .replace('\\', "/");
    Ok(Source { path, text })
}
