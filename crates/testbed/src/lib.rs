//! The ground that tests and tools share: a separate network namespace ([`netns`]), the kernel's
//! end of a link ([`link`], [`kernel`], [`tcp_info`]), a device that can drop, hold and record
//! packets ([`gate`], [`trace`], [`segments`]), the states of connections ([`history`]), and data
//! in which every wrong byte is detected ([`pattern`], [`digest`]). [`lab`] combines them: one TUN
//! interface with a kernel at one end and a stack at the other. [`harness`] runs cases, [`program`]
//! runs the machine's programs.

pub mod digest;
pub mod gate;
pub mod harness;
pub mod history;
pub mod kernel;
pub mod lab;
pub mod link;
pub mod netns;
pub mod pattern;
pub mod program;
pub mod segments;
pub mod tcp_info;
pub mod trace;
