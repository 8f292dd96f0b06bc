//! The engine on virtual time, behind the socket interface.

mod slots;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use millstream_engine::{
    Binding, Instant, ListenOptions, Read, RxChecksum, Stack, State, Transmit, WriteError,
};

use self::slots::{Kind, Slot};
use super::convert::{
    bind_error, config, connect_error, errno, info_field, state_number, unacknowledged,
};
use super::settings::Settings;
use super::{Called, Environment, Errno, Failure, Ready, Shutdown, SockOpt, Socket, Target, Time};

/// The value of the engine's clock at the start of a script.
const ORIGIN: Instant = Instant::from_millis(1_000_000);

/// The engine as a target; see the module.
pub struct EngineTarget {
    stack: Stack,
    now: Time,
    slots: Vec<Slot>,
    sent: VecDeque<(Time, Vec<u8>)>,
    /// Whether only timers that are due at once fire.
    timeless: bool,
}

impl EngineTarget {
    /// A stack in `environment`.
    ///
    /// # Errors
    /// If the engine does not support a setting.
    pub fn new(environment: &Environment) -> Called<Self> {
        let config = config(environment)?;
        Ok(Self {
            stack: Stack::new(config, [environment.seed; 32]),
            now: Time::ZERO,
            slots: Vec::new(),
            sent: VecDeque::new(),
            timeless: false,
        })
    }

    /// Lets time pass without timers, except those that are due at once, as on a machine much
    /// faster than its timers.
    #[must_use]
    pub fn without_timers(self) -> Self {
        Self {
            timeless: true,
            ..self
        }
    }

    fn instant(&self) -> Instant {
        ORIGIN + self.now
    }

    /// Collects the stack's packets.
    fn drain(&mut self) {
        let mut transmit = Transmit::new();
        while self.stack.poll_transmit(ORIGIN + self.now, &mut transmit) {
            let mut packet = Vec::new();
            transmit.write_to(&mut packet);
            self.sent.push_back((self.now, packet));
        }
        while self.stack.poll_event().is_some() {}
    }
}

impl Target for EngineTarget {
    fn advance(&mut self, limit: Time) -> Time {
        let lingering = self.slots.iter().filter_map(|slot| match slot.kind {
            Kind::Lingering { until, .. } if until > self.now => Some(until),
            _ => None,
        });
        let limit = lingering.fold(limit, Time::min);
        let end = ORIGIN + if self.timeless { self.now } else { limit };
        match self.stack.poll_timeout().filter(|&due| due <= end) {
            Some(due) => {
                self.now = self.now.max(due - ORIGIN);
                self.stack.handle_timeout(ORIGIN + self.now);
                self.drain();
            }
            None => self.now = self.now.max(limit),
        }
        self.now
    }

    fn inject(&mut self, packet: Bytes) {
        let now = self.instant();
        self.stack
            .handle_packet(now, packet, RxChecksum::Unverified);
        self.drain();
    }

    fn take_packet(&mut self) -> Option<(Time, Vec<u8>)> {
        self.sent.pop_front()
    }

    fn socket(&mut self) -> Socket {
        let settings = Settings::new(&self.stack.config().socket);
        self.add(Slot {
            kind: Kind::Fresh(None),
            settings,
            pending: None,
        })
    }

    fn bind(&mut self, socket: Socket, addr: SocketAddr) -> Called<()> {
        let reuse = self.slot(socket)?.settings.reuse_addr;
        if !matches!(self.slot(socket)?.kind, Kind::Fresh(None)) {
            return Err(Errno::EINVAL.into());
        }
        let binding = self.stack.bind(addr, reuse).map_err(bind_error)?;
        self.slot(socket)?.kind = Kind::Fresh(Some(binding));
        Ok(())
    }

    fn listen(&mut self, socket: Socket, backlog: usize) -> Called<()> {
        let binding = self.bind_any(socket)?;
        let options = ListenOptions::default()
            // Linux accepts one more than the backlog.
            .backlog(backlog + 1)
            .v6_only(false)
            .socket(self.slot(socket)?.settings.options.clone());
        let id = self
            .stack
            .listen(binding, options)
            .map_err(|_| Errno::EADDRINUSE)?;
        self.slot(socket)?.kind = Kind::Listening(id);
        Ok(())
    }

    fn accept(&mut self, socket: Socket) -> Called<Socket> {
        let Kind::Listening(id) = self.slot(socket)?.kind else {
            return Err(Errno::EINVAL.into());
        };
        let accepted = self.stack.accept(id).ok_or(Failure::WouldBlock)?;
        let listener = self.slot(socket)?;
        let slot = Slot {
            kind: Kind::Connected(accepted.id),
            settings: listener.settings.clone(),
            pending: None,
        };
        Ok(self.add(slot))
    }

