//! The tokio adapter on a paused clock, behind the socket interface.
//!
//! - this file: the calls; `slot`: the state of a descriptor; `world`: runtime, clock and wire.

mod slot;
mod world;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use millstream::{Stack, State, TcpStream};
use tokio::io::{AsyncWrite as _, Interest, ReadBuf, Ready as Readiness};

use self::slot::{Kind, Slot, failure, unsupported};
use self::world::World;
use super::convert::{config, info_field, is_at, state_number, unacknowledged};
use super::settings::Settings;
use super::{Called, Environment, Errno, Failure, Ready, Shutdown, SockOpt, Socket, Target, Time};

/// The adapter as a target; see the module.
pub struct AdapterTarget {
    stack: Stack,
    slots: Vec<Slot>,
    world: World,
}

impl AdapterTarget {
    /// A stack in `environment`.
    ///
    /// # Errors
    /// If the adapter, or the engine behind it, does not support a setting.
    pub fn new(environment: &Environment) -> Called<Self> {
        let config = config(environment)?;
        let (world, device) = World::new().map_err(|error| failure(&error))?;
        let entered = world.enter();
        let stack = Stack::builder()
            .device(device)
            .address(config.addresses[0])
            .config(|defaults| *defaults = config)
            .seed([environment.seed; 32])
            .build()
            .map_err(|error| Failure::Unsupported(error.to_string()))?;
        drop(entered);
        world.settle();
        Ok(Self {
            stack,
            slots: Vec::new(),
            world,
        })
    }

    /// Runs a call in the stack's world, and processes its consequences before it returns.
    fn call<T>(
        &mut self,
        socket: Socket,
        call: impl FnOnce(&mut Slot, &Stack, &mut Context<'_>) -> Called<T>,
    ) -> Called<T> {
        let waker = self.world.waker();
        let mut cx = Context::from_waker(&waker);
        let slot = self.slots.get_mut(socket.0).ok_or(Errno::EBADF)?;
        let entered = self.world.enter();
        slot.poll_connect(&mut cx);
        let called = call(slot, &self.stack, &mut cx);
        drop(entered);
        self.world.settle();
        called
    }

    fn add(&mut self, slot: Slot) -> Socket {
        self.slots.push(slot);
        Socket(self.slots.len() - 1)
    }

    /// Changes a socket's settings, and the options of its listener or connection.
    fn change(
        &mut self,
        socket: Socket,
        change: impl FnOnce(&mut Settings) -> Called<()>,
    ) -> Called<()> {
        self.call(socket, |slot, _, _| {
            let mut settings = slot.settings.clone();
            change(&mut settings)?;
            settings.options.validate().map_err(|_| Errno::EINVAL)?;
            let options = settings.options.clone();
            slot.settings = settings;
            match &slot.kind {
                Kind::Fresh(_) | Kind::Failed => Ok(()),
                Kind::Connected(stream) => stream
                    .set_options(|current| *current = options.connection)
                    .map_err(|error| failure(&error)),
                Kind::Listening(_) => Err(unsupported("options of a listener that listens")),
                Kind::Connecting(_) => Err(unsupported("options of a connection not yet open")),
                Kind::Closed => Err(Errno::EBADF.into()),
            }
        })
    }
}

impl Target for AdapterTarget {
    fn advance(&mut self, limit: Time) -> Time {
        self.world.advance(limit)
    }

    fn inject(&mut self, packet: Bytes) {
        self.world.inject(packet);
    }

    fn take_packet(&mut self) -> Option<(Time, Vec<u8>)> {
        self.world.take_packet()
    }

    fn socket(&mut self) -> Socket {
        let settings = Settings::new(&self.stack.socket_v4().options());
        self.add(Slot::new(Kind::Fresh(None), settings))
    }

