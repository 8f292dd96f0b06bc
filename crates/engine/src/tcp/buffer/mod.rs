//! Buffers of payload, all in positions: sequence numbers extended to 64 bits, which never wrap.
//!
//! - [`rope`]: the list of byte slices that the two queues are made of;
//! - [`send`]: written by the application and not yet acknowledged;
//! - [`recv`]: received in order and not yet read;
//! - [`assembler`]: received out of order;
//! - [`range_set`]: which positions are covered, without their bytes.
//!
//! None of them holds heap memory while it is empty. Each knows how much memory it keeps alive (`memory`), which is more than its
//! bytes: a slice keeps all of the buffer alive that it is a part of. [`keeps_slice`] decides which stay slices.

pub(crate) mod assembler;
pub(crate) mod range_set;
pub(crate) mod recv;
mod rope;
pub(crate) mod send;

/// Received payload shorter than this is copied: a slice keeps the whole buffer alive that the packet was read
/// into, which may be 64 KiB.
pub(crate) const SMALL_PAYLOAD: usize = 512;

/// Whether `len` bytes are kept as a slice for long, if that keeps `pinned` bytes of memory alive. If not, they are copied, so
/// that no more than twice as much memory is held as there are bytes.
fn keeps_slice(len: usize, pinned: usize) -> bool {
    len >= pinned.div_ceil(2)
}
