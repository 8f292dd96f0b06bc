//! The commands of `millstream-lab`, each with its arguments.

pub mod decode;
pub mod diagram;
pub mod list;
pub mod plot;
pub mod run;
pub mod tutorial;

use std::path::{Path, PathBuf};

/// Turns `out.svg` with `-S3b` into `out-S3b.svg`.
fn suffixed(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.file_stem().unwrap_or_default().to_owned();
    name.push(suffix);
    let named = file.with_file_name(name);
    match file.extension() {
        Some(extension) => named.with_added_extension(extension),
        None => named,
    }
}
