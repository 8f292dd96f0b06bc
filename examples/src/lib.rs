//! Code shared by the example programs.

pub mod payload;
#[cfg(feature = "tun")]
pub mod serve;
#[cfg(feature = "tun")]
pub mod tun;

/// The README's code, compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
