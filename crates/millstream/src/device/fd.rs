//! The calls that take a file descriptor on trust: all of the crate's unsafe code.
#![expect(
    unsafe_code,
    reason = "tokio-tun shows its descriptor only as a number, and the runtime registers numbers"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use tokio::io::unix::AsyncFd;

/// Another descriptor, with close-on-exec, of the file that `owner` holds open.
pub(super) fn duplicate(owner: &tokio_tun::Tun) -> io::Result<OwnedFd> {
    // SAFETY: `owner` keeps the descriptor open at least as long as this borrow lives, which ends
    // before the function returns; only the duplicate leaves it.
    let borrowed = unsafe { BorrowedFd::borrow_raw(owner.as_raw_fd()) };
    borrowed.try_clone_to_owned()
}

/// Registers a descriptor with the runtime for reading and writing.
pub(super) fn register(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` stays open, and is the same number, until it is dropped, which the
    // `AsyncFd` does after deregistering it.
    Ok(unsafe { AsyncFd::register(fd) }?)
}
