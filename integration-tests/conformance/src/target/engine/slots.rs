//! The file descriptors of a script: what each of them is to the engine.

use std::net::SocketAddr;

use millstream_engine::{Binding, ConnectionError, ConnectionId, ListenerId, TcpInfo};

use super::super::convert::{bind_error, errno, is_at};
use super::super::settings::Settings;
use super::super::{Called, Errno, Failure, Socket, Target, Time};
use super::EngineTarget;

/// One file descriptor.
pub(super) struct Slot {
    pub(super) kind: Kind,
    pub(super) settings: Settings,
    /// A failure that was observed but not yet reported.
    pub(super) pending: Option<ConnectionError>,
}

pub(super) enum Kind {
    Fresh(Option<Binding>),
    Listening(ListenerId),
    Connecting(ConnectionId),
    Connected(ConnectionId),
    /// Closed; the caller waits until the peer has acknowledged everything, or until this time.
    Lingering {
        local: SocketAddr,
        remote: SocketAddr,
        until: Time,
    },
    Closed,
}

impl EngineTarget {
    pub(super) fn slot(&mut self, socket: Socket) -> Called<&mut Slot> {
        self.slots.get_mut(socket.0).ok_or(Errno::EBADF.into())
    }

    pub(super) fn add(&mut self, slot: Slot) -> Socket {
        self.slots.push(slot);
        Socket(self.slots.len() - 1)
    }

    /// The connection of a socket, or its failure, which is reported once.
    pub(super) fn connection(&mut self, socket: Socket) -> Called<ConnectionId> {
        let slot = self.slot(socket)?;
        if let Some(error) = slot.pending.take() {
            return Err(errno(error).into());
        }
        match slot.kind {
            Kind::Connecting(id) | Kind::Connected(id) => Ok(id),
            Kind::Fresh(_) | Kind::Listening(_) => Err(Errno::ENOTCONN.into()),
            Kind::Lingering { .. } | Kind::Closed => Err(Errno::EBADF.into()),
        }
    }

    /// Whether a lingering close has ended: the FIN has been acknowledged, or the time has passed
    /// (socket(7)).
    pub(super) fn lingered(&mut self, socket: Socket) -> Called<()> {
        if let Kind::Lingering {
            local,
            remote,
            until,
        } = self.slot(socket)?.kind
        {
            let waits = matches!(
                self.state(local, remote),
                "FIN-WAIT-1" | "CLOSING" | "LAST-ACK"
            );
            if waits && self.now < until {
                return Err(Failure::WouldBlock);
            }
            self.slot(socket)?.kind = Kind::Closed;
        }
        Ok(())
    }

    pub(super) fn connection_info(&mut self, socket: Socket) -> Option<TcpInfo> {
        match self.slots.get(socket.0)?.kind {
            Kind::Connecting(id) | Kind::Connected(id) => self.stack.info(id),
            Kind::Fresh(_) | Kind::Listening(_) | Kind::Lingering { .. } | Kind::Closed => None,
        }
    }

    /// Changes a socket's settings, and the options of its listener or connection.
    pub(super) fn change(
        &mut self,
        socket: Socket,
        change: impl FnOnce(&mut Settings) -> Called<()>,
    ) -> Called<()> {
        let now = self.instant();
        let slot = self.slot(socket)?;
        let mut settings = slot.settings.clone();
        change(&mut settings)?;
        let options = settings.options.clone();
        let set = match slot.kind {
            Kind::Listening(id) => self.stack.set_listener_options(id, |o| *o = options),
            Kind::Connecting(id) | Kind::Connected(id) => {
                self.stack.set_options(now, id, |o| *o = options.connection)
            }
            Kind::Fresh(_) => options.validate(),
            Kind::Lingering { .. } | Kind::Closed => return Err(Errno::EBADF.into()),
        };
        set.map_err(|_| Errno::EINVAL)?;
        self.slot(socket)?.settings = settings;
        self.drain();
        Ok(())
    }

    pub(super) fn bind_any(&mut self, socket: Socket) -> Called<Binding> {
        let slot = self.slot(socket)?;
        let reuse = slot.settings.reuse_addr;
        match &mut slot.kind {
            Kind::Fresh(binding) => match binding.take() {
                Some(binding) => Ok(binding),
                None => {
                    let any = SocketAddr::from(([0, 0, 0, 0], 0));
                    self.stack.bind(any, reuse).map_err(bind_error)
                }
            },
            _ => Err(Errno::EINVAL.into()),
        }
    }

    /// Whether a connection that an application could accept waits at a listener.
    pub(super) fn may_accept(&self, listener: Socket) -> bool {
        let Some(addr) = self.local_addr(listener) else {
            return false;
        };
        let held = |id| {
            let kinds = self.slots.iter().map(|slot| &slot.kind);
            kinds.clone().any(
                |kind| matches!(kind, Kind::Connecting(own) | Kind::Connected(own) if *own == id),
            )
        };
        let mut sockets = self.stack.sockets();
        sockets.any(|it| is_at(it.local, addr) && it.id.is_some_and(|id| !held(id)))
    }

    /// SO_ERROR. A connect that has ended since is reported as ended.
    pub(super) fn take_error(&mut self, socket: Socket) -> Called<i64> {
        let slot = self.slots.get_mut(socket.0).ok_or(Errno::EBADF)?;
        let error = match slot.kind {
            Kind::Connecting(id) | Kind::Connected(id) => {
                slot.pending.take().or_else(|| self.stack.take_error(id))
            }
            Kind::Fresh(_) | Kind::Listening(_) | Kind::Lingering { .. } | Kind::Closed => None,
        };
        Ok(error.map_or(0, |error| errno(error).number()))
    }
}
