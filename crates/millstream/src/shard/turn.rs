//! One turn of the driver: packets from the device and due timers into the engine, and the wake-up
//! of the tasks concerned.

use std::io;
use std::task::Context;
use std::time::Duration;

use millstream_engine::{Instant, Misdirected};

use super::overdue::Lag;
use super::wakers::{Outbox, Woken};
use super::{Sends, Shard};
use crate::io::receive::Arrived;

/// State that a driver keeps from turn to turn.
#[derive(Default)]
pub(super) struct Intake {
    /// Packets that arrived here and belong to other shards.
    pub(super) misdirected: Vec<Misdirected>,
    /// Empty between turns; kept to reuse its memory.
    outbox: Outbox,
    lag: Lag,
    /// All that arrived before has been taken from the device.
    heard: Instant,
}

/// The result of a turn of the driver.
#[derive(Debug)]
pub(super) struct Turn {
    /// Bytes that arrived.
    pub(super) bytes: usize,
    /// The kinds of tasks that were woken.
    pub(super) woken: Woken,
    /// Whether more may have arrived; an error if the device has ended.
    pub(super) more: io::Result<bool>,
}

impl Shard {
    /// Runs one turn of the driver: takes the frames that the device has, feeds them and then the
    /// due timers to the engine, and wakes the tasks concerned.
    pub(super) fn turn(&self, cx: &mut Context<'_>, intake: &mut Intake) -> Turn {
        let Some(mut receiver) = self.incoming.for_driver() else {
            // The reader that holds the lock may leave more in the device; it has the driver woken.
            let woken = self.take_in(&mut Vec::new(), intake);
            return Turn {
                bytes: 0,
                woken,
                more: Ok(false),
            };
        };
        if receiver.has_reader() && (!self.has_credit() || self.has_timer_due()) {
            // Pending sending and timers require that the device is read first.
            receiver.end_leaving();
        }
        let (bytes, more) = receiver.receive(cx);
        intake.heard = self.clock.to_engine(receiver.heard());
        let woken = self.take_in(receiver.arrived(), intake);
        Turn { bytes, woken, more }
    }

    /// Takes packets that arrived at other shards. The driver sends the answers.
    pub(super) fn take_over(&self, packets: impl Iterator<Item = Misdirected>) {
        self.run(Sends::Later, |core, now| {
            for packet in packets {
                core.engine.handle_misdirected(now, packet);
            }
        });
    }

    /// Wakes the writers that used up their allowance in the last turn. Returns whether there are
    /// any.
    pub(super) fn next_turn(&self) -> bool {
        self.arrange(|core| core.waits.next_turn())
    }

    /// Feeds the packets that arrived to the engine, and then the timers that are due (see
    /// [`overdue`](super::overdue)). Returns the kinds of tasks that were woken.
    fn take_in(&self, arrived: &mut Vec<Arrived>, intake: &mut Intake) -> Woken {
        // Before the lock, which may have to be waited for.
        let read = self.clock.now();
        let mut core = self.lock();
        let now = core.now(&self.clock);
        core.notice_standstill(now);
        let late = core.timer_due(now).map_or(Duration::ZERO, |due| now - due);
        let first = arrived.first().and_then(|arrived| arrived.at);
        let waited = first.map_or(Duration::ZERO, |at| now - self.clock.to_engine(at));
        intake.lag.note(now, late, waited);
        if !arrived.is_empty() {
            // The tasks woken for earlier arrivals have had a turn to read them.
            core.engine.compact();
        }
        for Arrived {
            packet,
            checksum,
            at,
        } in arrived.drain(..)
        {
            let arrived = at.map_or(read, |at| self.clock.to_engine(at));
            core.engine
                .handle_late_packet(now, arrived, packet, checksum);
        }
        if core.timer_due(now).is_some() {
            let heard = intake.heard.min(intake.lag.horizon(now));
            core.engine.handle_timeout_heard(now, heard);
        }
        while let Some(packet) = core.engine.poll_misdirected() {
            intake.misdirected.push(packet);
        }
        core.end_writing(now);
        core.settle(&mut intake.outbox);
        drop(core);
        intake.outbox.deliver()
    }

    fn has_timer_due(&self) -> bool {
        let mut core = self.lock();
        let now = core.now(&self.clock);
        core.timer_due(now).is_some()
    }
}
