//! Getters: they change nothing.

use std::net::SocketAddr;

use super::demux::Connection;
use super::{Stack, seen_addresses};
use crate::config::{Config, SocketOptions};
use crate::error::ConnectionError;
use crate::id::ConnectionId;
use crate::memory::Pressure;
use crate::stats::Counters;
use crate::tcp::info::TcpInfo;
use crate::tcp::state::State;
use crate::tuple::FourTuple;

/// One line of the output of `ss`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketSummary {
    /// The local end.
    pub local: SocketAddr,
    /// The remote end; `None` for a listener.
    pub peer: Option<SocketAddr>,
    /// The state of the connection.
    pub state: State,
    /// The connection's name, if an application holds it.
    pub id: Option<ConnectionId>,
}

impl Stack {
    /// The configuration of the stack.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The counters of the stack.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Bytes available to the reader.
    #[must_use]
    pub fn readable_bytes(&self, id: ConnectionId) -> usize {
        self.demux.held(id).map_or(0, |c| c.tcb.receiver.buf.len())
    }

    /// Whether a read would return at once with data, end of stream or a failure.
    #[must_use]
    pub fn is_readable(&self, id: ConnectionId) -> bool {
        self.demux.held(id).is_none_or(|c| c.tcb.is_readable())
    }

    /// Whether something from the peer waits to be read: data, its FIN, or the failure of the
    /// connection.
    #[must_use]
    pub fn has_unread(&self, id: ConnectionId) -> bool {
        self.demux.held(id).is_some_and(|c| c.tcb.has_unread())
    }

    /// Whether the connection has failed, whether or not the failure was reported.
    #[must_use]
    pub fn has_failed(&self, id: ConnectionId) -> bool {
        self.demux
            .held(id)
            .is_some_and(|c| c.tcb.app.error.is_some() || c.tcb.app.error_reported)
    }

    /// Whether a write should be attempted: a third of the buffer or a megabyte is free, or a
    /// failure is to be reported.
    #[must_use]
    pub fn is_writable(&self, id: ConnectionId) -> bool {
        self.demux.held(id).is_none_or(|c| c.tcb.is_writable())
    }

    /// Whether reading has ended permanently: the peer's FIN has arrived, reading was shut down, or
    /// the connection is over.
    #[must_use]
    pub fn is_read_closed(&self, id: ConnectionId) -> bool {
        self.demux.held(id).is_none_or(|c| {
            let tcb = &c.tcb;
            tcb.receiver.rcv.fin_received() || tcb.app.read_shutdown || tcb.state == State::Closed
        })
    }

    /// Whether writing has ended permanently: it was shut down, or the connection is over.
    #[must_use]
    pub fn is_write_closed(&self, id: ConnectionId) -> bool {
        self.demux
            .held(id)
            .is_none_or(|c| c.tcb.sender.fin_queued || c.tcb.state == State::Closed)
    }

    /// Bytes that a write would accept now.
    #[must_use]
    pub fn write_capacity(&self, id: ConnectionId) -> usize {
        let most = self.memory_for_a_write();
        self.demux
            .held(id)
            .map_or(0, |c| c.tcb.write_capacity().min(most))
    }

    /// Whether all data written, and the FIN if there is one, has been acknowledged, or the
    /// connection is over.
    #[must_use]
    pub fn is_flushed(&self, id: ConnectionId) -> bool {
        self.demux.held(id).is_none_or(|c| c.tcb.is_flushed())
    }

    /// An error that did not end the connection: reported by ICMP, or caused by many
    /// retransmissions (RFC 9293 MUST-47, SHLD-25).
    #[must_use]
    pub fn soft_error(&self, id: ConnectionId) -> Option<ConnectionError> {
        self.demux.held(id)?.tcb.app.soft_error
    }

    /// Number of readable bytes before the urgent mark, if there is one ahead (RFC 9293 MUST-33).
    #[must_use]
    pub fn urgent_mark(&self, id: ConnectionId) -> Option<u64> {
        self.demux.held(id)?.tcb.receiver.urgent_mark()
    }

    /// A connection's options.
    #[must_use]
    pub fn options(&self, id: ConnectionId) -> Option<&SocketOptions> {
        self.demux.held(id).map(|c| &*c.tcb.options)
    }

    /// Whether acknowledgments are sent without waiting for an answer: see
    /// [`set_quick_ack`](Self::set_quick_ack).
    #[must_use]
    pub fn quick_ack(&self, id: ConnectionId) -> Option<bool> {
        self.demux.held(id).map(|c| c.tcb.receiver.ack.is_prompt())
    }

    /// The local end of a connection.
    #[must_use]
    pub fn local_addr(&self, id: ConnectionId) -> Option<SocketAddr> {
        self.demux.held(id).map(|c| seen_addresses(&c.tcb).0)
    }

    /// The remote end of a connection.
    #[must_use]
    pub fn peer_addr(&self, id: ConnectionId) -> Option<SocketAddr> {
        self.demux.held(id).map(|c| seen_addresses(&c.tcb).1)
    }

    /// A connection's state.
    #[must_use]
    pub fn state(&self, id: ConnectionId) -> Option<State> {
        self.demux.held(id).map(|c| *c.tcb.state)
    }

    /// A snapshot of a connection.
    #[must_use]
    pub fn info(&self, id: ConnectionId) -> Option<TcpInfo> {
        self.demux.held(id).map(|c| c.tcb.info())
    }

    /// Number of connections, whether or not an application holds them; half-open and TIME-WAIT
    /// records are not counted.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.demux.connections.len() + self.records.counts().0
    }

    /// Bytes of memory that the payload of all connections keeps alive, out of the limit
    /// [`memory`](crate::Config::memory).
    #[must_use]
    pub fn memory_used(&self) -> usize {
        self.memory.used()
    }

    /// How short the memory for buffers is.
    #[must_use]
    pub fn memory_pressure(&self) -> Pressure {
        self.memory.pressure()
    }

    /// Number of connections that no application holds and that still have data to deliver.
    /// Connections that only wait for the peer's FIN are not counted.
    #[must_use]
    pub fn orphan_count(&self) -> usize {
        self.orphans
    }

    /// Number of records in TIME-WAIT.
    #[must_use]
    pub fn time_wait_count(&self) -> usize {
        self.records.counts().1
    }

    /// All sockets: listeners, connections, half-open connections and TIME-WAIT records.
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
            let id = (!c.tcb.app.orphan).then(|| self.demux.id(index));
            line(&c.tcb.tuple, *c.tcb.state, id)
        };
        let on_wire = self.demux.connections.iter().filter(|(_, c)| c.on_wire);
        let half_open = self.demux.half_open.iter();
        let records = self.demux.time_wait.iter();
        listeners
            .chain(half_open.map(move |(_, h)| line(&h.tuple, State::SynReceived, None)))
            .chain(on_wire.map(named))
            .chain(records.map(move |(_, record)| line(&record.tuple, *record.state, None)))
    }
}
