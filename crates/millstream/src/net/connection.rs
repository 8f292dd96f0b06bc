//! One connection as its handles see it: reading, writing and waiting.
//!
//! All methods take `&self`. Bytes are copied outside the engine's lock, except for small writes,
//! whose copy costs less than taking the lock again.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use millstream_engine::{
    Accepted, ConnectionError, ConnectionId, Instant, Read, State, WriteError,
};
use tokio::io::{Interest, ReadBuf, Ready};
use tokio::task::coop;

use crate::error::{IntoIo, not_connected};
use crate::io::written::{self, MAX_WRITE};
use crate::net::group::Handle;
use crate::net::readiness::{events_of, readiness};
use crate::shard::wakers::Ticket;
use crate::shard::{Core, Sends, Shard};

/// Writes of up to this many bytes are copied under the engine's lock.
const SMALL_WRITE: usize = 4 << 10;

/// Reads of at least this many bytes may read from the device.
const LARGE_READ: usize = 16 << 10;

/// The maximum number of slices that a call reads into or writes from: the kernel's `IOV_MAX`,
/// which also bounds `tokio::net`.
pub(crate) const MAX_WRITE_SLICES: usize = 1024;

thread_local! {
    /// Memory for the list of chunks that a read returns, reused by each thread.
    static CHUNKS: Cell<Vec<Bytes>> = const { Cell::new(Vec::new()) };
}

/// Owns a connection of the engine; dropping it closes the connection.
pub(crate) struct Connection {
    /// Keeps the stack alive.
    _handle: Arc<Handle>,
    shard: Arc<Shard>,
    id: ConnectionId,
    pub(crate) local: SocketAddr,
    /// The peer's address, kept after the end of the connection.
    pub(crate) peer: SocketAddr,
}

impl Connection {
    pub(crate) fn new(
        handle: Arc<Handle>,
        shard: Arc<Shard>,
        id: ConnectionId,
        local: SocketAddr,
        peer: SocketAddr,
    ) -> Self {
        Self {
            _handle: handle,
            shard,
            id,
            local,
            peer,
        }
    }

    /// A connection returned by a listener.
    pub(crate) fn accepted(handle: Arc<Handle>, shard: Arc<Shard>, accepted: Accepted) -> Self {
        let Accepted {
            id, local, peer, ..
        } = accepted;
        Self::new(handle, shard, id, local, peer)
    }

    /// Waits for the end of the handshake.
    pub(crate) fn poll_connected(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A refusal that came before the end of the stack is reported.
        self.shard.read_command(self.id, |core, _| {
            match core.engine.finish_connect(self.id) {
                Ok(true) => Poll::Ready(Ok(())),
                Ok(false) => {
                    core.waits.writer(self.id, cx.waker());
                    Poll::Pending
                }
                Err(error) => Poll::Ready(Err(error.into_io())),
            }
        })?
    }

    /// Reads up to `max` bytes and passes them to `put` piece by piece. `Ready(0)` is the end of
    /// the stream. If there is nothing to read, `waker` is called when there is.
    pub(crate) fn poll_read(
        &self,
        max: usize,
        waker: Option<&Waker>,
        put: impl FnMut(&[u8]),
    ) -> Poll<io::Result<usize>> {
        self.poll_chunks(waker, put, |core, now, chunks| {
            core.engine.read(now, self.id, max, chunks)
        })
    }

    /// Like [`poll_read`](Self::poll_read), into `buf`; a bulk reader reads directly from the
    /// device.
    pub(crate) fn poll_read_to(
        &self,
        waker: Option<&Waker>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buf.remaining();
        // Uninitialised memory would have to be written twice.
        if room >= LARGE_READ && buf.initialized().len() == buf.capacity() {
            let len = self
                .shard
                .receive_direct(self.id, buf.initialize_unfilled());
            if len > 0 {
                buf.advance(len);
                return Poll::Ready(Ok(()));
            }
        }
        let len = ready!(self.poll_read(room, waker, |piece| buf.put_slice(piece)))?;
        if room >= LARGE_READ {
            self.shard.note_read(self.id, len);
        }
        Poll::Ready(Ok(()))
    }

    /// Like [`poll_read`](Self::poll_read), but leaves the bytes in the receive buffer.
    pub(crate) fn poll_peek(
        &self,
        max: usize,
        waker: Option<&Waker>,
        put: impl FnMut(&[u8]),
    ) -> Poll<io::Result<usize>> {
        self.poll_chunks(waker, put, |core, _, chunks| {
            core.engine.peek(self.id, max, chunks)
        })
    }

    fn poll_chunks(
        &self,
        waker: Option<&Waker>,
        mut put: impl FnMut(&[u8]),
        read: impl FnOnce(&mut Core, Instant, &mut Vec<Bytes>) -> Result<Read, ConnectionError>,
    ) -> Poll<io::Result<usize>> {
        // Taken rather than borrowed: a destructor that runs inside may read, too.
        let mut chunks = CHUNKS.take();
        let result = self.shard.read_command(self.id, |core, now| {
            let read = read(core, now, &mut chunks);
            self.found(core, &read, waker)
        });
        for chunk in chunks.drain(..) {
            put(&chunk);
        }
        CHUNKS.set(chunks);
        result?
    }

