//! What an application may ask for: bind, listen, connect, read, write, close, and questions.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use super::demux::Connection;
use super::ports::Hold;
use super::{Stack, seen_addresses};
use crate::config::{Config, SocketOptions};
use crate::error::{BindError, ConnectError, ConnectionError, ListenError};
use crate::id::{ConnectionId, ListenerId};
use crate::info::TcpInfo;
use crate::stats::Counters;
use crate::tcb::state::State;
use crate::tcb::{Birth, Context, Offer, Outcome, Tcb};
use crate::time::Instant;
use crate::tuple::FourTuple;

/// A local address held for a socket that neither listens nor connects yet. Give it back with
/// [`Stack::unbind`].
#[derive(Debug)]
#[must_use = "the address stays taken until the binding is given back"]
pub struct Binding {
    addr: SocketAddr,
    reuse: bool,
}

impl Binding {
    /// The address, with the port that was chosen if none was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }
}

/// How to listen.
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// Bound on the connections not yet accepted, and separately on the half-open ones.
    pub backlog: usize,
    /// An unspecified IPv6 address takes no IPv4 connections (`IPV6_V6ONLY`).
    pub v6_only: bool,
    /// What accepted connections start with.
    pub socket: SocketOptions,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            backlog: 1024,
            v6_only: false,
            socket: SocketOptions::default(),
        }
    }
}

/// A connection taken from a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its name.
    pub id: ConnectionId,
    /// Our end: the address that the peer asked for.
    pub local: SocketAddr,
    /// The peer.
    pub peer: SocketAddr,
}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes.
    Data(usize),
    /// The peer has closed and everything has been read, or this side shut down reading.
    Eof,
    /// Nothing yet.
    WouldBlock,
}

/// Why a write cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WriteError {
    /// The connection failed; this is the first call to be told.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The connection is over, as an earlier call was told, or this side has shut down writing.
    #[error("broken pipe")]
    BrokenPipe,
    /// This state does not take data.
    #[error("cannot send after shutdown")]
    Shutdown,
    /// There is no such connection.
    #[error("not connected")]
    NotConnected,
}

/// One line of what `ss` would show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketSummary {
    /// Our end.
    pub local: SocketAddr,
    /// The other end; `None` for a listener.
    pub peer: Option<SocketAddr>,
    /// The state.
    pub state: State,
    /// The connection's name, if an application holds it.
    pub id: Option<ConnectionId>,
}

/// Opening.
impl Stack {
    /// Holds a local address. The address may be unspecified, and port 0 asks for a free one.
    ///
    /// # Errors
    ///
    /// [`BindError::AddrInUse`] if the address is held, TIME-WAIT included. With `reuse_addr` it may be
    /// shared with sockets that have it too, and with TIME-WAIT, but not with a listener.
    pub fn bind(&mut self, addr: SocketAddr, reuse_addr: bool) -> Result<Binding, BindError> {
        let mut addr = SocketAddr::new(addr.ip().to_canonical(), addr.port());
        if !addr.ip().is_unspecified() && !self.is_local(addr.ip()) {
            return Err(BindError::AddrNotAvailable(addr.ip()));
        }
        if addr.port() == 0 {
            let port = self
                .ports
                .free_port(addr.ip())
                .ok_or(BindError::NoPortFree)?;
            addr.set_port(port);
        } else if !self.ports.is_free(addr, reuse_addr) {
            return Err(BindError::AddrInUse(addr));
        }
        self.ports.hold(addr, Hold::Socket { reuse: reuse_addr });
        Ok(Binding {
            addr,
            reuse: reuse_addr,
        })
    }

    /// Gives a binding back. A connection made with it goes on holding the port by itself.
    #[expect(clippy::needless_pass_by_value, reason = "the binding is used up")]
    pub fn unbind(&mut self, binding: Binding) {
        let reuse = binding.reuse;
        self.ports.release(binding.addr, Hold::Socket { reuse });
    }

