//! docs/parity.md.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::absent::ABSENT;
use crate::case::Seen;
use crate::differences::{self, DIFFERENCES};
use crate::implementation::Implementation;
use crate::kernel::behaviour::cases;

const HEAD: &str = "\
# Parity with `tokio::net`

Written by `cargo run -p millstream-parity -- write`; a test of that package fails if it is outdated.

A behaviour is a case of `integration-tests/parity/src/behaviour`, written once and compiled for two
modules: `tokio::net`, which runs on the kernel's loopback, and `millstream::net`. The kernel's
answers below were measured by the case itself. `cargo test -p millstream-parity` compares them with
millstream's.

";

/// The path of the page.
#[must_use]
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/parity.md")
}

/// Runs the cases on the kernel and writes the page about them.
///
/// # Errors
/// A case failed on the kernel.
pub fn make() -> Result<String, String> {
    let cases = cases();
    let mut page = HEAD.to_owned();
    counts(&mut page, cases.len());
    differences(&mut page)?;
    absent(&mut page);
    page.push_str("## The behaviours\n");
    let mut theme = "";
    for (number, case) in cases.iter().enumerate() {
        if case.theme != theme {
            theme = case.theme;
            let _ = write!(page, "\n### {}\n\n", capital(theme));
            page.push_str("| behaviour | the kernel's answer |\n|---|---|\n");
        }
        let seen = Implementation::Kernel.run(number);
        let seen = seen.map_err(|error| format!("{theme}::{}: {error}", case.name))?;
        let _ = writeln!(page, "| {} | {} |", sentence(case.name), answer(&seen));
    }
    Ok(page)
}

fn counts(page: &mut String, behaviours: usize) {
    page.push_str("## Counts\n\n| implementation | behaviours | same | better, with a reason |\n");
    page.push_str("|---|---|---|---|\n");
    for implementation in Implementation::ALL {
        let better = match implementation {
            Implementation::Kernel => 0,
            _ => DIFFERENCES.len(),
        };
        let (description, same) = (implementation.description(), behaviours - better);
        let _ = writeln!(page, "| {description} | {behaviours} | {same} | {better} |");
    }
    page.push('\n');
}

fn differences(page: &mut String) -> Result<(), String> {
    page.push_str("## Better, with a reason\n\n");
    page.push_str("| behaviour | the kernel | millstream | reason |\n|---|---|---|---|\n");
    for (number, case) in cases().iter().enumerate() {
        let name = format!("{}::{}", case.theme, case.name);
        if let Some(difference) = differences::of(&name) {
            let kernels = answer(&Implementation::Kernel.run(number)?);
            let (ours, reason) = (difference.ours, difference.reason);
            let sentence = sentence(case.name);
            let _ = writeln!(page, "| {sentence} | {kernels} | {ours} | {reason} |");
        }
    }
    page.push('\n');
    Ok(())
}

fn absent(page: &mut String) {
    page.push_str("## Cannot exist\n\n| what | why | instead |\n|---|---|---|\n");
    for absent in ABSENT {
        let _ = writeln!(
            page,
            "| {} | {} | {} |",
            absent.what, absent.why, absent.instead
        );
    }
    page.push('\n');
}

/// What a case has seen, as one text.
#[must_use]
pub fn answer(seen: &Seen) -> String {
    seen.join("; ")
}

fn sentence(name: &str) -> String {
    name.replace('_', " ")
}

fn capital(theme: &str) -> String {
    let mut letters = theme.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
