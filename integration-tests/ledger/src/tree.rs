//! The project's files with citations: Rust sources and wire scripts.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use walkdir::{DirEntry, WalkDir};

const FOLDERS: [&str; 2] = ["crates", "integration-tests"];

/// A file with its text.
#[derive(Debug)]
pub struct Source {
    /// The path relative to the root, with `/` as the separator.
    pub path: String,
    /// The complete text.
    pub text: String,
}

/// All sources below `root`, sorted by path.
///
/// # Errors
/// If a folder or file cannot be read.
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

/// Whether the entry is this package, which mentions citations as examples.
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