    /// Listens on a bound address (RFC 9293 3.9.1.1, passive OPEN). The binding is used up either way.
    ///
    /// # Errors
    ///
    /// [`ListenError::AddrInUse`] if another listener has the address.
    pub fn listen(
        &mut self,
        binding: Binding,
        options: ListenOptions,
    ) -> Result<ListenerId, ListenError> {
        let addr = binding.addr;
        self.unbind(binding);
        if self.ports.has_listener(addr) {
            return Err(ListenError::AddrInUse(addr));
        }
        self.ports.hold(addr, Hold::Listener);
        Ok(self.listeners.insert(addr, options))
    }

    /// The address a listener listens on.
    #[must_use]
    pub fn listener_addr(&self, id: ListenerId) -> Option<SocketAddr> {
        self.listeners.get(id).map(|listener| listener.addr)
    }

    /// What connections of a listener start with; a change holds for those whose handshake is still to come.
    pub fn set_listener_options(
        &mut self,
        id: ListenerId,
        change: impl FnOnce(&mut SocketOptions),
    ) {
        if let Some(listener) = self.listeners.get_mut(id) {
            change(Arc::make_mut(&mut listener.options));
        }
    }

    /// The options that connections of a listener start with.
    #[must_use]
    pub fn listener_options(&self, id: ListenerId) -> Option<&SocketOptions> {
        self.listeners.get(id).map(|listener| &*listener.options)
    }

    /// Begins to connect (RFC 9293 3.9.1.1, active OPEN): the SYN is ready to be sent when this returns.
    /// [`Readiness::CONNECTED`](crate::Readiness::CONNECTED) tells when it is decided; ask
    /// [`is_connected`](Self::is_connected) then.
    ///
    /// # Errors
    ///
    /// What can be known before anything is sent: see [`ConnectError`].
    pub fn connect(
        &mut self,
        now: Instant,
        binding: Option<&Binding>,
        remote: SocketAddr,
        options: SocketOptions,
    ) -> Result<ConnectionId, ConnectError> {
        let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        if remote.port() == 0 || !self.is_single_host(remote.ip()) {
            return Err(ConnectError::InvalidDestination(remote));
        }
        if !self.is_routed(remote.ip()) {
            return Err(ConnectError::NetworkUnreachable(remote.ip()));
        }
        let tuple = self.choose_tuple(binding, remote)?;
        let birth = Birth {
            tuple,
            now,
            iss: self.isn.isn(&tuple, now),
            timestamp_offset: self.isn.timestamp_offset(&tuple),
        };
        let ours = Offer::ours(&self.config, &options, tuple.local_ip);
        let mut tcb = Tcb::active(&birth, &ours, Arc::new(options));
        tcb.reuse = binding.is_none_or(|binding| binding.reuse);
        let id = self.adopt(tcb);
        self.counters.active_opens += 1;
        self.with_connection(now, id.index, |tcb, cx| {
            tcb.begin(cx);
            Outcome::Alive
        });
        Ok(id)
    }

    fn choose_tuple(
        &mut self,
        binding: Option<&Binding>,
        remote: SocketAddr,
    ) -> Result<FourTuple, ConnectError> {
        let unavailable = ConnectError::AddrNotAvailable(remote);
        let bound = binding.map(|binding| binding.addr);
        let local_ip = match bound.map(|addr| addr.ip()) {
            Some(ip) if !ip.is_unspecified() => ip,
            Some(IpAddr::V4(any)) if remote.is_ipv6() => {
                let local = SocketAddr::new(any.into(), 0);
                return Err(ConnectError::FamilyMismatch { local, remote });
            }
            _ => self.source_for(remote.ip()).ok_or(unavailable)?,
        };
        let mut local = SocketAddr::new(local_ip, bound.map_or(0, |addr| addr.port()));
        if local.is_ipv4() != remote.is_ipv4() {
            return Err(ConnectError::FamilyMismatch { local, remote });
        }
        if local.port() == 0 {
            let tuple = FourTuple::new(local, remote);
            let demux = &self.demux;
            let taken = |port| {
                let candidate = FourTuple {
                    local_port: port,
                    ..tuple
                };
                demux.find(&candidate).is_some()
            };
            let port = self
                .ports
                .connection_port(&tuple, taken)
                .ok_or(unavailable)?;
            local.set_port(port);
        }
        let tuple = FourTuple::new(local, remote);
        if self.demux.find(&tuple).is_some() {
            return Err(ConnectError::AddrInUse { local, remote });
        }
        Ok(tuple)
    }

