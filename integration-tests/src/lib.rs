//! What the integration tests are built from: a network namespace of one's own ([`netns`]), the
//! kernel's side of a link ([`link`], [`kernel`]), a device that can cut, hold and record packets
//! ([`gate`], [`trace`]), the states connections went through ([`history`]), and data that shows by
//! itself when a byte is wrong ([`pattern`]). [`lab`] puts them together: one TUN interface with a
//! kernel on one side and a stack on the other.
//!
//! The tests themselves are in `tests/`: `kernel` against the Linux kernel, `scenarios` stack
//! against stack on virtual time.

pub mod gate;
pub mod history;
pub mod kernel;
pub mod lab;
pub mod link;
pub mod netns;
pub mod pattern;
pub mod segments;
pub mod trace;
