//! Wire formats.
#![forbid(unsafe_code)]