    /// Whether the handshake is over. A failure is reported once.
    ///
    /// # Errors
    ///
    /// Why the connection could not be made.
    pub fn is_connected(&mut self, id: ConnectionId) -> Result<bool, ConnectionError> {
        let Some(connection) = self.demux.held_mut(id) else {
            return Err(ConnectionError::Aborted);
        };
        let tcb = &mut connection.tcb;
        if let Some(error) = tcb.take_error() {
            return Err(error);
        }
        match tcb.state {
            State::Closed if tcb.error_reported => Err(ConnectionError::Aborted),
            State::SynSent | State::SynReceived => Ok(false),
            _ => Ok(true),
        }
    }
}

/// Reading, writing, closing.
impl Stack {
    /// Moves up to `max` received bytes to `out`. A failure is reported once, as `ECONNRESET` is by
    /// Linux; after that, end of stream.
    ///
    /// # Errors
    ///
    /// How the connection failed.
    pub fn read(
        &mut self,
        now: Instant,
        id: ConnectionId,
        max: usize,
        out: &mut impl Extend<Bytes>,
    ) -> Result<Read, ConnectionError> {
        let mut result = Ok(Read::Eof);
        let index = self.with_held(id, |tcb| {
            result = tcb.read(max, out);
            !tcb.owed.is_empty()
        });
        if let Some(index) = index {
            self.with_connection(now, index, |_, _| Outcome::Alive);
        }
        result
    }

    /// Copies references to up to `max` received bytes to `out` and leaves them to be read.
    ///
    /// # Errors
    ///
    /// How the connection failed.
    pub fn peek(
        &mut self,
        id: ConnectionId,
        max: usize,
        out: &mut impl Extend<Bytes>,
    ) -> Result<Read, ConnectionError> {
        match self.demux.held_mut(id) {
            Some(connection) => connection.tcb.peek(max, out),
            None => Ok(Read::Eof),
        }
    }

    /// Copies what fits of `data` into the send buffer; zero if it is full.
    ///
    /// # Errors
    ///
    /// See [`WriteError`].
    pub fn write(
        &mut self,
        now: Instant,
        id: ConnectionId,
        data: &[u8],
    ) -> Result<usize, WriteError> {
        self.change(now, id, |tcb, _| tcb.write(data))
    }

    /// Takes what fits off the front of `data` into the send buffer without a copy; zero if it is full.
    ///
    /// # Errors
    ///
    /// See [`WriteError`].
    pub fn write_bytes(
        &mut self,
        now: Instant,
        id: ConnectionId,
        data: &mut Bytes,
    ) -> Result<usize, WriteError> {
        self.change(now, id, |tcb, _| tcb.write_bytes(data))
    }

    /// As [`write`](Self::write), and marks the end of what was taken as urgent (RFC 9293 3.8.5).
    ///
    /// # Errors
    ///
    /// See [`WriteError`].
    pub fn write_urgent(
        &mut self,
        now: Instant,
        id: ConnectionId,
        data: &[u8],
    ) -> Result<usize, WriteError> {
        self.change(now, id, |tcb, _| tcb.write_urgent(data))
    }

    /// Ends this side's stream: a FIN follows what was written. The peer may go on.
    ///
    /// # Errors
    ///
    /// [`WriteError::NotConnected`] if the connection is over.
    pub fn shutdown_write(&mut self, now: Instant, id: ConnectionId) -> Result<(), WriteError> {
        self.change(now, id, Tcb::shutdown_write)
    }

    /// Reads end from now on. Data that has come can still be read.
    pub fn shutdown_read(&mut self, now: Instant, id: ConnectionId) {
        let _ = self.change(now, id, |tcb, _| {
            tcb.shutdown_read();
            Ok(())
        });
    }

