//! Reading from the device in the task of a bulk reader, into its own buffer (see
//! [`io::receive`](crate::io::receive)).

use std::io;
use std::task::{Context, Poll};

use millstream_engine::ConnectionId;

use super::{Sends, Shard};
use crate::sync::{AtomicUsize, Ordering};

/// Bytes read at once that make a reader a bulk reader.
const BULK_READ: usize = 16 << 10;

/// A bulk reader that reads fewer bytes than these at once is no longer one.
const SMALL_READ: usize = 4 << 10;

/// The most recent bulk reader: the index of its connection plus one, or zero for none.
#[derive(Debug, Default)]
pub(super) struct BulkReader(AtomicUsize);

impl BulkReader {
    /// Records that `bytes` were read from the stream `id` at once.
    fn note(&self, id: ConnectionId, bytes: usize) {
        if bytes >= BULK_READ {
            self.0.store(id.index() + 1, Ordering::Relaxed);
        } else if bytes < SMALL_READ && self.is(id) {
            self.0.store(0, Ordering::Relaxed);
        }
    }

    fn is(&self, id: ConnectionId) -> bool {
        self.0.load(Ordering::Relaxed) == id.index() + 1
    }
}

impl Shard {
    /// Reads the next bytes of the stream `id` from the device into `buf`. Returns their number;
    /// after 0 the caller reads from the receive buffer.
    ///
    /// The driver sends the acknowledgments and processes any other packet that was read.
    pub(crate) fn receive_direct(&self, id: ConnectionId, buf: &mut [u8]) -> usize {
        if !self.bulk_reader.is(id) {
            return 0;
        }
        let Some(header_len) = self.inspect(|core| core.engine.direct_header_len(id)) else {
            return 0;
        };
        let received = self.incoming.for_reader(|receiver| {
            let filled = receiver.receive_direct(id, header_len, buf, |packet, header_len, at| {
                self.run(Sends::Later, |core, now| {
                    core.notice_standstill(now);
                    if core.engine.is_next_of(id, &packet, header_len) {
                        let arrived = at.map_or(now, |at| self.clock.to_engine(at));
                        let packet = packet.freeze();
                        Ok(core.engine.handle_direct(now, arrived, id, packet))
                    } else {
                        Err(packet)
                    }
                })
            });
            (filled, receiver.needs_driver())
        });
        let Some(((filled, needed), missed)) = received else {
            return 0;
        };
        if needed || missed {
            self.driver.wake();
        }
        if filled > 0 {
            self.note_read(id, filled);
        }
        filled
    }

    /// Records that `bytes` were read from the stream `id` at once.
    pub(crate) fn note_read(&self, id: ConnectionId, bytes: usize) {
        self.bulk_reader.note(id, bytes);
    }

    /// If frames have arrived that are left to a reader, wakes that reader to read them.
    ///
    /// # Errors
    /// The device has ended.
    pub(super) fn poll_leave_to_reader(&self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        let Some(mut receiver) = self.incoming.for_driver() else {
            return Ok(Poll::Pending);
        };
        let Some(reader) = receiver.poll_left_to(cx)? else {
            return Ok(Poll::Pending);
        };
        drop(receiver);
        self.arrange(|core| core.waits.wake_reader(reader));
        Ok(Poll::Ready(()))
    }
}
