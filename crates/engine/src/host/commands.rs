//! The commands of an application for an open connection: read, write, close, set options.

use bytes::Bytes;

use super::Stack;
use crate::config::ConnectionOptions;
use crate::config::limits::InvalidOption;
use crate::error::{ConnectionError, WriteError};
use crate::id::{ConnectionId, ListenerId};
use crate::read::Read;
use crate::tcp::autotune::FLOOR;
use crate::tcp::connection::{Context, Outcome, Owed, Tcb};
use crate::tcp::state::Stimulus;
use crate::time::Instant;

impl Stack {
    /// Moves up to `max` received bytes to `out`. A failure is reported once, as Linux reports
    /// `ECONNRESET`; later calls report end of stream.
    ///
    /// # Errors
    ///
    /// The failure of the connection.
    pub fn read(
        &mut self,
        now: Instant,
        id: ConnectionId,
        max: usize,
        out: &mut impl Extend<Bytes>,
    ) -> Result<Read, ConnectionError> {
        let mut result = Ok(Read::Eof);
        let index = self.with_held(id, |tcb| {
            result = tcb.read(now, max, out);
            !tcb.owed.is_empty()
        });
        if let Some(index) = index {
            self.with_connection(now, index, |_, _| Outcome::Alive);
        }
        result
    }

    /// Copies references to up to `max` received bytes to `out` and leaves the bytes to be read.
    ///
    /// # Errors
    ///
    /// The failure of the connection.
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