    /// The application lets go: the connection finishes by itself, or is reset where data was not
    /// read or linger is zero. `id` means nothing afterwards.
    pub fn close(&mut self, now: Instant, id: ConnectionId) {
        let orphans_full = self.orphans >= self.config.max_orphans;
        self.let_go(now, id, |tcb, cx| tcb.close(orphans_full, cx));
    }

    /// Resets the connection and forgets it. `id` means nothing afterwards.
    pub fn abort(&mut self, now: Instant, id: ConnectionId) {
        self.let_go(now, id, Tcb::abort);
    }

    /// Resets every connection and closes every listener.
    pub fn abort_all(&mut self, now: Instant) {
        let listeners: Vec<_> = self
            .listeners
            .slab
            .iter()
            .map(|(index, _)| ListenerId {
                index,
                generation: self.listeners.slab.generation(index),
            })
            .collect();
        for id in listeners {
            self.close_listener(now, id);
        }
        for index in self.demux.connections.indices() {
            if self
                .demux
                .connections
                .at(index)
                .is_some_and(|c| c.tcb.orphan)
            {
                self.with_connection(now, index, Tcb::abort);
            } else {
                self.abort(now, self.demux.id(index));
            }
        }
    }

    /// Changes a connection's options.
    pub fn set_options(
        &mut self,
        now: Instant,
        id: ConnectionId,
        change: impl FnOnce(&mut SocketOptions),
    ) {
        let _ = self.change(now, id, |tcb, cx| {
            change(Arc::make_mut(&mut tcb.options));
            tcb.on_options_changed(cx);
            Ok(())
        });
    }

    /// The failure of a connection, once (`SO_ERROR`).
    pub fn take_error(&mut self, id: ConnectionId) -> Option<ConnectionError> {
        self.demux.held_mut(id)?.tcb.take_error()
    }

    /// Runs `step` on a connection that an application holds, and settles what follows if it says so.
    fn with_held(&mut self, id: ConnectionId, step: impl FnOnce(&mut Tcb) -> bool) -> Option<u32> {
        let connection = self.demux.held_mut(id)?;
        step(&mut connection.tcb).then_some(id.index)
    }