    fn connect(&mut self, socket: Socket, addr: SocketAddr) -> Called<()> {
        let now = self.instant();
        let slot = self.slots.get_mut(socket.0).ok_or(Errno::EBADF)?;
        if let Some(error) = slot.pending.take() {
            return Err(errno(error).into());
        }
        match &mut slot.kind {
            Kind::Fresh(binding) => {
                let options = slot.settings.options.clone();
                let id = self
                    .stack
                    .connect(now, binding.as_ref(), addr, options)
                    .map_err(connect_error)?;
                if let Some(binding) = binding.take() {
                    self.stack.unbind(binding);
                }
                slot.kind = Kind::Connecting(id);
                self.drain();
                Err(Failure::WouldBlock)
            }
            Kind::Connecting(id) => match self.stack.finish_connect(*id) {
                Ok(true) => {
                    slot.kind = Kind::Connected(*id);
                    Ok(())
                }
                Ok(false) => Err(Failure::WouldBlock),
                Err(error) => Err(errno(error).into()),
            },
            Kind::Connected(_) => Err(Errno::EISCONN.into()),
            Kind::Listening(_) | Kind::Lingering { .. } | Kind::Closed => Err(Errno::EINVAL.into()),
        }
    }

    fn send(&mut self, socket: Socket, data: &[u8], urgent: bool) -> Called<usize> {
        let id = self.connection(socket).map_err(|failure| match failure {
            Failure::Error(Errno::ENOTCONN) => Errno::EPIPE.into(),
            other => other,
        })?;
        let now = self.instant();
        let taken = if urgent {
            self.stack.write_urgent(now, id, data)
        } else {
            self.stack.write(now, id, data)
        };
        self.drain();
        match taken {
            Ok(0) if !data.is_empty() => Err(Failure::WouldBlock),
            Ok(length) => Ok(length),
            Err(WriteError::Connection(error)) => Err(errno(error).into()),
            Err(_) => Err(Errno::EPIPE.into()),
        }
    }

    fn recv(&mut self, socket: Socket, max: usize, peek: bool) -> Called<Vec<u8>> {
        let id = self.connection(socket)?;
        let now = self.instant();
        let mut pieces: Vec<Bytes> = Vec::new();
        let read = if peek {
            self.stack.peek(id, max, &mut pieces)
        } else {
            self.stack.read(now, id, max, &mut pieces)
        };
        self.drain();
        match read {
            Ok(Read::Data(_) | Read::Eof) => Ok(pieces.concat()),
            Ok(Read::WouldBlock) => Err(Failure::WouldBlock),
            Err(error) => Err(errno(error).into()),
        }
    }

    fn shutdown(&mut self, socket: Socket, how: Shutdown) -> Called<()> {
        let id = self.connection(socket)?;
        let now = self.instant();
        if how != Shutdown::Write {
            self.stack.shutdown_read(now, id);
        }
        let written = if how == Shutdown::Read {
            Ok(())
        } else {
            self.stack.shutdown_write(now, id)
        };
        self.drain();
        written.map_err(|_| Errno::ENOTCONN.into())
    }

    fn close(&mut self, socket: Socket) -> Called<()> {
        let now = self.instant();
        let ends = self.local_addr(socket).zip(self.peer_addr(socket));
        let slot = self.slot(socket)?;
        let linger = slot.settings.options.linger.unwrap_or_default();
        match std::mem::replace(&mut slot.kind, Kind::Closed) {
            Kind::Fresh(Some(binding)) => self.stack.unbind(binding),
            Kind::Fresh(None) => {}
            Kind::Listening(id) => self.stack.close_listener(now, id),
            Kind::Connecting(id) | Kind::Connected(id) => {
                self.stack.close(now, id);
                if let (Some((local, remote)), false) = (ends, linger.is_zero()) {
                    let until = self.now + linger;
                    self.slot(socket)?.kind = Kind::Lingering {
                        local,
                        remote,
                        until,
                    };
                }
            }
            waiting @ Kind::Lingering { .. } => self.slot(socket)?.kind = waiting,
            Kind::Closed => return Err(Errno::EBADF.into()),
        }
        self.drain();
        self.lingered(socket)
    }

    fn set_option(&mut self, socket: Socket, option: SockOpt, value: i64) -> Called<()> {
        self.change(socket, |settings| settings.set(option, value))?;
        let now = self.instant();
        if let (SockOpt::NoDelay, true, Kind::Connecting(id) | Kind::Connected(id)) =
            (option, value != 0, &self.slot(socket)?.kind)
        {
            let id = *id;
            self.stack.push(now, id);
            self.drain();
        }
        Ok(())
    }

