//! What the programs of this workspace share at the terminal: output whose reader may leave early
//! ([`Out`], [`log()`]), the exit code ([`exit`]), and the progress of long work ([`Progress`]).

mod out;
mod progress;

pub use self::out::{Out, exit, log, of_output};
pub use self::progress::Progress;
