//! A step on a connection and its consequences: for the list of connections with data to send, for
//! the timers, for the memory and for the application.

use std::mem;

use super::Stack;
use crate::tcp::connection::{Context, Outcome, Tcb};
use crate::time::Instant;

impl Stack {
    /// Runs `step` on a connection and settles the consequences for it and for other connections.
    pub(crate) fn with_connection(
        &mut self,
        now: Instant,
        index: u32,
        step: impl FnOnce(&mut Tcb, &mut Context<'_>) -> Outcome,
    ) {
        self.step(now, index, step);
        self.relieve(now);
    }

    /// Runs `step` on a connection and settles the consequences for it.
    pub(crate) fn step(
        &mut self,
        now: Instant,
        index: u32,
        step: impl FnOnce(&mut Tcb, &mut Context<'_>) -> Outcome,
    ) {
        let id = self.demux.id(index);
        let Some(connection) = self.demux.connections.at_mut(index) else {
            return;
        };
        let tcb = &mut connection.tcb;
        tcb.set_pressure(self.memory.pressure());
        let acknowledged = tcb.sender.snd.una;
        let mut cx = Context {
            now,
            id,
            config: &self.config,
            counters: &mut self.counters,
            replies: &mut self.replies,
            paths: &mut self.paths,
            observer: &mut self.observer,
        };
        let outcome = step(tcb, &mut cx);
        let moved = tcb.sender.snd.una != acknowledged;
        match outcome {
            Outcome::Alive if connection.on_wire => self.want_turn(index),
            // Only the application still holds it: whatever it changes, no timer runs any more.
            Outcome::Alive => tcb.timers.clear(),
            Outcome::Closed => self.leave_wire(index),
            Outcome::Record => self.leave_record(now, index),
        }
        self.settle_memory(index);
        self.settle_standing(index, moved);
        self.file_timer(index);
        self.announce(index);
        self.free_if_orphan(index);
    }

    /// Counts the memory that the connection holds now, and tells the connection how short memory
    /// is.
    pub(crate) fn settle_memory(&mut self, index: u32) {
        if let Some(connection) = self.demux.connections.at_mut(index) {
            let held = connection.tcb.memory_held();
            self.memory.settle(&mut connection.charged, held);
            connection.tcb.set_pressure(self.memory.pressure());
            if connection.tcb.receiver.buf.is_loose() && !mem::replace(&mut connection.loose, true)
            {
                self.loose.push(index);
            }
        }
    }

    /// Copies unread payload that arrived since the last call where it keeps far more memory alive
    /// than its own length: see [`Config::receive_block`](crate::Config::receive_block). Call this
    /// before packets are handed in, after the applications had time to read the previous ones. The
    /// work is at most that of copying the data that arrived since the last call.
    pub fn compact(&mut self) {
        let block = self.config.receive_block;
        let mut loose = mem::take(&mut self.loose);
        for index in loose.drain(..) {
            if let Some(connection) = self.demux.connections.at_mut(index) {
                connection.loose = false;
                connection.tcb.receiver.buf.compact(block);
                self.settle_memory(index);
            } else {
                self.compact_socket(index);
            }
        }
        self.loose = loose;
    }

    fn announce(&mut self, index: u32) {
        if let Some(connection) = self.demux.connections.at_mut(index)
            && !connection.tcb.app.readiness.is_empty()
            && !connection.tcb.app.orphan
            && !mem::replace(&mut connection.has_news, true)
        {
            self.news.push_back(index);
        }
    }

    /// Removes a connection that is off the wire and that no application holds.
    pub(crate) fn free_if_orphan(&mut self, index: u32) {
        let gone = self
            .demux
            .connections
            .at(index)
            .is_some_and(|c| c.tcb.app.orphan && !c.on_wire);
        if gone {
            if let Some(mut connection) = self.demux.connections.remove(index) {
                self.memory.settle(&mut connection.charged, 0);
            }
            self.orphans -= 1;
        }
    }
}
