//! Records of tests that could not run on this machine. Each test program [notes](note) the tests
//! that it skips; the last program of a `cargo test`, from this package, prints a [`summary`] of
//! them all.
//!
//! The notes of one `cargo test` are in a file named after its process.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};

const PREFIX: &str = "skipped-";

/// A test that was not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its name.
    pub test: String,
    /// The missing prerequisite.
    pub why: String,
    /// The Debian packages with the prerequisite, if it is a program.
    pub packages: Vec<String>,
}

/// Reports on standard output that a test is skipped, and adds a note for the summary to
/// `directory`, which has to be the same for all test programs.
pub fn note(directory: &Path, skipped: &Skipped) {
    let Skipped {
        test,
        why,
        packages,
    } = skipped;
    println!("skipped: {test}: {why}");
    let line = format!("{test}\t{}\t{}\n", one_line(why), packages.join(" "));
    let kept = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file_of(directory, parent_id()))
        .and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = kept {
        println!("this will be missing in the summary of skipped tests: {error}");
    }
}

/// Removes and returns the notes in `directory` of the `cargo test` that runs this program.
///
/// # Errors
/// If the notes cannot be read.
pub fn take(directory: &Path) -> io::Result<Vec<Skipped>> {
    let own = file_of(directory, parent_id());
    let notes = match fs::read_to_string(&own) {
        Ok(notes) => notes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path == own || is_left_over(&path) {
            fs::remove_file(path)?;
        }
    }
    Ok(notes.lines().filter_map(parse).collect())
}

/// The number of skipped tests, the reasons, and the packages to install.
#[must_use]
pub fn summary(skipped: &[Skipped]) -> String {
    let mut packages = BTreeSet::new();
    let mut others: BTreeMap<&str, usize> = BTreeMap::new();
    for skipped in skipped {
        packages.extend(skipped.packages.iter().map(String::as_str));
        if skipped.packages.is_empty() {
            *others.entry(&skipped.why).or_default() += 1;
        }
    }
    let count = skipped.len();
    if count == 0 {
        return "0 tests skipped\n".to_owned();
    }
    let noun = if count == 1 { "test" } else { "tests" };
    let mut text = format!("{count} {noun} skipped");
    if !packages.is_empty() {
        let packages: Vec<_> = packages.into_iter().collect();
        // Writing to a String cannot fail.
        let _ = write!(text, ": apt-get install {}", packages.join(" "));
    }
    text.push('\n');
    for (why, count) in others {
        let _ = writeln!(text, "{count:4} of them: {why}");
    }
    text
}

/// The file with the notes of a process; process numbers are reused, but not with the same start
/// time.
fn file_of(directory: &Path, process: u32) -> PathBuf {
    let start = start_of(process).unwrap_or_default();
    directory.join(format!("{PREFIX}{process}-{start}"))
}

/// The start time of a process, in the kernel's ticks (proc_pid_stat(5), field 22).
fn start_of(process: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field, in parentheses, may contain spaces.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19).map(str::to_owned)
}

/// Whether the file has the notes of a process that has ended.
fn is_left_over(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let run = name.and_then(|name| name.strip_prefix(PREFIX)?.split_once('-'));
    run.is_some_and(|(process, start)| {
        let process = process.parse().ok();
        process.and_then(start_of).as_deref() != Some(start)
    })
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn parse(line: &str) -> Option<Skipped> {
    let mut fields = line.split('\t');
    let (test, why, packages) = (fields.next()?, fields.next()?, fields.next()?);
    Some(Skipped {
        test: test.to_owned(),
        why: why.to_owned(),
        packages: packages.split_whitespace().map(str::to_owned).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skipped(test: &str, why: &str, packages: &[&str]) -> Skipped {
        Skipped {
            test: test.to_owned(),
            why: why.to_owned(),
            packages: packages.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn notes_are_summed_up_once_by_another_program() {
        let directory = std::env::temp_dir().join(format!("skipped-tests-{}", std::process::id()));
        fs::create_dir(&directory).expect("a new folder");
        let of_another_run = directory.join("skipped-4194305-1");
        fs::write(&of_another_run, "old\twhy\t\n").expect("is written");
        let noted = [
            skipped("curl::http1", "curl is not installed", &["curl"]),
            skipped(
                "nginx::h2load",
                "two\nare missing",
                &["nginx-light", "curl"],
            ),
            skipped("kernel", "no network namespace", &[]),
        ];
        for one in &noted {
            note(&directory, one);
        }
        let taken = take(&directory).expect("is read");
        assert_eq!(taken.len(), 3);
        assert_eq!(taken[0], noted[0]);
        assert_eq!(taken[1].why, "two are missing");
        assert_eq!(
            summary(&taken),
            "3 tests skipped: apt-get install curl nginx-light\n   1 of them: no network namespace\n"
        );
        assert!(!of_another_run.exists());
        assert_eq!(take(&directory).expect("is read"), []);
        fs::remove_dir(&directory).expect("is empty");
    }

    #[test]
    fn an_empty_summary_is_reported_too() {
        assert_eq!(summary(&[]), "0 tests skipped\n");
    }
}
