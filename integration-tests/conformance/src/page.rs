//! docs/conformance.md, the list of all behaviours that have a script.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::script;
use crate::{heading, suite};

/// The path of the page, relative to this package.
pub const PATH: &str = "../../docs/conformance.md";

const HEAD: &str = "\
# Conformance: every behaviour that has a script

Made by `cargo run -p millstream-conformance -- page`; the tests of that package fail when it is not current.

Each line is a wire script in `integration-tests/conformance/scripts`. The tests play it against the engine in all three
profiles, against the tokio adapter on a paused clock, and against the Linux kernel in real time. *Ours* is what the script says.
*Linux* says whether the kernel does the same; why not is in [deviations.md](deviations.md).
";

/// The page for the scripts below `root`.
///
/// # Errors
/// If a script cannot be read or parsed, or if it has no description.
pub fn text(root: &Path) -> Result<String> {
    let mut areas: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    let mut same = 0;
    let scripts = suite::find(&[root.to_owned()])?;
    for path in &scripts {
        let name = path.strip_prefix(root)?;
        let source = fs::read_to_string(path)?;
        let (line, agrees) =
            row(name, &source).with_context(|| format!("script {}", name.display()))?;
        same += usize::from(agrees);
        let area = name.parent().unwrap_or(Path::new("")).to_owned();
        areas.entry(area).or_default().push(line);
    }
    let mut page = HEAD.to_owned();
    writeln!(
        page,
        "\n{} scripts; Linux does the same in {same} of them.",
        scripts.len()
    )?;
    for (area, lines) in areas {
        writeln!(page, "\n## {}\n", area.display())?;
        writeln!(page, "| script | ours | Linux |\n|---|---|---|")?;
        for line in lines {
            writeln!(page, "{line}")?;
        }
    }
    Ok(page)
}

fn row(name: &Path, source: &str) -> Result<(String, bool)> {
    let behaviour = heading::behaviour(source);
    anyhow::ensure!(
        !behaviour.is_empty(),
        "its first line is no comment that says what it shows"
    );
    let parsed = script::parse(source)?;
    let length = parsed.duration();
    let linux = match heading::linux_differs(source) {
        Some(reason) => format!("differs: {reason}"),
        None if length > suite::PATIENCE => {
            format!("not played: it takes {} s of real time", length.as_secs())
        }
        None => "the same".to_owned(),
    };
    let agrees = linux == "the same";
    let name = name.file_stem().unwrap_or_default().display();
    let behaviour = behaviour.replace('|', "\\|");
    Ok((format!("| {name} | {behaviour} | {linux} |"), agrees))
}