    fn bind(&mut self, socket: Socket, addr: SocketAddr) -> Called<()> {
        self.call(socket, |slot, stack, _| {
            let Kind::Fresh(None) = slot.kind else {
                return Err(Errno::EINVAL.into());
            };
            let fresh = slot.open(stack, addr);
            fresh.bind(addr).map_err(|error| failure(&error))?;
            slot.kind = Kind::Fresh(Some(Box::new(fresh)));
            Ok(())
        })
    }

    fn listen(&mut self, socket: Socket, backlog: usize) -> Called<()> {
        self.call(socket, |slot, stack, _| {
            let any = SocketAddr::from(([0, 0, 0, 0], 0));
            let fresh = slot.take_fresh(stack, any)?;
            let backlog = u32::try_from(backlog).unwrap_or(u32::MAX);
            let listener = fresh.listen(backlog).map_err(|error| failure(&error))?;
            slot.kind = Kind::Listening(listener);
            Ok(())
        })
    }

    fn accept(&mut self, socket: Socket) -> Called<Socket> {
        let slot = self.call(socket, |slot, _, cx| {
            let Kind::Listening(listener) = &slot.kind else {
                return Err(Errno::EINVAL.into());
            };
            let (stream, _) = ready(listener.poll_accept(cx))?;
            Ok(Slot::new(Kind::Connected(stream), slot.settings.clone()))
        })?;
        Ok(self.add(slot))
    }

    fn connect(&mut self, socket: Socket, addr: SocketAddr) -> Called<()> {
        self.call(socket, |slot, stack, cx| {
            if let Some(error) = slot.pending.take() {
                return Err(error.into());
            }
            match &slot.kind {
                Kind::Fresh(_) => slot.connect(stack, addr, cx),
                Kind::Connecting(_) => Err(Failure::WouldBlock),
                Kind::Connected(_) if std::mem::take(&mut slot.untold) => Ok(()),
                Kind::Connected(_) => Err(Errno::EISCONN.into()),
                Kind::Failed => Err(unsupported("second connect after one that has failed")),
                Kind::Listening(_) | Kind::Closed => Err(Errno::EINVAL.into()),
            }
        })
    }

    fn send(&mut self, socket: Socket, data: &[u8], urgent: bool) -> Called<usize> {
        if urgent {
            return Err(unsupported("MSG_OOB"));
        }
        self.call(socket, |slot, _, cx| {
            let stream = slot.stream().map_err(|failure| match failure {
                Failure::Error(Errno::ENOTCONN) => Errno::EPIPE.into(),
                other => other,
            })?;
            let mut taken = 0;
            loop {
                match stream.try_write(&data[taken..]) {
                    Ok(more) => taken += more,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        let _ = stream.poll_write_ready(cx);
                        return some(taken);
                    }
                    Err(_) if taken > 0 => return Ok(taken),
                    Err(error) => return Err(failure(&error)),
                }
                if taken == data.len() {
                    return Ok(taken);
                }
            }
        })
    }

    fn recv(&mut self, socket: Socket, max: usize, peek: bool) -> Called<Vec<u8>> {
        self.call(socket, |slot, _, cx| {
            let stream = slot.stream()?;
            if peek {
                return self::peek(stream, max, cx);
            }
            let mut data = vec![0; max];
            let read = stream.try_read(&mut data);
            if matches!(&read, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
                let _ = stream.poll_read_ready(cx);
            }
            data.truncate(read.map_err(|error| failure(&error))?);
            Ok(data)
        })
    }

    fn shutdown(&mut self, socket: Socket, how: Shutdown) -> Called<()> {
        self.call(socket, |slot, _, cx| {
            let stream = slot.stream()?;
            if how != Shutdown::Write {
                return Err(unsupported("SHUT_RD"));
            }
            match Pin::new(stream).poll_shutdown(cx) {
                Poll::Ready(Err(_)) => Err(Errno::ENOTCONN.into()),
                done => ready(done),
            }
        })
    }

