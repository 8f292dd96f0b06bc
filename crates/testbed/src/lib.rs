//! What tests and tools share.
//!
//! | modules | content |
//! |---|---|
//! | [`packet`] | whole packets, made from headers and payload |
//! | [`capture`] | reading and writing capture files |
//!
//! With the feature `full`:
//!
//! | modules | content |
//! |---|---|
//! | `netns` | a separate network namespace |
//! | `link`, `kernel`, `tcp_info` | the kernel's interfaces and sockets in it |
//! | `gate`, `trace`, `segments` | a device that drops, holds and records packets, and the packets in the notation of classic traces |
//! | `history` | the states of a stack's connections |
//! | `lab` | all of these together: a TUN interface with a kernel at one end and a stack at the other |
//! | `harness`, `program` | the runner of the tests over TUN, and the machine's programs in them |
//! | `pattern`, `digest` | data in which every wrong byte is detected |

pub mod capture;
pub mod packet;

#[cfg(feature = "full")]
mod full;
#[cfg(feature = "full")]
pub use full::*;
