//! The public methods in the source of the tokio that is built, to notice new ones.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// The public methods of tokio's TCP types, by type and name.
///
/// # Errors
/// Cargo does not say where the source is, or it cannot be read.
pub fn methods() -> Result<Vec<(String, String)>> {
    let mut methods = Vec::new();
    for file in fs::read_dir(directory()?.join("src/net/tcp"))? {
        methods.extend(methods_in(&fs::read_to_string(file?.path())?));
    }
    methods.sort();
    Ok(methods)
}

fn directory() -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    // Without the filter cargo would ask for packages of other platforms, which nothing has fetched.
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--offline"])
        .args(["--filter-platform", &host()?, "--manifest-path"])
        .arg(manifest)
        .output()
        .context("running cargo metadata")?;
    ensure!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let tokio = packages.iter().find(|package| package["name"] == "tokio");
    let manifest = tokio.and_then(|tokio| tokio["manifest_path"].as_str());
    let manifest = Path::new(manifest.context("no tokio")?);
    Ok(manifest.parent().context("no directory")?.to_owned())
}

/// The name of this platform, as rustc has it.
fn host() -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .arg("-vV")
        .output()
        .context("running rustc")?;
    let text = String::from_utf8(output.stdout)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc names no host")?.to_owned())
}

/// The public methods of one file. The style of tokio is that of rustfmt: an `impl` begins its
/// line, and so does a method.
fn methods_in(source: &str) -> Vec<(String, String)> {
    let mut methods = Vec::new();
    let mut implementing = String::new();
    for line in source.lines() {
        if let Some(rest) = line.strip_prefix("impl ") {
            implementing = name(rest);
        }
        let Some(rest) = line.trim_start().strip_prefix("pub ") else {
            continue;
        };
        let rest = rest.strip_prefix("async ").unwrap_or(rest);
        if let Some(rest) = rest.strip_prefix("fn ") {
            methods.push((implementing.clone(), name(rest)));
        }
    }
    methods
}

fn name(text: &str) -> String {
    let letters = text.chars();
    letters
        .take_while(|&letter| letter.is_alphanumeric() || letter == '_')
        .collect()
}