    /// Reads the next piece, up to `max` bytes, without copying. Empty at the end of the stream.
    pub(crate) fn poll_read_bytes(
        &self,
        max: usize,
        waker: Option<&Waker>,
    ) -> Poll<io::Result<Bytes>> {
        let mut piece = FirstPiece::default();
        let result = self.shard.read_command(self.id, |core, now| {
            let mut found = core.engine.peek(self.id, max, &mut piece);
            if let Some(first) = piece.0.take() {
                found = core.engine.read(now, self.id, first.len(), &mut piece);
            }
            self.found(core, &found, waker)
        })?;
        result.map_ok(|_| piece.0.unwrap_or_default())
    }

    fn found(
        &self,
        core: &mut Core,
        read: &Result<Read, ConnectionError>,
        waker: Option<&Waker>,
    ) -> Poll<io::Result<usize>> {
        match read {
            Ok(Read::Data(len)) => Poll::Ready(Ok(*len)),
            Ok(Read::Eof) => Poll::Ready(Ok(0)),
            Ok(Read::WouldBlock) => {
                if let Some(waker) = waker {
                    core.waits.reader(self.id, waker);
                }
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error.into_io())),
        }
    }

    /// Writes the slices' bytes as far as there is room. If there is no room, `waker` is called
    /// when there is.
    pub(crate) fn poll_write(
        &self,
        waker: Option<&Waker>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let slices = &slices[..slices.len().min(MAX_WRITE_SLICES)];
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        if total > SMALL_WRITE {
            let room = ready!(self.shard.poll_room(self.id, waker));
            if room > SMALL_WRITE {
                let len = total.min(room).min(MAX_WRITE);
                let mut data = (len >= written::MIN).then(|| {
                    let (part, pinned) = self.shard.written.part(len);
                    (gather(slices, part), pinned)
                });
                // A writer with more data calls again. All of it then leaves in one burst, and the
                // peer's machine is woken once.
                let sends = if len < total {
                    Sends::Later
                } else {
                    self.sends()
                };
                let mut holds = false;
                let taken = self.shard.command(sends, |core, now| {
                    let taken = match &mut data {
                        Some((data, pinned)) => {
                            core.engine.write_pinning(now, self.id, data, *pinned)?
                        }
                        None => self.copy_in(core, now, slices, len)?,
                    };
                    holds = core.on_written(now, self.id, taken);
                    Ok::<_, WriteError>(taken)
                })?;
                if holds {
                    self.shard.driver.wake();
                }
                match taken {
                    Ok(0) => {}
                    Ok(taken) => return Poll::Ready(Ok(taken)),
                    Err(error) => return Poll::Ready(Err(error.into_io())),
                }
            }
        }
        if total == 0 {
            return self.poll_write_nothing(waker);
        }
        self.shard.command(self.sends(), |core, now| {
            let taken = match self.copy_in(core, now, slices, SMALL_WRITE) {
                Ok(taken) => taken,
                Err(error) => return Poll::Ready(Err(error.into_io())),
            };
            if taken == 0 {
                if let Some(waker) = waker {
                    core.waits.writer(self.id, waker);
                }
                return Poll::Pending;
            }
            Poll::Ready(Ok(taken))
        })?
    }

    /// A write of zero bytes reports the state of writing, as a write of one byte would.
    fn poll_write_nothing(&self, waker: Option<&Waker>) -> Poll<io::Result<usize>> {
        self.shard.command(Sends::Later, |core, now| {
            if let Err(error) = core.engine.write(now, self.id, &[]) {
                return Poll::Ready(Err(error.into_io()));
            }
            if core.engine.is_writable(self.id) {
                return Poll::Ready(Ok(0));
            }
            if let Some(waker) = waker {
                core.waits.writer(self.id, waker);
            }
            Poll::Pending
        })?
    }

    /// Copies the slices' first `most` bytes as far as there is room.
    fn copy_in(
        &self,
        core: &mut Core,
        now: Instant,
        slices: &[IoSlice<'_>],
        most: usize,
    ) -> Result<usize, WriteError> {
        let mut taken = 0;
        for slice in slices.iter().filter(|slice| !slice.is_empty()) {
            let slice = &slice[..slice.len().min(most - taken)];
            match core.engine.write(now, self.id, slice) {
                Ok(len) => {
                    taken += len;
                    if len < slice.len() || taken == most {
                        break;
                    }
                }
                Err(error) if taken == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(taken)
    }

    /// Takes a prefix of `data` without copying. Returns 0 if there is no room.
    pub(crate) fn write_bytes(&self, data: &mut Bytes) -> io::Result<usize> {
        self.shard
            .command(self.sends(), |core, now| {
                core.engine.write_bytes(now, self.id, data)
            })?
            .map_err(IntoIo::into_io)
    }

    /// Queues the FIN behind the written bytes. A repeated call, or one after the end of the
    /// connection, changes nothing.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        let result = self.shard.command(self.sends(), |core, now| {
            core.engine.shutdown_write(now, self.id)
        })?;
        match result {
            Ok(()) | Err(WriteError::Shutdown | WriteError::NotConnected) => Ok(()),
            Err(error) => Err(error.into_io()),
        }
    }

    /// Calls `f` if the connection is ready for something in `interest`.
    pub(crate) fn try_io<R>(
        &self,
        interest: Interest,
        f: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        let (ready, tick) = self.inspect(|core, id| readiness(core, id, interest));
        if ready.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let result = f();
        if let Err(error) = &result
            && error.kind() == io::ErrorKind::WouldBlock
        {
            self.shard
                .arrange(|core| core.waits.deny(self.id, tick, ready));
        }
        result
    }

    /// Waits in the connection's one place for readers.
    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let coop = ready!(coop::poll_proceed(cx));
        ready!(self.shard.arrange(|core| {
            if !readiness(core, self.id, Interest::READABLE).0.is_empty() {
                return Poll::Ready(());
            }
            core.waits.reader(self.id, cx.waker());
            Poll::Pending
        }));
        coop.made_progress();
        Poll::Ready(())
    }

    /// Waits in the connection's one place for writers.
    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let coop = ready!(coop::poll_proceed(cx));
        ready!(self.shard.arrange(|core| {
            if !readiness(core, self.id, Interest::WRITABLE).0.is_empty() {
                return Poll::Ready(());
            }
            core.waits.writer(self.id, cx.waker());
            Poll::Pending
        }));
        coop.made_progress();
        Poll::Ready(())
    }

    /// Waits in a queue with any number of other tasks.
    pub(crate) fn ready(&self, interest: Interest) -> WhenReady<'_> {
        WhenReady {
            connection: self,
            interest,
            ticket: Ticket::default(),
        }
    }

    /// Queries the engine about this connection.
    pub(crate) fn inspect<R>(&self, f: impl FnOnce(&Core, ConnectionId) -> R) -> R {
        self.shard.inspect(|core| f(core, self.id))
    }

    /// The peer's address, as long as the connection has a peer.
    pub(crate) fn peer(&self) -> io::Result<SocketAddr> {
        self.ask(|core, id| {
            let state = core.engine.state(id)?;
            (!matches!(state, State::Closed | State::TimeWait)).then_some(self.peer)
        })
    }

    /// Queries the engine for a value that exists as long as the connection does.
    pub(crate) fn ask<R>(&self, f: impl FnOnce(&Core, ConnectionId) -> Option<R>) -> io::Result<R> {
        self.inspect(|core, id| match core.closed() {
            Some(closed) => Err(closed.clone().into_io()),
            None => f(core, id).ok_or_else(not_connected),
        })
    }

    /// Changes something of this connection in the engine.
    pub(crate) fn command<R>(
        &self,
        f: impl FnOnce(&mut Core, Instant, ConnectionId) -> R,
    ) -> io::Result<R> {
        self.shard
            .command(self.sends(), |core, now| f(core, now, self.id))
    }

    /// A call about this connection sends this connection's packets.
    fn sends(&self) -> Sends {
        Sends::Connection(self.id)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shard.run(Sends::Connection(self.id), |core, now| {
            core.engine.close(now, self.id);
            core.waits.forget_connection(self.id);
        });
    }
}

