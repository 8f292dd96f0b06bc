//! The modules that need a kernel or a stack: everything of the feature `full`.

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
