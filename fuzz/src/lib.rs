//! The common parts of the fuzz targets: values for options, a peer that answers the packets of a
//! stack, and the invariants of a stack.

pub mod odd;
pub mod options;
pub mod peer;
pub mod referee;
pub mod stack;
pub mod udp;
