//! Buffers of payload, all in positions: sequence numbers extended to 64 bits, which never wrap.
//!
//! - [`rope`]: the list of byte slices that the two queues are made of;
//! - [`send`]: written by the application and not yet acknowledged;
//! - [`recv`]: received in order and not yet read;
//! - [`assembler`]: received out of order;
//! - [`range_set`]: which positions are covered, without their bytes.
//!
//! None of them holds heap memory while it is empty.

pub(crate) mod assembler;
pub(crate) mod range_set;
pub(crate) mod recv;
mod rope;
pub(crate) mod send;

use bytes::Bytes;

/// Received payload shorter than this is copied: a slice keeps the whole buffer alive that the packet was read
/// into, which may be 64 KiB.
pub(crate) const SMALL_PAYLOAD: usize = 512;

/// `data`, copied if keeping it would pin a buffer much larger than it.
fn unpinned(data: Bytes) -> Bytes {
    if data.len() < SMALL_PAYLOAD {
        Bytes::copy_from_slice(&data)
    } else {
        data
    }
}
