//! The engine itself, on virtual time, behind the socket interface.

mod convert;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use millstream_engine::{
    Binding, CongestionControl, ConnectionError, ConnectionId, Instant, Keepalive, ListenOptions,
    ListenerId, Read, RxChecksum, SocketOptions, Stack, State, TcpInfo, Transmit, WriteError,
};

use self::convert::{
    bind_error, config, connect_error, errno, info_field, no_congestion_control, state_number,
};

use super::{Called, Environment, Errno, Failure, Ready, Shutdown, SockOpt, Socket, Target, Time};

/// What the engine's clock shows when a script begins.
const ORIGIN: Instant = Instant::from_millis(1_000_000);

/// See the module.
pub struct EngineTarget {
    stack: Stack,
    now: Time,
    slots: Vec<Slot>,
    sent: VecDeque<(Time, Vec<u8>)>,
}

/// One file descriptor.
struct Slot {
    kind: Kind,
    options: SocketOptions,
    reuse_addr: bool,
    keepalive: bool,
    /// What keepalive does once it is on.
    keepalive_times: Keepalive,
    /// A failure that was seen and not yet told.
    pending: Option<ConnectionError>,
}

enum Kind {
    Fresh(Option<Binding>),
    Listening(ListenerId),
    Connecting(ConnectionId),
    Connected(ConnectionId),
    Closed,
}

impl EngineTarget {
    /// A stack in `environment`.
    ///
    /// # Errors
    /// What the engine has no setting for.
    pub fn new(environment: &Environment) -> Called<Self> {
        let config = config(environment)?;
        Ok(Self {
            stack: Stack::new(config, [environment.seed; 32]),
            now: Time::ZERO,
            slots: Vec::new(),
            sent: VecDeque::new(),
        })
    }

    fn instant(&self) -> Instant {
        ORIGIN + self.now
    }

    /// Takes out what the stack has to send.
    fn drain(&mut self) {
        let mut transmit = Transmit::new();
        while self.stack.poll_transmit(ORIGIN + self.now, &mut transmit) {
            let mut packet = Vec::new();
            transmit.write_to(&mut packet);
            self.sent.push_back((self.now, packet));
        }
        while self.stack.poll_event().is_some() {}
    }

    fn slot(&mut self, socket: Socket) -> Called<&mut Slot> {
        self.slots.get_mut(socket.0).ok_or(Errno::EBADF.into())
    }

    fn add(&mut self, slot: Slot) -> Socket {
        self.slots.push(slot);
        Socket(self.slots.len() - 1)
    }

    /// The connection behind a socket, and what it has failed with, if so: told once.
    fn connection(&mut self, socket: Socket) -> Called<ConnectionId> {
        let slot = self.slot(socket)?;
        if let Some(error) = slot.pending.take() {
            return Err(errno(error).into());
        }
        match slot.kind {
            Kind::Connecting(id) | Kind::Connected(id) => Ok(id),
            Kind::Fresh(_) | Kind::Listening(_) => Err(Errno::ENOTCONN.into()),
            Kind::Closed => Err(Errno::EBADF.into()),
        }
    }

    fn connection_info(&mut self, socket: Socket) -> Option<TcpInfo> {
        match self.slots.get(socket.0)?.kind {
            Kind::Connecting(id) | Kind::Connected(id) => self.stack.info(id),
            Kind::Fresh(_) | Kind::Listening(_) | Kind::Closed => None,
        }
    }

    /// Changes a socket's options wherever they are kept.
    fn change(&mut self, socket: Socket, change: impl Fn(&mut SocketOptions)) -> Called<()> {
        let now = self.instant();
        let slot = self.slot(socket)?;
        change(&mut slot.options);
        match slot.kind {
            Kind::Listening(id) => self.stack.set_listener_options(id, change),
            Kind::Connecting(id) | Kind::Connected(id) => self.stack.set_options(now, id, change),
            Kind::Fresh(_) => {}
            Kind::Closed => return Err(Errno::EBADF.into()),
        }
        self.drain();
        Ok(())
    }

    fn change_keepalive(&mut self, socket: Socket, change: impl FnOnce(&mut Slot)) -> Called<()> {
        let slot = self.slot(socket)?;
        change(slot);
        let keepalive = slot.keepalive.then_some(slot.keepalive_times);
        self.change(socket, |options| options.keepalive = keepalive)
    }

