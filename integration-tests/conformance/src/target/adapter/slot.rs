//! The state of one file descriptor over the adapter, and the mapping of the adapter's errors to
//! errno.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use millstream::{Stack, TcpListener, TcpSocket, TcpStream};
use millstream_engine::ConnectError;

use crate::target::convert::connect_error;
use crate::target::settings::Settings;
use crate::target::{Called, Errno, Failure};

/// A socket and its settings.
pub(super) struct Slot {
    pub(super) kind: Kind,
    pub(super) settings: Settings,
    /// A failure that was observed but not yet reported.
    pub(super) pending: Option<Errno>,
    /// Whether the success of a connect has not been reported yet.
    pub(super) untold: bool,
}

pub(super) enum Kind {
    /// The adapter's socket is created when its address family is known.
    Fresh(Option<Box<TcpSocket>>),
    Listening(TcpListener),
    Connecting(Connecting),
    Connected(TcpStream),
    /// A connect has failed and consumed the socket.
    Failed,
    Closed,
}

/// A connection attempt, which the adapter represents as a future.
pub(super) struct Connecting {
    pub(super) opening: LocalBoxFuture<'static, io::Result<TcpStream>>,
    pub(super) local: Option<SocketAddr>,
    pub(super) remote: SocketAddr,
}

impl Slot {
    /// A descriptor without pending results.
    pub(super) fn new(kind: Kind, settings: Settings) -> Self {
        Self {
            kind,
            settings,
            pending: None,
            untold: false,
        }
    }

    /// Checks whether a connect has ended.
    pub(super) fn poll_connect(&mut self, cx: &mut Context<'_>) {
        let Kind::Connecting(connecting) = &mut self.kind else {
            return;
        };
        self.kind = match connecting.opening.as_mut().poll(cx) {
            Poll::Pending => return,
            Poll::Ready(Ok(stream)) => {
                self.untold = true;
                Kind::Connected(stream)
            }
            Poll::Ready(Err(error)) => {
                self.pending = pending(&error);
                Kind::Failed
            }
        };
    }

    /// Creates an adapter socket for the family of `addr`: to bind, or to listen or connect without
    /// a bind.
    pub(super) fn open(&self, stack: &Stack, addr: SocketAddr) -> TcpSocket {
        let socket = if addr.is_ipv6() {
            stack.socket_v6()
        } else {
            stack.socket_v4()
        };
        // It cannot fail; the result exists for compatibility with tokio.
        let _ = socket.set_reuseaddr(self.settings.reuse_addr);
        socket
    }

    /// Takes the adapter's socket with all its settings, to listen or to connect.
    pub(super) fn take_fresh(&mut self, stack: &Stack, addr: SocketAddr) -> Called<TcpSocket> {
        let Kind::Fresh(bound) = &mut self.kind else {
            return Err(Errno::EINVAL.into());
        };
        let bound = bound.take();
        let fresh = bound.map_or_else(|| self.open(stack, addr), |bound| *bound);
        fresh
            .set_options(|options| options.clone_from(&self.settings.options))
            .map_err(|error| failure(&error))?;
        Ok(fresh)
    }

    /// Begins to connect.
    pub(super) fn connect(
        &mut self,
        stack: &Stack,
        addr: SocketAddr,
        cx: &mut Context<'_>,
    ) -> Called<()> {
        let fresh = self.take_fresh(stack, addr)?;
        let ends = || {
            stack
                .sockets()
                .into_iter()
                .map(|s| (s.local, s.peer, s.state))
        };
        let before: Vec<_> = ends().collect();
        let mut opening = fresh.connect(addr).boxed_local();
        if let Poll::Ready(result) = opening.as_mut().poll(cx) {
            let stream = result.map_err(|error| failure(&error))?;
            self.kind = Kind::Connected(stream);
            return Ok(());
        }
        // The future does not report the address that it has chosen.
        let new = ends().find(|end| end.1 == Some(addr) && !before.contains(end));
        self.kind = Kind::Connecting(Connecting {
            opening,
            local: new.map(|(local, ..)| local),
            remote: addr,
        });
        Err(Failure::WouldBlock)
    }

    /// The stream of a connected socket, or its failure, which is reported once.
    pub(super) fn stream(&mut self) -> Called<&mut TcpStream> {
        if let Some(error) = self.pending.take() {
            return Err(error.into());
        }
        match &mut self.kind {
            Kind::Connected(stream) => Ok(stream),
            Kind::Fresh(_) | Kind::Listening(_) => Err(Errno::ENOTCONN.into()),
            Kind::Connecting(_) => Err(unsupported("stream before the connection is open")),
            Kind::Failed => Err(unsupported("socket after a connect that has failed")),
            Kind::Closed => Err(Errno::EBADF.into()),
        }
    }

    /// Moves a failure of the stream, if there is an unreported one, to the pending failures.
    pub(super) fn take_error(&mut self) -> Called<()> {
        if let Kind::Connected(stream) = &self.kind
            && let Some(error) = stream.take_error().map_err(|error| failure(&error))?
        {
            self.pending = pending(&error);
        }
        Ok(())
    }
}

/// A feature that the adapter omits, as tokio does.
pub(super) fn unsupported(what: &str) -> Failure {
    Failure::Unsupported(format!("the adapter has no {what}"))
}

/// Maps the adapter's error to the socket interface.
pub(super) fn failure(error: &io::Error) -> Failure {
    let number = error.raw_os_error().map(i64::from);
    if let Some(errno) = number.and_then(Errno::from_number) {
        return errno.into();
    }
    let source = error.get_ref();
    if let Some(error) = source.and_then(|source| source.downcast_ref()) {
        return connect_error(ConnectError::clone(error));
    }
    match error.kind() {
        io::ErrorKind::WouldBlock => Failure::WouldBlock,
        io::ErrorKind::InvalidInput => Errno::EINVAL.into(),
        _ => unsupported(&format!("error number for `{error}`")),
    }
}

fn pending(error: &io::Error) -> Option<Errno> {
    match failure(error) {
        Failure::Error(errno) => Some(errno),
        Failure::WouldBlock | Failure::Unsupported(_) => None,
    }
}
