//! Terminal support shared by the programs of this workspace: output whose reader may close it
//! early ([`Out`], [`log()`]), the exit code ([`exit`]), and the progress of long work
//! ([`Progress`]).

mod out;
mod progress;

pub use self::out::{Out, exit, log, of_output};
pub use self::progress::Progress;
