//! The one place where a borrowed file descriptor number becomes an owned one.
#![expect(
    unsafe_code,
    reason = "tokio-tun shows its descriptor only as a number"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Another descriptor, with close-on-exec, of the file that `owner` holds open.
pub(super) fn duplicate(owner: &tokio_tun::Tun) -> io::Result<OwnedFd> {
    // SAFETY: `owner` keeps the descriptor open at least as long as this borrow lives, which ends
    // before the function returns; only the duplicate leaves it.
    let borrowed = unsafe { BorrowedFd::borrow_raw(owner.as_raw_fd()) };
    borrowed.try_clone_to_owned()
}
