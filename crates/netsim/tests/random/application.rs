//! What one end does with its connection: writes a pattern, checks the other's, closes.

use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use millstream_engine::{ConnectionId, Read, Stack, WriteError};
use millstream_netsim::Instant;

/// How far an application has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything is written and shut down, and the end of the other's stream is read.
    Finished,
    /// It was told that the connection has failed.
    Told,
    /// Neither.
    Waits,
}

/// One end.
#[derive(Debug)]
pub(crate) struct Application {
    /// Makes the two streams differ.
    name: u8,
    id: Option<ConnectionId>,
    written: usize,
    total: usize,
    read: usize,
    shut: bool,
    ended: bool,
    failed: bool,
    /// It does nothing before.
    rests_until: Instant,
}

impl Application {
    /// With that many bytes to write.
    pub(crate) fn new(name: u8, total: usize) -> Self {
        Self {
            name,
            id: None,
            written: 0,
            total,
            read: 0,
            shut: false,
            ended: false,
            failed: false,
            rests_until: Instant::ZERO,
        }
    }

    /// It has a connection.
    pub(crate) fn connected(&mut self, id: ConnectionId) {
        self.id = Some(id);
    }

    /// Its connection, if it has one.
    pub(crate) fn id(&self) -> Option<ConnectionId> {
        self.id
    }

    /// Bytes it has read, and bytes it has to write in all.
    pub(crate) fn count(&self) -> (usize, usize) {
        (self.read, self.total)
    }

    /// When it goes on by itself, if it rests.
    pub(crate) fn wakes_at(&self) -> Instant {
        self.rests_until
    }

    /// How far it has come.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self { failed: true, .. } => Outcome::Told,
            Self {
                shut: true,
                ended: true,
                ..
            } => Outcome::Finished,
            _ => Outcome::Waits,
        }
    }

    /// Writes and reads some, unless it rests; whether that led to anything.
    pub(crate) fn run(&mut self, stack: &mut Stack, now: Instant, random: &mut Rng) -> bool {
        let Some(id) = self.id.filter(|_| self.outcome() == Outcome::Waits) else {
            return false;
        };
        if now < self.rests_until {
            return false;
        }
        match stack.is_connected(id) {
            Ok(true) => {}
            Ok(false) => return false,
            Err(_) => {
                self.failed = true;
                return true;
            }
        }
        if random.u32(..8) == 0 {
            self.rests_until = now + Duration::from_micros(random.u64(..200_000));
        }
        let before = (self.written, self.shut, self.read, self.ended, self.failed);
        self.write(stack, now, id, random);
        self.read(stack, now, id, random);
        before != (self.written, self.shut, self.read, self.ended, self.failed)
    }

    fn write(&mut self, stack: &mut Stack, now: Instant, id: ConnectionId, random: &mut Rng) {
        let result = if self.written < self.total {
            let most = self.total.min(self.written + random.usize(1..20_000));
            let data: Vec<u8> = (self.written..most).map(|at| byte(self.name, at)).collect();
            stack
                .write(now, id, &data)
                .map(|length| self.written += length)
        } else if !self.shut {
            stack.shutdown_write(now, id).map(|()| self.shut = true)
        } else {
            Ok(())
        };
        match result {
            Ok(()) => {}
            Err(WriteError::Connection(_)) => self.failed = true,
            Err(error) => panic!("writing to an open connection: {error}"),
        }
    }

    fn read(&mut self, stack: &mut Stack, now: Instant, id: ConnectionId, random: &mut Rng) {
        if self.ended || self.failed {
            return;
        }
        let mut chunks: Vec<Bytes> = Vec::new();
        match stack.read(now, id, random.usize(1..30_000), &mut chunks) {
            Ok(Read::Data(_)) => {
                for found in chunks.concat() {
                    let expected = byte(1 - self.name, self.read);
                    assert_eq!(found, expected, "byte {} of the stream", self.read);
                    self.read += 1;
                }
            }
            Ok(Read::Eof) => self.ended = true,
            Ok(Read::WouldBlock) => {}
            Err(_) => self.failed = true,
        }
    }
}

/// The pattern: neither regular in segments nor the same both ways.
fn byte(name: u8, at: usize) -> u8 {
    (at.wrapping_mul(31) >> 3) as u8 ^ (at >> 9) as u8 ^ name.wrapping_mul(0x55)
}
