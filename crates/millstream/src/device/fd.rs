//! What both kinds of TUN interface do with their descriptors, and the calls that take one on trust.
#![expect(
    unsafe_code,
    reason = "tokio-tun shows its descriptor only as a number, and the runtime registers numbers"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use tokio::io::Interest;
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

/// Reads, also if the runtime does not know that there is something to read: it looks at its descriptors only now
/// and then while tasks are ready to run, and a bulk flow's acknowledgments would wait for that.
pub(super) fn try_read(
    fd: &AsyncFd<OwnedFd>,
    mut read: impl FnMut(&OwnedFd) -> rustix::io::Result<usize>,
) -> io::Result<usize> {
    let mut tried = false;
    let result = fd.try_io(Interest::READABLE, |fd| {
        tried = true;
        Ok(read(fd)?)
    });
    if tried {
        return result;
    }
    Ok(read(fd.get_ref())?)
}
