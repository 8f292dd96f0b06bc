//! [`AnyListener`]: accepts connections to every address, if the application accepts the attempt.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use millstream_engine::{Admission, AttemptId, ListenerId, State};
use tokio::task::coop;

use crate::net::connection::Connection;
use crate::net::group::Handle;
use crate::net::listening::{Listening, Place};
use crate::net::stream::TcpStream;
use crate::shard::{Core, Sends, Shard};

/// Receives every attempt to connect to an address and port that has no listener. Created by
/// [`Stack::listen_any`](crate::Stack::listen_any).
///
/// It serves VPNs, transparent proxies and bridges from a TUN interface to SOCKS. These receive
/// packets to any destination, and decide for each attempted connection whether they can serve it,
/// while the client's SYN waits.
///
/// ```no_run
/// # async fn f(stack: millstream::Stack) -> std::io::Result<()> {
/// let listener = stack.listen_any()?;
/// loop {
///     let mut attempt = listener.accept().await?;
///     tokio::spawn(async move {
///         // To the client it looks as if the destination itself had answered, or refused.
///         let there = tokio::select! {
///             there = tokio::net::TcpStream::connect(attempt.local_addr()) => there,
///             () = attempt.closed() => return,
///         };
///         let Ok(mut there) = there else {
///             return attempt.reject();
///         };
///         if let Ok(mut here) = attempt.accept().await {
///             let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
///         }
///     });
/// }
/// # }
/// ```
///
/// It receives only TCP: UDP, and pings to addresses that are not the stack's, are not passed on
/// (see [`Stack::listen_any`](crate::Stack::listen_any)).
///
/// Any number of tasks may wait in [`accept`](Self::accept) at once. Dropping the listener resets
/// the attempts that have not become connections.
pub struct AnyListener(Listening);

impl AnyListener {
    pub(crate) fn new(handle: Arc<Handle>, ids: Box<[ListenerId]>) -> Self {
        Self(Listening::new(handle, ids))
    }

    /// Waits for an attempt to connect.
    ///
    /// # Errors
    /// The stack has ended.
    ///
    /// # Cancel safety
    /// No attempt is lost.
    pub async fn accept(&self) -> io::Result<Attempt> {
        let mut waiting = Waiting {
            listener: self,
            place: Place::default(),
        };
        poll_fn(|cx| waiting.poll(cx)).await
    }

    /// Like [`accept`](Self::accept), for one task: only the last caller is woken.
    ///
    /// # Errors
    /// The stack has ended.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Attempt>> {
        let taken = ready!(self.0.poll(cx, take));
        Poll::Ready(taken.map(|(attempt, shard)| self.attempt(attempt, shard)))
    }

    fn attempt(&self, (listener, attempt): Taken, shard: &Arc<Shard>) -> Attempt {
        Attempt {
            handle: Arc::clone(self.0.handle()),
            shard: Arc::clone(shard),
            listener,
            id: attempt.id,
            local: attempt.local,
            peer: attempt.peer,
            answered: attempt.answered,
            open: true,
        }
    }
}

/// The engine's attempt, and the listener to which it came.
type Taken = (ListenerId, millstream_engine::Attempt);

fn take(core: &mut Core, id: ListenerId) -> Option<Taken> {
    core.engine.next_attempt(id).map(|attempt| (id, attempt))
}

impl fmt::Debug for AnyListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyListener").finish_non_exhaustive()
    }
}

/// A task that waits for an attempt.
struct Waiting<'a> {
    listener: &'a AnyListener,
    place: Place,
}

impl Waiting<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Attempt>> {
        let Self { listener, place } = self;
        let taken = ready!(listener.0.poll_in_line(cx, place, take));
        Poll::Ready(taken.map(|(attempt, shard)| listener.attempt(attempt, shard)))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.listener.0.leave_line(&mut self.place);
    }
}

/// An attempt to connect that waits for an answer. Dropping it [rejects](Self::reject) it.
///
/// Meanwhile the client retransmits its SYN, on Linux for about two minutes. An undecided attempt
/// ends by itself 75 seconds after its latest SYN, 180 seconds after its first SYN, or when the
/// client resets it. It also ends when new attempts need its room: they replace the oldest attempts
/// of the networks that make the most (see
/// [`TcpSocket::listen_any`](crate::TcpSocket::listen_any)). [`closed`](Self::closed) reports the
/// end.
#[must_use = "dropping an attempt rejects it"]
pub struct Attempt {
    handle: Arc<Handle>,
    shard: Arc<Shard>,
    listener: ListenerId,
    id: AttemptId,
    local: SocketAddr,
    peer: SocketAddr,
    answered: bool,
    /// Whether the attempt is undecided, or its accepted handshake is still in progress.
    open: bool,
}