    fn close(&mut self, socket: Socket) -> Called<()> {
        self.call(socket, |slot, _, _| {
            let linger = slot.settings.options.linger;
            if linger.is_some_and(|time| !time.is_zero()) {
                return Err(unsupported("close that lingers"));
            }
            match std::mem::replace(&mut slot.kind, Kind::Closed) {
                Kind::Closed => Err(Errno::EBADF.into()),
                _ => Ok(()),
            }
        })
    }

    fn set_option(&mut self, socket: Socket, option: SockOpt, value: i64) -> Called<()> {
        self.change(socket, |settings| settings.set(option, value))?;
        self.call(socket, |slot, _, _| match &slot.kind {
            Kind::Connected(stream) if option == SockOpt::NoDelay => stream
                .set_nodelay(value != 0)
                .map_err(|error| failure(&error)),
            _ => Ok(()),
        })
    }

    fn option(&mut self, socket: Socket, option: SockOpt) -> Called<i64> {
        self.call(socket, |slot, _, _| {
            if option == SockOpt::Error {
                slot.take_error()?;
                return Ok(slot.pending.take().map_or(0, Errno::number));
            }
            let mss = match &slot.kind {
                Kind::Connected(stream) => stream.info().ok().map(|info| info.snd_mss),
                _ => None,
            };
            slot.settings.get(option, mss)
        })
    }

    fn set_linger(&mut self, socket: Socket, linger: Option<Duration>) -> Called<()> {
        self.change(socket, |settings| {
            settings.options.linger = linger;
            Ok(())
        })
    }

    fn linger(&mut self, socket: Socket) -> Called<Option<Duration>> {
        self.call(socket, |slot, _, _| Ok(slot.settings.options.linger))
    }

    fn congestion(&mut self, socket: Socket) -> Called<String> {
        self.call(socket, |slot, _, _| {
            Ok(slot.settings.options.congestion.name().to_owned())
        })
    }

    fn set_congestion(&mut self, socket: Socket, name: &str) -> Called<()> {
        self.change(socket, |settings| settings.set_congestion(name))
    }

    fn readable_bytes(&mut self, socket: Socket) -> Called<usize> {
        self.call(socket, |slot, _, cx| match &slot.kind {
            Kind::Connected(stream) => {
                match peek(stream, slot.settings.options.receive_buffer, cx) {
                    Ok(data) => Ok(data.len()),
                    Err(Failure::WouldBlock) => Ok(0),
                    Err(Failure::Error(error)) => {
                        slot.pending = Some(error);
                        Ok(0)
                    }
                    Err(failure) => Err(failure),
                }
            }
            Kind::Fresh(_) | Kind::Connecting(_) | Kind::Failed => Ok(0),
            Kind::Listening(_) => Err(Errno::EINVAL.into()),
            Kind::Closed => Err(Errno::EBADF.into()),
        })
    }

    fn unacknowledged_bytes(&mut self, socket: Socket) -> Called<usize> {
        self.call(socket, |slot, _, _| match &slot.kind {
            Kind::Connected(stream) => {
                let info = stream.info().map_err(|error| failure(&error))?;
                Ok(unacknowledged(&info))
            }
            _ => Err(Errno::EINVAL.into()),
        })
    }

    fn readiness(&mut self, socket: Socket) -> Called<Ready> {
        let acceptable = self.may_accept(socket);
        self.call(socket, |slot, _, cx| {
            slot.take_error()?;
            let error = slot.pending.is_some();
            match &slot.kind {
                Kind::Connected(stream) => Ok(readiness(stream, error, cx)),
                Kind::Connecting(_) => Ok(Ready::default()),
                Kind::Fresh(_) => Ok(Ready {
                    writable: true,
                    hangup: true,
                    ..Ready::default()
                }),
                Kind::Failed => Ok(Ready {
                    readable: true,
                    writable: true,
                    error,
                    hangup: true,
                    read_hangup: true,
                }),
                Kind::Listening(_) => Ok(Ready {
                    readable: acceptable,
                    ..Ready::default()
                }),
                Kind::Closed => Err(Errno::EBADF.into()),
            }
        })
    }

