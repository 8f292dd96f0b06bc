//! The behaviour of `tokio::net` on the kernel's loopback, and of `millstream::net`, case by case.
//!
//! Every case is written once, in [`behaviour`](kernel::behaviour), against the names of a module
//! `net`. The files are compiled twice: in [`kernel`] that module is `tokio::net`, in [`ours`] it is
//! `millstream::net`. A case returns what it has seen as text, so that the two can be compared. What
//! the kernel answers is measured when the cases run; nothing is written down by hand.

#![expect(
    clippy::duplicate_mod,
    reason = "the same cases are compiled for two modules `net`"
)]

pub mod absent;
pub mod case;
pub mod differences;
pub mod implementation;
pub mod kernel;
pub mod ours;
pub mod page;
pub mod signatures;
pub mod tokio_source;
