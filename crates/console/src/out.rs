//! Standard output, and how a program ends.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Error, Result};
use thiserror::Error;

/// Standard output. If its reader has closed it, as `head` does, writing fails with an error that
/// [`exit`] distinguishes from every other broken pipe.
#[derive(Clone, Copy, Debug, Default)]
pub struct Out;

/// The reader has closed standard output.
#[derive(Debug, Error)]
#[error("the reader of the output has closed it")]
struct ReaderGone;

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stdout().write(bytes).map_err(of_output)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush().map_err(of_output)
    }
}

/// Converts an error of a direct write to standard output into the error of [`Out`].
#[must_use]
pub fn of_output(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        io::Error::new(error.kind(), ReaderGone)
    } else {
        error
    }
}

/// Prints a line about the program's activity on standard error. A failure to print is ignored.
pub fn log(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The exit code of a program with this `result`. An error is printed on standard error with its
/// causes, in one line; a closed reader of [`Out`] is not an error.
#[must_use]
pub fn exit(result: Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) if is_reader_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            log(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn is_reader_gone(error: &Error) -> bool {
    let mut causes = error
        .chain()
        .filter_map(<dyn std::error::Error>::downcast_ref);
    causes.any(|cause: &io::Error| {
        cause
            .get_ref()
            .is_some_and(<dyn std::error::Error + Send + Sync>::is::<ReaderGone>)
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_closed_reader_of_the_output_is_the_only_error_ignored() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        let reader: Result<()> = Err(of_output(broken())).context("printing");
        assert!(is_reader_gone(&reader.expect_err("failed")));
        let socket: Result<()> = Err(broken()).context("sending");
        assert!(!is_reader_gone(&socket.expect_err("failed")));
        let full = of_output(io::ErrorKind::StorageFull.into());
        assert!(!is_reader_gone(&full.into()));
    }
}
