//! The application at one end of a connection: writes a pattern, checks the peer's pattern, closes.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use millstream_engine::{ConnectionId, Read, Stack, WriteError};
use millstream_netsim::Instant;

/// The progress of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has written all data and shut down its writing direction, and has read to the end of the
    /// peer's stream.
    Finished,
    /// An error has told it that the connection failed.
    Told,
    /// It has aborted the connection.
    Aborted,
    /// None of these.
    Waits,
}

/// The application at one end.
#[derive(Debug)]
pub(crate) struct Application {
    /// Distinguishes the streams. The names of a connection's two ends differ in the last bit.
    name: u8,
    id: Option<ConnectionId>,
    written: usize,
    total: usize,
    read: usize,
    shut: bool,
    ended: bool,
    failed: bool,
    aborted: bool,
    /// It is inactive before this time.
    rests_until: Instant,
    /// The time at which it aborts the connection if its work is not done.
    aborts_at: Option<Instant>,
}

impl Application {
    /// An application with `total` bytes to write.
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
            aborted: false,
            rests_until: Instant::ZERO,
            aborts_at: None,
        }
    }

    /// Makes it abort its connection at `time`, or as soon as it has one.
    pub(crate) fn abort_at(&mut self, time: Instant) {
        self.aborts_at = Some(time);
    }

    /// Gives it its connection.
    pub(crate) fn connected(&mut self, id: ConnectionId) {
        self.id = Some(id);
    }

    /// Its connection, if it has one.
    pub(crate) fn id(&self) -> Option<ConnectionId> {
        self.id
    }

    /// The bytes it has read, and the total of bytes it has to write.
    pub(crate) fn count(&self) -> (usize, usize) {
        (self.read, self.total)
    }

    /// The times at which it acts without an event on the connection; past ones are to be ignored.
    pub(crate) fn wakes_at(&self) -> impl Iterator<Item = Instant> + use<> {
        std::iter::once(self.rests_until).chain(self.aborts_at)
    }

    /// Its progress.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self { aborted: true, .. } => Outcome::Aborted,
            Self { failed: true, .. } => Outcome::Told,
            Self {
                shut: true,
                ended: true,
                ..
            } => Outcome::Finished,
            _ => Outcome::Waits,
        }
    }

    /// Writes and reads some bytes unless it is inactive; returns whether that had any effect.
    pub(crate) fn run(&mut self, stack: &mut Stack, now: Instant, random: &mut Rng) -> bool {
        let Some(id) = self.id.filter(|_| self.outcome() == Outcome::Waits) else {
            return false;
        };
        if self.aborts_at.is_some_and(|at| at <= now) {
            stack.abort(now, id);
            self.aborted = true;
            return true;
        }
        if now < self.rests_until {
            return false;
        }
        match stack.finish_connect(id) {
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
            stack
                .write(now, id, &stream(self.name)[self.written..most])
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
                for chunk in chunks {
                    let end = self.read + chunk.len();
                    let expected = stream(self.name ^ 1).get(self.read..end);
                    assert!(expected == Some(&chunk[..]), "bytes {}..{end}", self.read);
                    self.read = end;
                }
            }
            Ok(Read::Eof) => self.ended = true,
            Ok(Read::WouldBlock) => {}
            Err(_) => self.failed = true,
        }
    }
}

/// The pattern from which every stream is taken, each from its own offset.
static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut random = Rng::with_seed(1);
    std::iter::repeat_with(|| random.u8(..))
        .take(400_000)
        .collect()
});

/// The stream that the application of this name writes.
fn stream(name: u8) -> &'static [u8] {
    &BYTES[usize::from(name) * 4099..]
}
