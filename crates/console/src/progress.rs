//! Progress of long work.

use std::borrow::Cow;
use std::io::{self, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// The interval between two lines without a terminal.
const PAUSE: Duration = Duration::from_secs(5);

const STEPS: &str = "{bar:30} {pos}/{len} {eta} {msg}";
const BYTES: &str = "{bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";

/// The progress of long work, on standard error: a bar on a terminal, otherwise a line every five
/// seconds.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    lines: Option<Mutex<Lines>>,
}

/// When the next line is due.
#[derive(Debug)]
struct Lines {
    due: Instant,
}

impl Progress {
    /// Progress over a number of steps.
    #[must_use]
    pub fn of_steps(steps: u64) -> Self {
        Self::new(steps, STEPS)
    }

    /// Progress over a number of bytes.
    #[must_use]
    pub fn of_bytes(bytes: u64) -> Self {
        Self::new(bytes, BYTES)
    }

    fn new(total: u64, template: &str) -> Self {
        // The templates are constants; if one is invalid the bar has its default style.
        let style = ProgressStyle::with_template(template);
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(total).with_style(style);
        let lines = bar.is_hidden().then(|| {
            Mutex::new(Lines {
                due: Instant::now() + PAUSE,
            })
        });
        Self { bar, lines }
    }

    /// Sets the description of the current work.
    pub fn set_message(&self, message: impl Into<Cow<'static, str>>) {
        self.bar.set_message(message);
        self.tell();
    }

    /// Adds completed steps.
    pub fn inc(&self, steps: u64) {
        self.bar.inc(steps);
        self.tell();
    }

    /// Sets the total of completed steps or bytes.
    pub fn set_position(&self, done: u64) {
        self.bar.set_position(done);
        self.tell();
    }

    /// Runs `print`, which may print, with the bar hidden.
    pub fn suspend<R>(&self, print: impl FnOnce() -> R) -> R {
        self.bar.suspend(print)
    }

    /// Ends the progress and removes the bar.
    pub fn finish_and_clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Prints a line, if there is no terminal and a line is due.
    fn tell(&self) {
        let Some(lines) = &self.lines else {
            return;
        };
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if now < lines.due {
            return;
        }
        lines.due = now + PAUSE;
        // A failure to print the progress does not stop the work.
        let _ = writeln!(io::stderr(), "{}", self.line());
    }

    fn line(&self) -> String {
        let done = self.bar.position();
        let total = self.bar.length().unwrap_or(done).max(1);
        let percent = u128::from(done) * 100 / u128::from(total);
        format!("{percent:3} % done {}", self.bar.message())
            .trim_end()
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_the_progress_and_the_message() {
        let progress = Progress::of_steps(8);
        assert_eq!(progress.line(), "  0 % done");
        progress.inc(3);
        progress.set_message("bulk");
        assert_eq!(progress.line(), " 37 % done bulk");
        progress.inc(5);
        assert_eq!(progress.line(), "100 % done bulk");
        assert_eq!(Progress::of_steps(0).line(), "  0 % done");
    }
}
