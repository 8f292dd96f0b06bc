//! The compact records of connections in TIME-WAIT and FIN-WAIT-2, from beginning to end.

use super::Stack;
use super::ports::Hold;
use crate::table::place::Place;
use crate::tcp::connection::Owed;
use crate::tcp::segment::Segment;
use crate::tcp::state::{State, Stimulus};
use crate::tcp::time_wait::{TimeWait, Verdict};
use crate::time::Instant;
use crate::tuple::FourTuple;

impl Stack {
    /// Replaces the connection at its four-tuple by a compact record.
    pub(crate) fn leave_record(&mut self, now: Instant, index: u32) {
        let Some(connection) = self.demux.connections.at(index) else {
            return;
        };
        let mut record = TimeWait::of(&connection.tcb);
        if connection.tcb.owed.contains(Owed::ACK) {
            record.acknowledge(now, &self.config, &mut self.counters, &mut self.replies);
        }
        self.leave_wire(index);
        if self.demux.time_wait.len() >= self.config.max_time_wait {
            return;
        }
        self.ports.hold(record.tuple.local(), Hold::TimeWait);
        let (index, _) = self.demux.time_wait.insert(record);
        self.demux.link(Place::TimeWait(index));
        self.records
            .push(&mut self.demux.time_wait, index, now, &self.config);
    }

    pub(crate) fn on_segment_in_time_wait(&mut self, now: Instant, index: u32, segment: &Segment) {
        let Some(record) = self.demux.time_wait.at_mut(index) else {
            return;
        };
        let state = *record.state;
        let verdict = record.on_segment(
            now,
            segment,
            &self.config,
            &mut self.counters,
            &mut self.replies,
        );
        match verdict {
            Verdict::Keep => {}
            Verdict::PeerClosed => {
                record.acknowledge(now, &self.config, &mut self.counters, &mut self.replies);
                record.state.follow(Stimulus::Fin);
                let tuple = record.tuple;
                self.refile_record(now, index, state);
                self.tell_observer(now, &tuple, state, Stimulus::Fin);
            }
            Verdict::Restart => self.refile_record(now, index, state),
            Verdict::Remove => self.end_record(now, index, Stimulus::Abort),
            // No listener could accept a new connection: answer for the old one, as Linux does.
            Verdict::Reopen(_) if self.listeners.find(&record.tuple).is_none() => {
                record.acknowledge(now, &self.config, &mut self.counters, &mut self.replies);
            }
            Verdict::Reopen(last) => {
                self.end_record(now, index, Stimulus::Abort);
                self.on_segment_without_connection(now, segment, Some(last));
            }
        }
    }

    /// Begins or restarts TIME-WAIT: moves a record from the queue of the state that it was in to
    /// the end of that of its state.
    fn refile_record(&mut self, now: Instant, index: u32, was: State) {
        let records = &mut self.demux.time_wait;
        self.records.remove(records, index, was);
        self.records.push(records, index, now, &self.config);
    }

    /// Ends at most `most` records whose time is over.
    pub(crate) fn expire_records(&mut self, now: Instant, most: usize) {
        for _ in 0..most {
            match self.records.first(&self.demux.time_wait) {
                Some((index, ends_at)) if ends_at <= now => {
                    self.end_record(now, index, Stimulus::TwoMslTimeout);
                }
                _ => return,
            }
        }
    }

    /// Resets the connections in FIN-WAIT-2.
    pub(crate) fn abort_fin_wait_2(&mut self, now: Instant) {
        while let Some(index) = self.records.first_in_fin_wait_2() {
            if let Some(record) = self.demux.time_wait.at(index) {
                record.send_reset(&self.config, &mut self.counters, &mut self.replies);
            }
            self.end_record(now, index, Stimulus::Abort);
        }
    }

    /// Ends a record before or at its time.
    pub(crate) fn end_record(&mut self, now: Instant, index: u32, stimulus: Stimulus) {
        let Some(record) = self.demux.time_wait.at(index) else {
            return;
        };
        let (tuple, state) = (record.tuple, *record.state);
        self.records.remove(&mut self.demux.time_wait, index, state);
        self.demux.unlink(Place::TimeWait(index));
        self.demux.time_wait.remove(index);
        self.ports.release(tuple.local(), Hold::TimeWait);
        self.tell_observer(now, &tuple, state, stimulus);
    }

    fn tell_observer(&mut self, now: Instant, tuple: &FourTuple, from: State, stimulus: Stimulus) {
        // The table of transitions has no timeout for FIN-WAIT-2.
        let stimulus = match from.after(stimulus) {
            Some(_) => stimulus,
            None => Stimulus::Abort,
        };
        if let Some(observer) = &mut self.observer {
            observer.transition(now, None, tuple, from, stimulus);
        }
    }
}