    /// Copies as much of `data` as fits into the send buffer and returns the number of bytes
    /// copied; zero if the buffer is full.
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
        let data = data.get(..self.memory_for_a_write()).unwrap_or(data);
        self.change(now, id, |tcb, _| tcb.write(data))
    }

    /// Moves as much of the front of `data` as fits into the send buffer, without a copy, and
    /// returns the number of bytes; zero if the buffer is full. Bytes are counted by their length,
    /// on the assumption that `data` has memory of its own or shares the memory of the rest of the
    /// data written.
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
        self.write_pinning(now, id, data, 0)
    }

    /// Writes as [`write_bytes`](Self::write_bytes) does, for `data` that keeps `pinned` bytes of
    /// memory alive until all of it has been acknowledged: `pinned` bytes are counted.
    ///
    /// # Errors
    ///
    /// See [`WriteError`].
    pub fn write_pinning(
        &mut self,
        now: Instant,
        id: ConnectionId,
        data: &mut Bytes,
        pinned: usize,
    ) -> Result<usize, WriteError> {
        let most = self.memory_for_a_write();
        self.change(now, id, |tcb, _| tcb.write_bytes(data, most, pinned))
    }

    /// States whether the application has more data to write soon (as `MSG_MORE` does). While
    /// `more` is set, data that does not fill a segment of the largest size waits for further data.
    /// The caller must clear it soon.
    pub fn set_more_to_come(&mut self, now: Instant, id: ConnectionId, more: bool) {
        let _ = self.change(now, id, |tcb, _| {
            tcb.sender.more_to_come = more;
            Ok::<_, WriteError>(())
        });
    }

    /// Writes as [`write`](Self::write) does, and marks the end of the bytes written as urgent
    /// (RFC 9293 3.8.5).
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
        let data = data.get(..self.memory_for_a_write()).unwrap_or(data);
        self.change(now, id, |tcb, _| tcb.write_urgent(data))
    }

    /// Ends the stream of this side: a FIN follows the data written. The peer may go on sending.
    ///
    /// # Errors
    ///
    /// [`WriteError::NotConnected`] if the connection is over.
    pub fn shutdown_write(&mut self, now: Instant, id: ConnectionId) -> Result<(), WriteError> {
        self.change(now, id, Tcb::shutdown_write)
    }

    /// Ends reading. Data already received can still be read.
    pub fn shutdown_read(&mut self, now: Instant, id: ConnectionId) {
        let _ = self.change(now, id, |tcb, _| {
            tcb.app.shutdown_read();
            Ok(())
        });
    }

    /// Releases the connection by the application. The connection finishes by itself; it is reset
    /// if received data was not read or linger is zero. `id` is invalid afterwards.
    pub fn close(&mut self, now: Instant, id: ConnectionId) {
        let orphans_full =
            self.demux.held(id).is_some() && !self.has_place_for_orphan(now, id.index);
        self.let_go(now, id, |tcb, cx| tcb.close(orphans_full, cx));
    }

    /// Resets the connection and removes it. `id` is invalid afterwards.
    pub fn abort(&mut self, now: Instant, id: ConnectionId) {
        self.let_go(now, id, Tcb::abort);
    }

    /// Resets every connection, closes every listener and removes them all.
    pub fn abort_all(&mut self, now: Instant) {
        self.end_all(now, false);
    }

    /// Ends all connections as [`abort_all`](Self::abort_all) does, when the end of the stack is
    /// not the application's decision: data that waits to be read on a connection remains until the
    /// application releases that connection.
    pub fn disconnect_all(&mut self, now: Instant) {
        self.end_all(now, true);
    }

    fn end_all(&mut self, now: Instant, keep_unread: bool) {
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
            let Some(connection) = self.demux.connections.at(index) else {
                continue;
            };
            let stays = connection.tcb.app.orphan || keep_unread && connection.tcb.has_unread();
            if !stays {
                self.abort(now, self.demux.id(index));
            } else if connection.on_wire {
                self.with_connection(now, index, Tcb::abort);
            }
        }
        self.abort_fin_wait_2(now);
        for index in self.demux.time_wait.indices() {
            self.end_record(now, index, Stimulus::Abort);
        }
        self.reassembly.clear(&mut self.wheel);
        self.end_sockets(now, keep_unread);
    }

    /// Changes a connection's options.
    ///
    /// # Errors
    ///
    /// A value is refused. The options keep their previous values.
    pub fn set_options(
        &mut self,
        now: Instant,
        id: ConnectionId,
        change: impl FnOnce(&mut ConnectionOptions),
    ) -> Result<(), InvalidOption> {
        let Some(connection) = self.demux.held(id) else {
            return Ok(());
        };
        let options = &connection.tcb.options;
        let changed = options.changed(|options| change(&mut options.connection))?;
        let _ = self.change(now, id, |tcb, cx| {
            let had = std::mem::replace(&mut tcb.options, changed);
            tcb.on_options_changed(&had, cx);
            Ok(())
        });
        Ok(())
    }

    /// Sends the data held back by a cork or Nagle's algorithm, as Linux does whenever
    /// `TCP_NODELAY` is set, even if it was set before. Data written later is held back again.
    pub fn push(&mut self, now: Instant, id: ConnectionId) {
        let _ = self.change(now, id, |tcb, _| {
            tcb.push();
            Ok(())
        });
    }

    /// Sets whether acknowledgments are sent without waiting for an answer that could carry them
    /// (`TCP_QUICKACK`). One that has waited is sent. As on Linux, this holds until the traffic
    /// shows that the application answers soon, or does not.
    pub fn set_quick_ack(&mut self, now: Instant, id: ConnectionId, quick: bool) {
        let _ = self.change(now, id, |tcb, _| {
            if tcb.receiver.ack.set_prompt(quick) {
                tcb.owed |= Owed::ACK;
            }
            Ok(())
        });
    }

    /// The failure of the connection, reported once (`SO_ERROR`).
    pub fn take_error(&mut self, id: ConnectionId) -> Option<ConnectionError> {
        self.demux.held_mut(id)?.tcb.app.take_error()
    }

    /// Largest number of bytes that one write accepts: the rest of the stack's memory, or a small
    /// minimum.
    pub(crate) fn memory_for_a_write(&self) -> usize {
        self.memory.left().max(FLOOR)
    }

    /// Runs `step` on a connection that an application holds, and settles its memory. Returns the
    /// connection's index if `step` returns true: the caller then settles the other consequences.
    fn with_held(&mut self, id: ConnectionId, step: impl FnOnce(&mut Tcb) -> bool) -> Option<u32> {
        let pressure = self.memory.pressure();
        let connection = self.demux.held_mut(id)?;
        connection.tcb.set_pressure(pressure);
        let more = step(&mut connection.tcb);
        self.settle_memory(id.index);
        more.then_some(id.index)
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
            tcb.app.orphan = true;
            outcome
        });
    }
}
