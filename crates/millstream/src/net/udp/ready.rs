//! The readiness of a UDP socket, as tokio reports it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use millstream_engine::Readiness;
use tokio::io::{Interest, Ready};
use tokio::task::coop;

use super::UdpSocket;
use crate::net::readiness::asked_about;
use crate::shard::Core;
use crate::shard::denied::Tick;
use crate::shard::wakers::{Line, Ticket};

impl UdpSocket {
    /// Waits until the socket is ready for something in `interest`. The call that follows may find
    /// that it is not.
    ///
    /// # Errors
    /// None; the result type follows tokio's. After the end of the stack everything is ready, and
    /// the call that follows reports the end.
    ///
    /// # Cancel safety
    /// Nothing changes.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        Ok(WhenReady {
            socket: self,
            interest,
            ticket: Ticket::default(),
        }
        .await)
    }

    /// Waits until a datagram can be read.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    ///
    /// # Cancel safety
    /// Nothing changes.
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await.map(drop)
    }

    /// Waits until a datagram can be sent.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    ///
    /// # Cancel safety
    /// Nothing changes.
    pub async fn writable(&self) -> io::Result<()> {
        self.ready(Interest::WRITABLE).await.map(drop)
    }

    /// Like [`readable`](Self::readable), for one task: only the last caller of a `poll_recv` method
    /// is woken.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ready_in_place(cx, Interest::READABLE)
    }

    /// Like [`writable`](Self::writable), for one task: only the last caller of a `poll_send` method
    /// is woken.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ready_in_place(cx, Interest::WRITABLE)
    }

    /// Calls `f` if the socket is ready for something in `interest`. If `f` returns
    /// [`WouldBlock`](io::ErrorKind::WouldBlock), that readiness does not count until something
    /// happens on the socket.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): it is not ready. What `f` returns.
    pub fn try_io<R>(
        &self,
        interest: Interest,
        f: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        let (ready, tick) = self.shard.inspect(|core| self.readiness(core, interest));
        if ready.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let result = f();
        if let Err(error) = &result
            && error.kind() == io::ErrorKind::WouldBlock
        {
            self.shard
                .arrange(|core| core.waits.deny_socket(self.id, tick, ready));
        }
        result
    }

    /// Waits until the socket is ready for something in `interest` and calls `f`, as often as `f`
    /// returns [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// # Errors
    /// What `f` returns.
    ///
    /// # Cancel safety
    /// `f` is not called after the future is dropped.
    pub async fn async_io<R>(
        &self,
        interest: Interest,
        mut f: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            self.ready(interest).await?;
            match self.try_io(interest, &mut f) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }

    fn poll_ready_in_place(
        &self,
        cx: &mut Context<'_>,
        interest: Interest,
    ) -> Poll<io::Result<()>> {
        let coop = ready!(coop::poll_proceed(cx));
        ready!(self.poll_ready(interest, Line::Place(cx.waker())));
        coop.made_progress();
        Poll::Ready(Ok(()))
    }

    fn poll_ready(&self, interest: Interest, line: Line<'_>) -> Poll<Ready> {
        self.shard.arrange(|core| {
            let (ready, _) = self.readiness(core, interest);
            if !ready.is_empty() {
                return Poll::Ready(ready);
            }
            core.waits.socket(self.id, events_of(interest), line);
            Poll::Pending
        })
    }

    /// The part of `interest` for which the socket is ready.
    fn readiness(&self, core: &Core, interest: Interest) -> (Ready, Tick) {
        let (denied, tick) = core.waits.socket_denied(self.id);
        let ready = if core.is_closed() {
            Ready::ALL
        } else {
            let engine = &core.engine;
            let mut ready = Ready::EMPTY;
            if engine.udp_is_readable(self.id) {
                ready |= Ready::READABLE;
            }
            if engine.udp_is_writable(self.id) {
                ready |= Ready::WRITABLE;
            }
            if engine.udp_has_failed(self.id) {
                ready |= Ready::ERROR;
            }
            ready - denied
        };
        (ready & asked_about(interest), tick)
    }
}

/// The events after which readiness for something in `interest` may have changed.
fn events_of(interest: Interest) -> Readiness {
    let mut events = Readiness::empty();
    // A failure is something to read.
    let readable = interest.is_readable() || !interest.is_writable();
    events.set(Readiness::READABLE, readable);
    events.set(Readiness::WRITABLE, interest.is_writable());
    events
}

/// A future that completes when a socket is ready for something.
struct WhenReady<'a> {
    socket: &'a UdpSocket,
    interest: Interest,
    ticket: Ticket,
}

impl Future for WhenReady<'_> {
    type Output = Ready;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ready> {
        let Self {
            socket,
            interest,
            ticket,
        } = &mut *self;
        let coop = ready!(coop::poll_proceed(cx));
        let ready = ready!(socket.poll_ready(*interest, Line::Queue(cx.waker(), ticket)));
        coop.made_progress();
        Poll::Ready(ready)
    }
}

impl Drop for WhenReady<'_> {
    fn drop(&mut self) {
        if self.ticket.is_held() {
            let (id, ticket) = (self.socket.id, &mut self.ticket);
            self.socket
                .shard
                .arrange(|core| core.waits.leave_socket(id, ticket));
        }
    }
}
