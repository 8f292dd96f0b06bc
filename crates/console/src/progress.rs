//! Progress of long work.

use std::borrow::Cow;
use std::io::{self, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Time between two lines where there is no terminal.
const PAUSE: Duration = Duration::from_secs(5);

const STEPS: &str = "{bar:30} {pos}/{len} {eta} {msg}";
const BYTES: &str = "{bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";

/// How far long work has come, on standard error: a bar on a terminal, elsewhere a line every five
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
    /// Of so many steps.
    #[must_use]
    pub fn of_steps(steps: u64) -> Self {
        Self::new(steps, STEPS)
    }

    /// Of so many bytes.
    #[must_use]
    pub fn of_bytes(bytes: u64) -> Self {
        Self::new(bytes, BYTES)
    }

    fn new(total: u64, template: &str) -> Self {
        // The templates are constants; without them the bar has its default looks.
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

    /// Says what is being done.
    pub fn set_message(&self, message: impl Into<Cow<'static, str>>) {
        self.bar.set_message(message);
        self.tell();
    }

    /// So many steps more are done.
    pub fn inc(&self, steps: u64) {
        self.bar.inc(steps);
        self.tell();
    }

    /// So much is done in all.
    pub fn set_position(&self, done: u64) {
        self.bar.set_position(done);
        self.tell();
    }

    /// Does what prints something, with the bar out of the way.
    pub fn suspend<R>(&self, print: impl FnOnce() -> R) -> R {
        self.bar.suspend(print)
    }

    /// The work is done: the bar goes.
    pub fn finish_and_clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Prints a line, if there is no terminal and one is due.
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
        // Work does not stop because nobody reads how far it has come.
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
    fn a_line_says_how_far_and_with_what() {
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
