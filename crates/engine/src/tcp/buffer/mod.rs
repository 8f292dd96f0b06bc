//! Buffers of payload, all in positions: sequence numbers extended to 64 bits, which never wrap.
//!
//! - [`rope`]: the list of byte slices that implements the two queues;
//! - [`send`]: written by the application and not yet acknowledged;
//! - [`recv`]: received in order and not yet read;
//! - [`assembler`]: received out of order;
//! - [`range_set`]: the set of covered positions, without their bytes.
//!
//! None of them holds heap memory while it is empty. Each reports the memory that it keeps alive
//! (`memory`), which exceeds its bytes: a slice keeps the whole buffer alive of which it is a part.
//! [`keeps_slice`] decides which payload stays a slice.

pub(crate) mod assembler;
pub(crate) mod range_set;
pub(crate) mod recv;
mod rope;
pub(crate) mod send;

/// Received payload shorter than this is copied: a slice keeps the whole buffer alive into which
/// the packet was read, which may be 64 KiB.
pub(crate) const SMALL_PAYLOAD: usize = 512;

/// Whether `len` bytes that may be held for a long time stay a slice that keeps `pinned` bytes of
/// memory alive. Otherwise they are copied, so that the memory held is at most twice the number of
/// bytes.
fn keeps_slice(len: usize, pinned: usize) -> bool {
    len >= pinned.div_ceil(2)
}