    fn change<T>(
        &mut self,
        now: Instant,
        id: ConnectionId,
        step: impl FnOnce(&mut Tcb, &mut Context<'_>) -> Result<T, WriteError>,
    ) -> Result<T, WriteError> {
        if self.demux.held(id).is_none() {
            return Err(WriteError::NotConnected);
        }
        let mut result = Err(WriteError::NotConnected);
        self.with_connection(now, id.index, |tcb, cx| {
            result = step(tcb, cx);
            Outcome::Alive
        });
        result
    }

    fn let_go(
        &mut self,
        now: Instant,
        id: ConnectionId,
        step: impl FnOnce(&mut Tcb, &mut Context<'_>) -> Outcome,
    ) {
        if self.demux.held(id).is_none() {
            return;
        }
        self.orphans += 1;
        self.with_connection(now, id.index, |tcb, cx| {
            let outcome = step(tcb, cx);
            tcb.orphan = true;
            outcome
        });
    }
}

/// Questions.
impl Stack {
    /// What the stack was made with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What the stack has done.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Bytes that wait for the reader.
    #[must_use]
    pub fn readable_bytes(&self, id: ConnectionId) -> usize {
        self.demux.held(id).map_or(0, |c| c.tcb.recv_buf.len())
    }

    /// Whether a read would not block: data, end of stream or a failure.
    #[must_use]
    pub fn is_readable(&self, id: ConnectionId) -> bool {
        self.demux.held(id).is_none_or(|c| c.tcb.is_readable())
    }

    /// Whether a write should be tried: a third of the buffer is free, or a failure is to be told.
    #[must_use]
    pub fn is_writable(&self, id: ConnectionId) -> bool {
        self.demux.held(id).is_none_or(|c| c.tcb.is_writable())
    }

    /// Whether reading has ended for good: the peer's FIN has come, or reading was shut down, or the
    /// connection is over.
    #[must_use]
    pub fn is_read_closed(&self, id: ConnectionId) -> bool {
        self.demux.held(id).is_none_or(|c| {
            let tcb = &c.tcb;
            tcb.rcv.fin_received() || tcb.read_shutdown || tcb.state == State::Closed
        })
    }

    /// Whether writing has ended for good: shut down, or the connection is over.
    #[must_use]
    pub fn is_write_closed(&self, id: ConnectionId) -> bool {
        self.demux
            .held(id)
            .is_none_or(|c| c.tcb.fin_queued || c.tcb.state == State::Closed)
    }

    /// Bytes that a write would take now.
    #[must_use]
    pub fn write_capacity(&self, id: ConnectionId) -> usize {
        self.demux.held(id).map_or(0, |c| c.tcb.write_capacity())
    }

    /// Whether all that was written, and the FIN if there is one, has been acknowledged, or the
    /// connection is over.
    #[must_use]
    pub fn is_flushed(&self, id: ConnectionId) -> bool {
        self.demux.held(id).is_none_or(|c| c.tcb.is_flushed())
    }

    /// Trouble that did not end the connection: what ICMP said, or many retransmissions (RFC 9293 MUST-47).
    #[must_use]
    pub fn soft_error(&self, id: ConnectionId) -> Option<ConnectionError> {
        self.demux.held(id)?.tcb.soft_error
    }

    /// Readable bytes up to the urgent mark, if there is one ahead (RFC 9293 MUST-33).
    #[must_use]
    pub fn urgent_mark(&self, id: ConnectionId) -> Option<u64> {
        self.demux.held(id)?.tcb.urgent_mark()
    }

    /// A connection's options.
    #[must_use]
    pub fn options(&self, id: ConnectionId) -> Option<&SocketOptions> {
        self.demux.held(id).map(|c| &*c.tcb.options)
    }

    /// Our end of a connection.
    #[must_use]
    pub fn local_addr(&self, id: ConnectionId) -> Option<SocketAddr> {
        self.demux.held(id).map(|c| seen_addresses(&c.tcb).0)
    }

    /// The other end of a connection.
    #[must_use]
    pub fn peer_addr(&self, id: ConnectionId) -> Option<SocketAddr> {
        self.demux.held(id).map(|c| seen_addresses(&c.tcb).1)
    }

    /// A connection's state.
    #[must_use]
    pub fn state(&self, id: ConnectionId) -> Option<State> {
        self.demux.held(id).map(|c| c.tcb.state)
    }

    /// A snapshot of a connection.
    #[must_use]
    pub fn info(&self, id: ConnectionId) -> Option<TcpInfo> {
        self.demux.held(id).map(|c| c.tcb.info())
    }

    /// Connections, held by an application or not; half-open and TIME-WAIT records are not counted.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.demux.connections.len()
    }

    /// Connections that no application holds and that are not finished.
    #[must_use]
    pub fn orphan_count(&self) -> usize {
        self.orphans
    }

    /// Records in TIME-WAIT.
    #[must_use]
    pub fn time_wait_count(&self) -> usize {
        self.demux.time_wait.len()
    }

    /// Every socket: listeners, connections, half-open ones and those in TIME-WAIT.
    pub fn sockets(&self) -> impl Iterator<Item = SocketSummary> {
        let line = |tuple: &FourTuple, state, id| SocketSummary {
            local: tuple.local(),
            peer: Some(tuple.remote()),
            state,
            id,
        };
        let listeners = self.listeners.slab.iter().map(|(_, l)| SocketSummary {
            local: l.addr,
            peer: None,
            state: State::Listen,
            id: None,
        });
        let named = move |(index, c): (u32, &Connection)| {
            let id = (!c.tcb.orphan).then(|| self.demux.id(index));
            line(&c.tcb.tuple, c.tcb.state, id)
        };
        let on_wire = self.demux.connections.iter().filter(|(_, c)| c.on_wire);
        let half_open = self.demux.half_open.iter();
        let time_wait = self.demux.time_wait.iter();
        listeners
            .chain(half_open.map(move |(_, h)| line(&h.tuple, State::SynReceived, None)))
            .chain(on_wire.map(named))
            .chain(time_wait.map(move |(_, t)| line(&t.tuple, State::TimeWait, None)))
    }
}
