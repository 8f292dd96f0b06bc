//! A queue of a TUN interface: the common descriptor handling of both kinds, and the unsafe calls
//! that take a descriptor.
#![expect(
    unsafe_code,
    reason = "tokio-tun shows its descriptor only as a number, and the runtime registers numbers"
)]

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, Ready};

use crate::sync::{Mutex, PoisonError};

/// Duplicates the descriptor of the file that `owner` holds open, with close-on-exec.
pub(super) fn duplicate(owner: &tokio_tun::Tun) -> io::Result<OwnedFd> {
    // SAFETY: `owner` keeps the descriptor open at least as long as this borrow lives, which ends
    // before the function returns; only the duplicate leaves it.
    let borrowed = unsafe { BorrowedFd::borrow_raw(owner.as_raw_fd()) };
    borrowed.try_clone_to_owned()
}

/// A descriptor from which frames are read and to which they are written.
pub(super) struct Queue {
    fd: Arc<AsyncFd<OwnedFd>>,
    failure: Mutex<Failure>,
}

/// A future that completes when the kernel reports an error of the descriptor.
type Failure = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Queue {
    /// Registers a descriptor with the runtime.
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        // SAFETY: an `OwnedFd` stays open, with the same number, until it is dropped, which the
        // `AsyncFd` does after deregistering it.
        let fd = Arc::new(unsafe { AsyncFd::register(fd) }?);
        let failure = Mutex::new(failure(Arc::clone(&fd)));
        Ok(Self { fd, failure })
    }

    /// Waits for a frame, or for the deletion of the interface. A deletion is an error of the
    /// descriptor, which the kernel does not report as readable; the next read reports it.
    pub(super) fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(guard) = self.fd.poll_read_ready(cx) {
            guard?.retain_ready();
            return Poll::Ready(Ok(()));
        }
        let mut awaited = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        ready!(awaited.as_mut().poll(cx));
        *awaited = failure(Arc::clone(&self.fd));
        Poll::Ready(Ok(()))
    }

    pub(super) fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.try_read(|fd| rustix::io::read(fd, &mut *buf))
    }

    pub(super) fn try_recv_split(&self, head: &mut [u8], rest: &mut [u8]) -> io::Result<usize> {
        let mut places = [IoSliceMut::new(head), IoSliceMut::new(rest)];
        self.try_read(|fd| rustix::io::readv(fd, &mut places))
    }

    pub(super) fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.fd.poll_write_ready(cx))?.retain_ready();
        Poll::Ready(Ok(()))
    }

    pub(super) fn try_send(&self, frame: &[IoSlice<'_>]) -> io::Result<()> {
        self.fd.try_io(Interest::WRITABLE, |fd| {
            rustix::io::writev(fd, frame)?;
            Ok(())
        })
    }

    /// Reads, even if the runtime does not know that the descriptor is readable: while tasks are
    /// ready to run, it polls its descriptors only occasionally, and the acknowledgments of a bulk
    /// flow would wait for that.
    fn try_read(
        &self,
        mut read: impl FnMut(&OwnedFd) -> rustix::io::Result<usize>,
    ) -> io::Result<usize> {
        let mut tried = false;
        let result = self.fd.try_io(Interest::READABLE, |fd| {
            tried = true;
            Ok(read(fd)?)
        });
        if tried {
            return result;
        }
        Ok(read(self.fd.get_ref())?)
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.get_ref().as_fd()
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Queue").field(&self.fd).finish()
    }
}

fn failure(fd: Arc<AsyncFd<OwnedFd>>) -> Failure {
    Box::pin(async move {
        // An error means that the runtime has ended, which also ends the device.
        if let Ok(mut guard) = fd.ready(Interest::ERROR).await {
            guard.clear_ready_matching(Ready::ERROR);
        }
    })
}
