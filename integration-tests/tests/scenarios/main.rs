//! The scenarios of docs/tutorial.md between two stacks, in memory and on a paused clock: every
//! segment and every state of both ends.
//!
//! The two hosts are named after their roles in the scenario. The one whose device is the gate sees
//! each segment that it sends before the other host's answer; segments that cross are listed in the
//! order in which that host sees them.

mod lives;
mod resets;
mod simultaneous;
mod time_wait;
mod world;