    fn info(&mut self, socket: Socket, field: &str) -> Called<i64> {
        self.call(socket, |slot, _, _| match &slot.kind {
            Kind::Connected(stream) => {
                let info = stream.info().map_err(|error| failure(&error))?;
                info_field(&info, field)
                    .ok_or_else(|| unsupported(&format!("field {field} of TCP_INFO")))
            }
            Kind::Listening(_) if field == "tcpi_state" => Ok(state_number(State::Listen)),
            Kind::Connecting(_) => Err(unsupported("TCP_INFO before the connection is open")),
            _ => Err(Errno::ENOTCONN.into()),
        })
    }

    fn local_addr(&self, socket: Socket) -> Option<SocketAddr> {
        match &self.slots.get(socket.0)?.kind {
            Kind::Fresh(fresh) => fresh.as_ref()?.local_addr().ok(),
            Kind::Listening(listener) => listener.local_addr().ok(),
            Kind::Connecting(connecting) => connecting.local,
            Kind::Connected(stream) => stream.local_addr().ok(),
            Kind::Failed | Kind::Closed => None,
        }
    }

    fn state(&self, local: SocketAddr, remote: SocketAddr) -> &'static str {
        let sockets = self.stack.sockets();
        let found = sockets
            .iter()
            .find(|socket| socket.local == local && socket.peer == Some(remote));
        found.map_or(State::Closed, |socket| socket.state).name()
    }

    fn peer_addr(&self, socket: Socket) -> Option<SocketAddr> {
        match &self.slots.get(socket.0)?.kind {
            Kind::Connecting(connecting) => Some(connecting.remote),
            Kind::Connected(stream) => stream.peer_addr().ok(),
            Kind::Fresh(_) | Kind::Listening(_) | Kind::Failed | Kind::Closed => None,
        }
    }
}

impl AdapterTarget {
    /// Whether a connection that an application could accept waits at a listener.
    fn may_accept(&self, listener: Socket) -> bool {
        let Some(addr) = self.local_addr(listener) else {
            return false;
        };
        let held: Vec<_> = (0..self.slots.len())
            .map(Socket)
            .map(|socket| (self.local_addr(socket), self.peer_addr(socket)))
            .collect();
        let sockets = self.stack.sockets();
        sockets.iter().any(|it| {
            is_at(it.local, addr) && it.id.is_some() && !held.contains(&(Some(it.local), it.peer))
        })
    }
}

fn peek(stream: &TcpStream, max: usize, cx: &mut Context<'_>) -> Called<Vec<u8>> {
    let mut data = vec![0; max];
    let mut buf = ReadBuf::new(&mut data);
    let len = ready(stream.poll_peek(cx, &mut buf))?;
    data.truncate(len);
    Ok(data)
}

fn readiness(stream: &TcpStream, error: bool, cx: &mut Context<'_>) -> Ready {
    let both = Interest::READABLE | Interest::WRITABLE;
    let ready = stream.ready(both).now_or_never();
    let ready = ready.and_then(Result::ok).unwrap_or(Readiness::EMPTY);
    // The caller is woken by both events.
    let _ = stream.poll_read_ready(cx);
    let _ = stream.poll_write_ready(cx);
    let closed = stream.state() == State::Closed;
    Ready {
        readable: ready.is_readable(),
        writable: ready.is_writable(),
        error,
        hangup: closed || (ready.is_read_closed() && ready.is_write_closed()),
        read_hangup: ready.is_read_closed(),
    }
}

/// The number of bytes moved; zero means that the call waits.
fn some(moved: usize) -> Called<usize> {
    match moved {
        0 => Err(Failure::WouldBlock),
        moved => Ok(moved),
    }
}

fn ready<T>(poll: Poll<io::Result<T>>) -> Called<T> {
    match poll {
        Poll::Ready(result) => result.map_err(|error| failure(&error)),
        Poll::Pending => Err(Failure::WouldBlock),
    }
}