impl Attempt {
    /// The address to which the client wants to connect: the original destination.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The client's address.
    #[must_use]
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// Whether the client is connected already. In a flood of attempts an accepted attempt may end,
    /// with [`ConnectionReset`](io::ErrorKind::ConnectionReset), because others need its room. If
    /// its client answers later, that answer makes another attempt: accepting it returns the
    /// connection at once, rejecting it resets the connection.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.answered
    }

    /// Waits until the attempt can no longer be answered: the client has reset it or given up,
    /// there is no room for it, or the listener or the stack has ended. From then on
    /// [`accept`](Self::accept) fails. Until then the attempt may still be accepted, and it is
    /// worth finding out whether it should be.
    ///
    /// ```no_run
    /// # async fn f(mut attempt: millstream::Attempt) -> std::io::Result<()> {
    /// let there = tokio::select! {
    ///     there = tokio::net::TcpStream::connect(attempt.local_addr()) => there?,
    ///     () = attempt.closed() => return Ok(()),
    /// };
    /// let here = attempt.accept().await?;
    /// # drop((here, there));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Nothing is lost: a later call reports the end again.
    pub async fn closed(&mut self) {
        poll_fn(|cx| self.poll_closed(cx)).await;
    }

    /// Answers the SYN, and waits for the end of the handshake.
    ///
    /// # Errors
    /// [`ConnectionReset`](io::ErrorKind::ConnectionReset): the client has reset its attempt or
    /// given up, before or during the handshake, or there was no room for it.
    /// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted): the listener was dropped before the
    /// handshake ended. [`NetworkDown`](io::ErrorKind::NetworkDown): the stack has ended.
    ///
    /// # Cancel safety
    /// Dropping the future resets the connection.
    pub async fn accept(mut self) -> io::Result<TcpStream> {
        self.shard
            .command(Sends::All, |core, now| core.engine.admit(now, self.id))?;
        let stream = poll_fn(|cx| self.poll_admission(cx)).await;
        self.open = false;
        stream
    }

    /// Answers with a reset, as for a port without a listener.
    pub fn reject(mut self) {
        self.end(true);
    }

    /// Does not answer, as a firewall may: the client retransmits its SYN for some time, and each
    /// retransmission is another attempt.
    pub fn ignore(mut self) {
        self.end(false);
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let coop = ready!(coop::poll_proceed(cx));
        let is_over = self.shard.command(Sends::Later, |core, _| {
            match core.engine.peek_admission(self.id) {
                Admission::Gone => return true,
                Admission::Pending => core.waits.attempt(self.id, cx.waker()),
                Admission::Established(accepted) => {
                    if core.engine.state(accepted.id) == Some(State::Closed) {
                        return true;
                    }
                    core.waits.reader(accepted.id, cx.waker());
                }
            }
            false
        });
        if !is_over.unwrap_or(true) {
            return Poll::Pending;
        }
        coop.made_progress();
        Poll::Ready(())
    }

    fn poll_admission(&self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        let coop = ready!(coop::poll_proceed(cx));
        let admission = self.shard.command(Sends::Later, |core, _| {
            let admission = core.engine.admission(self.id);
            match admission {
                Admission::Pending => core.waits.attempt(self.id, cx.waker()),
                Admission::Established(_) | Admission::Gone => core.waits.forget_attempt(self.id),
            }
            (
                admission,
                core.engine.listener_addr(self.listener).is_some(),
            )
        });
        let stream = match admission {
            Ok((Admission::Pending, _)) => return Poll::Pending,
            Ok((Admission::Established(accepted), _)) => {
                let (handle, shard) = (Arc::clone(&self.handle), Arc::clone(&self.shard));
                Ok(TcpStream::new(Connection::accepted(
                    handle, shard, accepted,
                )))
            }
            Ok((Admission::Gone, true)) => Err(io::Error::new(
                io::ErrorKind::ConnectionReset,
                "the client has given up",
            )),
            Ok((Admission::Gone, false)) => Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the listener is closed",
            )),
            Err(error) => Err(error),
        };
        coop.made_progress();
        Poll::Ready(stream)
    }

    fn end(&mut self, tell: bool) {
        if std::mem::replace(&mut self.open, false) {
            self.shard.run(Sends::All, |core, now| {
                core.waits.forget_attempt(self.id);
                if tell {
                    core.engine.refuse(now, self.id);
                } else {
                    core.engine.ignore(now, self.id);
                }
            });
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.end(true);
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("local", &self.local)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}