    fn bind_any(&mut self, socket: Socket) -> Called<Binding> {
        let slot = self.slot(socket)?;
        let reuse = slot.reuse_addr;
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
}

impl Target for EngineTarget {
    fn advance(&mut self, limit: Time) -> Time {
        let end = ORIGIN + limit;
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
        let options = self.stack.config().socket.clone();
        let keepalive_times = options.keepalive.unwrap_or_default();
        self.add(Slot {
            kind: Kind::Fresh(None),
            options: SocketOptions {
                keepalive: None,
                ..options
            },
            reuse_addr: false,
            keepalive: false,
            keepalive_times,
            pending: None,
        })
    }

    fn bind(&mut self, socket: Socket, addr: SocketAddr) -> Called<()> {
        let reuse = self.slot(socket)?.reuse_addr;
        if !matches!(self.slot(socket)?.kind, Kind::Fresh(None)) {
            return Err(Errno::EINVAL.into());
        }
        let binding = self.stack.bind(addr, reuse).map_err(bind_error)?;
        self.slot(socket)?.kind = Kind::Fresh(Some(binding));
        Ok(())
    }

    fn listen(&mut self, socket: Socket, backlog: usize) -> Called<()> {
        let binding = self.bind_any(socket)?;
        let options = ListenOptions {
            // Linux takes one more than it is told.
            backlog: backlog + 1,
            v6_only: false,
            socket: self.slot(socket)?.options.clone(),
        };
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
            options: listener.options.clone(),
            pending: None,
            ..*listener
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
                let options = slot.options.clone();
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
            Kind::Connecting(id) => match self.stack.is_connected(*id) {
                Ok(true) => {
                    slot.kind = Kind::Connected(*id);
                    Ok(())
                }
                Ok(false) => Err(Failure::WouldBlock),
                Err(error) => Err(errno(error).into()),
            },
            Kind::Connected(_) => Err(Errno::EISCONN.into()),
            Kind::Listening(_) | Kind::Closed => Err(Errno::EINVAL.into()),
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
        let slot = self.slot(socket)?;
        if slot.options.linger.is_some_and(|time| !time.is_zero()) {
            return Err(Failure::Unsupported(
                "the engine leaves a lingering close to its adapter".into(),
            ));
        }
        match std::mem::replace(&mut slot.kind, Kind::Closed) {
            Kind::Fresh(Some(binding)) => self.stack.unbind(binding),
            Kind::Fresh(None) => {}
            Kind::Listening(id) => self.stack.close_listener(now, id),
            Kind::Connecting(id) | Kind::Connected(id) => self.stack.close(now, id),
            Kind::Closed => return Err(Errno::EBADF.into()),
        }
        self.drain();
        Ok(())
    }

    fn set_option(&mut self, socket: Socket, option: SockOpt, value: i64) -> Called<()> {
        let byte = u8::try_from(value).map_err(|_| Failure::from(Errno::EINVAL));
        let bytes = usize::try_from(value).map_err(|_| Failure::from(Errno::EINVAL));
        let seconds = || {
            u64::try_from(value)
                .ok()
                .filter(|&value| value > 0)
                .map(Duration::from_secs)
                .ok_or(Failure::from(Errno::EINVAL))
        };
        match option {
            SockOpt::NoDelay => self.change(socket, |o| o.nodelay = value != 0),
            SockOpt::Cork => self.change(socket, |o| o.cork = value != 0),
            SockOpt::SendBuffer => {
                let size = bytes?;
                self.change(socket, |o| o.send_buffer = size)
            }
            SockOpt::ReceiveBuffer => {
                let size = bytes?;
                self.change(socket, |o| o.receive_buffer = size)
            }
            SockOpt::MaxSegment => {
                let size = u16::try_from(value).map_err(|_| Errno::EINVAL)?;
                self.change(socket, |o| o.max_segment_size = Some(size))
            }
            SockOpt::KeepAlive => self.change_keepalive(socket, |s| s.keepalive = value != 0),
            SockOpt::KeepIdle => {
                let idle = seconds()?;
                self.change_keepalive(socket, |s| s.keepalive_times.idle = idle)
            }
            SockOpt::KeepInterval => {
                let interval = seconds()?;
                self.change_keepalive(socket, |s| s.keepalive_times.interval = interval)
            }
            SockOpt::KeepCount => {
                let count = byte?;
                self.change_keepalive(socket, |s| s.keepalive_times.count = count)
            }
            SockOpt::UserTimeout => {
                let millis = u64::try_from(value).map_err(|_| Errno::EINVAL)?;
                let limit = (millis > 0).then(|| Duration::from_millis(millis));
                self.change(socket, |o| o.user_timeout = limit)
            }
            SockOpt::Tos => {
                let tos = byte? & !3;
                self.change(socket, |o| o.tos = tos)
            }
            SockOpt::Ttl => {
                let ttl = byte?;
                self.change(socket, |o| o.hop_limit = ttl)
            }
            SockOpt::ReuseAddr => {
                self.slot(socket)?.reuse_addr = value != 0;
                Ok(())
            }
            SockOpt::SynCount => {
                let count = byte?;
                self.change(socket, |o| o.syn_retries = count)
            }
            SockOpt::Error => Err(Errno::EINVAL.into()),
        }
    }

