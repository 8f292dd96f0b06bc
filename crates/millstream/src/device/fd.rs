//! A queue of a TUN interface: what both kinds do with their descriptors, and the calls that take one on trust.
#![expect(
    unsafe_code,
    reason = "tokio-tun shows its descriptor only as a number, and the runtime registers numbers"
)]

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, Ready};

/// Another descriptor, with close-on-exec, of the file that `owner` holds open.
pub(super) fn duplicate(owner: &tokio_tun::Tun) -> io::Result<OwnedFd> {
    // SAFETY: `owner` keeps the descriptor open at least as long as this borrow lives, which ends
    // before the function returns; only the duplicate leaves it.
    let borrowed = unsafe { BorrowedFd::borrow_raw(owner.as_raw_fd()) };
    borrowed.try_clone_to_owned()
}

/// A descriptor that frames are read from and written to.
pub(super) struct Queue {
    fd: Arc<AsyncFd<OwnedFd>>,
    failure: Mutex<Failure>,
}

/// Ends when the kernel reports an error of the descriptor.
type Failure = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Queue {
    /// Registers a descriptor with the runtime.
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        // SAFETY: an `OwnedFd` stays open, and is the same number, until it is dropped, which the
        // `AsyncFd` does after deregistering it.
        let fd = Arc::new(unsafe { AsyncFd::register(fd) }?);
        let failure = Mutex::new(failure(Arc::clone(&fd)));
        Ok(Self { fd, failure })
    }

    /// Waits for a frame, or for the interface to be deleted: that is an error of the descriptor, which the kernel does
    /// not report as something to read. Reading then tells it.
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

    /// Reads, also if the runtime does not know that there is something to read: it looks at its descriptors only now
    /// and then while tasks are ready to run, and a bulk flow's acknowledgments would wait for that.
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
        // An error says that the runtime is over, which is no less an end.
        if let Ok(mut guard) = fd.ready(Interest::ERROR).await {
            guard.clear_ready_matching(Ready::ERROR);
        }
    })
}
