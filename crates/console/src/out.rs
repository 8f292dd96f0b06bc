//! Standard output, and how a program ends.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Error, Result};
use thiserror::Error;

/// Standard output. Where its reader has gone, as `head` does, writing fails with an error that
/// [`exit`] tells from every other broken pipe.
#[derive(Clone, Copy, Debug, Default)]
pub struct Out;

/// The reader of standard output has seen enough.
#[derive(Debug, Error)]
#[error("the reader of the output has gone")]
struct ReaderGone;

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stdout().write(bytes).map_err(of_output)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush().map_err(of_output)
    }
}

/// The error of [`Out`] for one that writing to standard output by other means came to.
#[must_use]
pub fn of_output(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        io::Error::new(error.kind(), ReaderGone)
    } else {
        error
    }
}

/// Prints a line about what a program is doing, on standard error. Where nobody reads it, the program
/// goes on.
pub fn log(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The exit code of a program that came to `result`. An error is printed on standard error with its
/// causes, in one line; that the reader of [`Out`] has gone is none.
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
    fn only_the_readers_leaving_is_no_failure() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        let reader: Result<()> = Err(of_output(broken())).context("printing");
        assert!(is_reader_gone(&reader.expect_err("failed")));
        let socket: Result<()> = Err(broken()).context("sending");
        assert!(!is_reader_gone(&socket.expect_err("failed")));
        let full = of_output(io::ErrorKind::StorageFull.into());
        assert!(!is_reader_gone(&full.into()));
    }
}