    fn option(&mut self, socket: Socket, option: SockOpt) -> Called<i64> {
        if option == SockOpt::Error {
            return self.take_error(socket);
        }
        let mss = self.connection_info(socket).map(|info| info.snd_mss);
        self.slot(socket)?.settings.get(option, mss)
    }

    fn set_linger(&mut self, socket: Socket, linger: Option<Duration>) -> Called<()> {
        self.change(socket, |settings| {
            settings.options.linger = linger;
            Ok(())
        })
    }

    fn linger(&mut self, socket: Socket) -> Called<Option<Duration>> {
        Ok(self.slot(socket)?.settings.options.linger)
    }

    fn congestion(&mut self, socket: Socket) -> Called<String> {
        Ok(self
            .slot(socket)?
            .settings
            .options
            .congestion
            .name()
            .to_owned())
    }

    fn set_congestion(&mut self, socket: Socket, name: &str) -> Called<()> {
        self.change(socket, |settings| settings.set_congestion(name))
    }

    fn readable_bytes(&mut self, socket: Socket) -> Called<usize> {
        match self.slot(socket)?.kind {
            Kind::Connecting(id) | Kind::Connected(id) => Ok(self.stack.readable_bytes(id)),
            Kind::Fresh(_) => Ok(0),
            Kind::Listening(_) => Err(Errno::EINVAL.into()),
            Kind::Lingering { .. } | Kind::Closed => Err(Errno::EBADF.into()),
        }
    }

    fn unacknowledged_bytes(&mut self, socket: Socket) -> Called<usize> {
        let info = self.connection_info(socket).ok_or(Errno::EINVAL)?;
        Ok(unacknowledged(&info))
    }

    fn readiness(&mut self, socket: Socket) -> Called<Ready> {
        let slot = self.slots.get_mut(socket.0).ok_or(Errno::EBADF)?;
        match slot.kind {
            Kind::Connecting(id) | Kind::Connected(id) => {
                if let Some(error) = self.stack.take_error(id) {
                    slot.pending = Some(error);
                }
                let read_closed = self.stack.is_read_closed(id);
                Ok(Ready {
                    readable: self.stack.is_readable(id),
                    writable: self.stack.is_writable(id),
                    error: slot.pending.is_some(),
                    hangup: self.stack.state(id).is_none_or(|s| s == State::Closed)
                        || (read_closed && self.stack.is_write_closed(id)),
                    read_hangup: read_closed,
                })
            }
            Kind::Fresh(_) => Ok(Ready {
                writable: true,
                hangup: true,
                ..Ready::default()
            }),
            Kind::Listening(_) => Ok(Ready {
                readable: self.may_accept(socket),
                ..Ready::default()
            }),
            Kind::Lingering { .. } | Kind::Closed => Err(Errno::EBADF.into()),
        }
    }

    fn info(&mut self, socket: Socket, field: &str) -> Called<i64> {
        if matches!(self.slot(socket)?.kind, Kind::Listening(_)) && field == "tcpi_state" {
            return Ok(state_number(State::Listen));
        }
        let info = self.connection_info(socket).ok_or(Errno::ENOTCONN)?;
        info_field(&info, field).ok_or_else(|| {
            Failure::Unsupported(format!("the engine has no field {field} of TCP_INFO"))
        })
    }

    fn local_addr(&self, socket: Socket) -> Option<SocketAddr> {
        match &self.slots.get(socket.0)?.kind {
            Kind::Fresh(binding) => binding.as_ref().map(Binding::local_addr),
            Kind::Listening(id) => self.stack.listener_addr(*id),
            Kind::Connecting(id) | Kind::Connected(id) => self.stack.local_addr(*id),
            Kind::Lingering { .. } | Kind::Closed => None,
        }
    }

    fn peer_addr(&self, socket: Socket) -> Option<SocketAddr> {
        match self.slots.get(socket.0)?.kind {
            Kind::Connecting(id) | Kind::Connected(id) => self.stack.peer_addr(id),
            Kind::Fresh(_) | Kind::Listening(_) | Kind::Lingering { .. } | Kind::Closed => None,
        }
    }

    fn state(&self, local: SocketAddr, remote: SocketAddr) -> &'static str {
        self.stack
            .sockets()
            .find(|socket| socket.local == local && socket.peer == Some(remote))
            .map_or(State::Closed, |socket| socket.state)
            .name()
    }
}
