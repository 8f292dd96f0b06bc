//! Getters: they change nothing.

use std::net::SocketAddr;

use super::demux::Connection;
use super::{Stack, seen_addresses};
use crate::config::{Config, SocketOptions};
use crate::error::ConnectionError;
use crate::host::memory::Pressure;
use crate::id::ConnectionId;
use crate::info::TcpInfo;
use crate::stats::Counters;
use crate::tcp::state::State;
use crate::tuple::FourTuple;

/// One line of what `ss` would show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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

    /// Whether there is something to read that came from the peer: data, its FIN, or how the connection failed.
    #[must_use]
    pub fn has_unread(&self, id: ConnectionId) -> bool {
        self.demux.held(id).is_some_and(|c| c.tcb.has_unread())
    }

    /// Whether the connection has failed, told or not.
    #[must_use]
    pub fn has_failed(&self, id: ConnectionId) -> bool {
        self.demux
            .held(id)
            .is_some_and(|c| c.tcb.error.is_some() || c.tcb.error_reported)
    }

    /// Whether a write should be tried: a third of the buffer is free, or a megabyte, or a failure is to be told.
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
        let most = self.memory_for_a_write();
        self.demux
            .held(id)
            .map_or(0, |c| c.tcb.write_capacity().min(most))
    }

    /// Whether all that was written, and the FIN if there is one, has been acknowledged, or the
    /// connection is over.
    #[must_use]
    pub fn is_flushed(&self, id: ConnectionId) -> bool {
        self.demux.held(id).is_none_or(|c| c.tcb.is_flushed())
    }

    /// Trouble that did not end the connection: what ICMP said, or many retransmissions (RFC 9293 MUST-47,
    /// SHLD-25).
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
        self.demux.connections.len() + self.records.counts().0
    }

    /// Bytes of memory that the payload of all connections keeps alive, of the [`memory`](crate::Config::memory) that
    /// they may.
    #[must_use]
    pub fn memory_used(&self) -> usize {
        self.memory.used()
    }

    /// How short the memory for buffers is.
    #[must_use]
    pub fn memory_pressure(&self) -> Pressure {
        self.memory.pressure()
    }

    /// Connections that no application holds, and that have still to deliver something. Those that
    /// only wait for the peer's FIN are not counted.
    #[must_use]
    pub fn orphan_count(&self) -> usize {
        self.orphans
    }

    /// Records in TIME-WAIT.
    #[must_use]
    pub fn time_wait_count(&self) -> usize {
        self.records.counts().1
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
        let records = self.demux.time_wait.iter();
        listeners
            .chain(half_open.map(move |(_, h)| line(&h.tuple, State::SynReceived, None)))
            .chain(on_wire.map(named))
            .chain(records.map(move |(_, record)| line(&record.tuple, record.state, None)))
    }
}