    fn option(&mut self, socket: Socket, option: SockOpt) -> Called<i64> {
        if option == SockOpt::Error {
            return self.take_error(socket);
        }
        let mss = self.connection_info(socket).map(|info| info.snd_mss);
        let slot = self.slot(socket)?;
        let options = &slot.options;
        Ok(match option {
            SockOpt::NoDelay => i64::from(options.nodelay),
            SockOpt::Cork => i64::from(options.cork),
            // Linux doubles what it is told, for its own bookkeeping.
            SockOpt::SendBuffer => 2 * options.send_buffer as i64,
            SockOpt::ReceiveBuffer => 2 * options.receive_buffer as i64,
            SockOpt::MaxSegment => i64::from(mss.unwrap_or(536)),
            SockOpt::KeepAlive => i64::from(slot.keepalive),
            SockOpt::KeepIdle => slot.keepalive_times.idle.as_secs() as i64,
            SockOpt::KeepInterval => slot.keepalive_times.interval.as_secs() as i64,
            SockOpt::KeepCount => i64::from(slot.keepalive_times.count),
            SockOpt::UserTimeout => options.user_timeout.map_or(0, |t| t.as_millis() as i64),
            SockOpt::Tos => i64::from(options.tos),
            SockOpt::Ttl => i64::from(options.hop_limit),
            SockOpt::ReuseAddr => i64::from(slot.reuse_addr),
            SockOpt::SynCount => i64::from(options.syn_retries),
            SockOpt::Error => unreachable!("answered above"),
        })
    }

    fn set_linger(&mut self, socket: Socket, linger: Option<Duration>) -> Called<()> {
        self.change(socket, |options| options.linger = linger)
    }

    fn set_congestion(&mut self, socket: Socket, name: &str) -> Called<()> {
        let slot = self.slot(socket)?;
        let Some(chosen) = CongestionControl::from_name(name) else {
            return Err(match name {
                "bbr" | "cubic" | "dctcp" | "reno" => no_congestion_control(name),
                _ => Errno::ENOENT.into(),
            });
        };
        let fresh = matches!(slot.kind, Kind::Fresh(_) | Kind::Listening(_));
        if !fresh && chosen != slot.options.congestion {
            return Err(Failure::Unsupported(
                "the engine does not change the congestion control of a connection".into(),
            ));
        }
        self.change(socket, |options| options.congestion = chosen)
    }

    fn readable_bytes(&mut self, socket: Socket) -> Called<usize> {
        match self.slot(socket)?.kind {
            Kind::Connecting(id) | Kind::Connected(id) => Ok(self.stack.readable_bytes(id)),
            Kind::Fresh(_) => Ok(0),
            Kind::Listening(_) => Err(Errno::EINVAL.into()),
            Kind::Closed => Err(Errno::EBADF.into()),
        }
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
            Kind::Listening(_) | Kind::Closed => Err(Failure::Unsupported(
                "poll of a listener or a closed socket".into(),
            )),
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
            Kind::Closed => None,
        }
    }

    fn peer_addr(&self, socket: Socket) -> Option<SocketAddr> {
        match self.slots.get(socket.0)?.kind {
            Kind::Connecting(id) | Kind::Connected(id) => self.stack.peer_addr(id),
            Kind::Fresh(_) | Kind::Listening(_) | Kind::Closed => None,
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

impl EngineTarget {
    /// SO_ERROR. A connect that ended meanwhile counts as ended.
    fn take_error(&mut self, socket: Socket) -> Called<i64> {
        let slot = self.slots.get_mut(socket.0).ok_or(Errno::EBADF)?;
        let error = match slot.kind {
            Kind::Connecting(id) | Kind::Connected(id) => {
                slot.pending.take().or_else(|| self.stack.take_error(id))
            }
            Kind::Fresh(_) | Kind::Listening(_) | Kind::Closed => None,
        };
        Ok(error.map_or(0, |error| errno(error).number()))
    }
}
