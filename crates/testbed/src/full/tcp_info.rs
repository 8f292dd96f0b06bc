//! The kernel's information about one of its connections (`TCP_INFO`).

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd as _};

use nix::libc::{self, tcp_info};

/// `TCP_INFO` of a kernel socket; fields that the kernel does not support are zero.
///
/// # Errors
/// The kernel's error.
#[expect(unsafe_code, reason = "no crate has a safe call for TCP_INFO")]
pub fn of(socket: impl AsFd) -> io::Result<tcp_info> {
    let mut info = MaybeUninit::<tcp_info>::zeroed();
    let mut length = size_of::<tcp_info>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to `info`. The remaining bytes stay zero,
    // and the structure consists of integers, for which every bit pattern is valid.
    unsafe {
        let done = libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &mut length,
        );
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(info.assume_init())
    }
}