/// A future that completes when a connection is ready for something.
pub(crate) struct WhenReady<'a> {
    connection: &'a Connection,
    interest: Interest,
    ticket: Ticket,
}

impl Future for WhenReady<'_> {
    type Output = Ready;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ready> {
        let Self {
            connection,
            interest,
            ticket,
        } = &mut *self;
        let id = connection.id;
        let coop = ready!(coop::poll_proceed(cx));
        let ready = ready!(connection.shard.arrange(|core| {
            let (ready, _) = readiness(core, id, *interest);
            if !ready.is_empty() {
                return Poll::Ready(ready);
            }
            core.waits
                .connection(id, events_of(*interest), ticket, cx.waker());
            Poll::Pending
        }));
        coop.made_progress();
        Poll::Ready(ready)
    }
}

impl Drop for WhenReady<'_> {
    fn drop(&mut self) {
        if self.ticket.is_held() {
            let id = self.connection.id;
            let ticket = &mut self.ticket;
            self.connection
                .shard
                .arrange(|core| core.waits.leave_connection(id, ticket));
        }
    }
}

/// Keeps the first piece that is read, and requests no more.
#[derive(Default)]
struct FirstPiece(Option<Bytes>);

impl Extend<Bytes> for FirstPiece {
    fn extend<I: IntoIterator<Item = Bytes>>(&mut self, pieces: I) {
        if self.0.is_none() {
            self.0 = pieces.into_iter().next();
        }
    }
}

/// Copies the slices' bytes into one piece, up to the length of `data`.
fn gather(slices: &[IoSlice<'_>], mut data: BytesMut) -> Bytes {
    let mut rest = &mut data[..];
    for slice in slices {
        let (place, after) = rest.split_at_mut(slice.len().min(rest.len()));
        place.copy_from_slice(&slice[..place.len()]);
        rest = after;
    }
    data.freeze()
}
