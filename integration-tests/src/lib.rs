//! What the integration tests are built from: a network namespace of one's own ([`netns`]), the
//! kernel's side of a link ([`link`], [`kernel`]), a device that can cut, hold and record packets
//! ([`gate`], [`trace`]), the states connections went through ([`history`]), and data that shows by
//! itself when a byte is wrong ([`pattern`], [`digest`]). [`lab`] puts them together: one TUN interface
//! with a kernel on one side and a stack on the other. [`harness`] runs cases, [`program`] the
//! machine's programs, [`http`] is a server for them.
//!
//! The tests themselves are in `tests/`: `kernel` against the Linux kernel, `programs` with programs
//! that everybody uses, `scenarios` stack against stack on virtual time.

pub mod digest;
pub mod gate;
pub mod harness;
pub mod history;
pub mod http;
pub mod kernel;
pub mod lab;
pub mod link;
pub mod netns;
pub mod pattern;
pub mod program;
pub mod segments;
pub mod tcp_info;
pub mod trace;
