//! The machine's programs in tests: found, started, fed, awaited, and killed at the end of the
//! case.

use std::env;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStdin, Command};

use crate::digest;

/// Directories of administrative programs, which are missing from some users' `PATH`.
const MORE_DIRECTORIES: [&str; 2] = ["/usr/sbin", "/sbin"];

/// A program, and its Debian package.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    name: &'static str,
    package: &'static str,
    changes_user: bool,
}

/// The HTTP client.
pub const CURL: Program = Program::new("curl", "curl");

impl Program {
    /// The program with this name from a Debian package.
    #[must_use]
    pub const fn new(name: &'static str, package: &'static str) -> Self {
        Self {
            name,
            package,
            changes_user: false,
        }
    }

    /// A program that changes its user, which is impossible in a user namespace with a single user.
    #[must_use]
    pub const fn that_changes_user(self) -> Self {
        Self {
            changes_user: true,
            ..self
        }
    }

    /// A command that starts it: no input, output to pipes, killed when the child is dropped.
    ///
    /// # Errors
    /// Those of [`find`](Self::find).
    pub fn command(&self) -> Result<Command> {
        let mut command = Command::new(self.find()?);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Ok(command)
    }

    /// Its Debian package, if it is not installed.
    #[must_use]
    pub fn package_if_missing(&self) -> Option<&'static str> {
        self.installed().is_none().then_some(self.package)
    }

    /// Its absolute path.
    ///
    /// # Errors
    /// If it is not installed, with advice, or if it cannot work in this namespace.
    pub fn find(&self) -> Result<PathBuf> {
        let found = self.installed().with_context(|| {
            format!(
                "{} is not installed (apt-get install {})",
                self.name, self.package
            )
        })?;
        ensure!(
            !self.changes_user || may_change_user(),
            "{} has to be started by root",
            self.name
        );
        Ok(found)
    }

    fn installed(&self) -> Option<PathBuf> {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path)
            .chain(MORE_DIRECTORIES.map(PathBuf::from))
            .map(|directory| directory.join(self.name))
            .find(|path| path.is_absolute() && path.is_file())
    }
}

/// Whether the namespace lets a process change its groups (user_namespaces(7)).
fn may_change_user() -> bool {
    fs::read_to_string("/proc/self/setgroups").is_ok_and(|text| text.trim() == "allow")
}

/// Runs a command that must succeed. Returns its output.
///
/// # Errors
/// If it cannot be started, or fails; with its output so far.
pub async fn run(mut command: Command) -> Result<String> {
    let output = command.output().await.context("starting the program")?;
    succeeded(output.status, &output.stdout, &output.stderr)?;
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs a command that must succeed, with `feed` writing its standard input. Returns its output.
///
/// # Errors
/// If it cannot be started, does not read its input, or fails; with its output so far.
pub async fn run_fed(
    mut command: Command,
    feed: impl AsyncFnOnce(&mut ChildStdin) -> Result<()>,
) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .spawn()
        .context("starting the program")?;
    let mut input = child.stdin.take().context("the program's input")?;
    let fed = async {
        feed(&mut input).await?;
        drop(input);
        anyhow::Ok(())
    };
    let (fed, output) = tokio::join!(fed, child.wait_with_output());
    let output = output?;
    // The exit status is more informative than a broken pipe.
    succeeded(output.status, &output.stdout, &output.stderr)?;
    fed.context("the program's input")?;
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs a command that must succeed and print `length` bytes of the [`pattern`](crate::pattern).
///
/// # Errors
/// If it cannot be started, fails, or prints anything else.
pub async fn expect_pattern(mut command: Command, length: u64) -> Result<()> {
    let mut child = command.spawn().context("starting the program")?;
    let mut output = child.stdout.take().context("the program's output")?;
    let (printed, digest) = digest::of_reader(&mut output).await?;
    let rest = child.wait_with_output().await?;
    succeeded(rest.status, &[], &rest.stderr)?;
    ensure!(
        printed == length,
        "received {printed} bytes instead of {length}"
    );
    ensure!(
        digest == digest::of_pattern(length),
        "the received bytes differ"
    );
    Ok(())
}

fn succeeded(status: ExitStatus, stdout: &[u8], stderr: &[u8]) -> Result<()> {
    if !status.success() {
        bail!(
            "the program ended with {status}: {}{}",
            String::from_utf8_lossy(stdout),
            String::from_utf8_lossy(stderr)
        );
    }
    Ok(())
}

/// A server that runs until this is dropped.
#[derive(Debug)]
pub struct Server {
    /// Killed when dropped.
    _child: Child,
}

impl Server {
    /// Starts a server and waits until it has printed a line that contains `ready`.
    ///
    /// # Errors
    /// If it cannot be started, or ends too early; with its output.
    pub async fn start(mut command: Command, ready: &str) -> Result<Self> {
        let (output, input) = io::pipe()?;
        command.stdout(input.try_clone()?).stderr(input);
        let child = command.spawn().context("starting the server")?;
        // This also closes this process's copies of the pipe's other end, so that the pipe ends
        // with the server.
        drop(command);

        let mut lines = BufReader::new(pipe::Receiver::from_owned_fd(output.into())?);
        let mut printed = String::new();
        loop {
            let before = printed.len();
            if lines.read_line(&mut printed).await? == 0 {
                bail!("the server ended before it was ready:\n{printed}");
            }
            if printed[before..].contains(ready) {
                break;
            }
        }
        // A full pipe would block the server.
        tokio::spawn(async move { tokio::io::copy(&mut lines, &mut tokio::io::sink()).await });
        Ok(Self { _child: child })
    }
}
