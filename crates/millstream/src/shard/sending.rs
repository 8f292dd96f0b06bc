//! Packets from the engine to the device, in the task that caused them or in the driver.

use millstream_engine::{ConnectionId, UdpId};

use super::Shard;
use super::flush::Flushed;
use super::wakers::Outbox;
use crate::io::send::{Outgoing, Progress};
use crate::sync::Ordering;

/// The maximum number of batches of packets that one flush sends before the driver reads the device
/// again.
const MAX_BATCHES: usize = 4;

/// The task that sends the packets to which a call gives rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sends {
    /// The caller sends everything.
    All,
    /// The caller sends the packets of this connection. Those of others wait for the driver: their
    /// applications may be about to answer packets that arrived in the same turn, too.
    Connection(ConnectionId),
    /// The caller sends the datagrams of this UDP socket.
    Socket(UdpId),
    /// The driver sends after the applications have run.
    Later,
}

/// The work that sending has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// None.
    Nothing,
    /// The driver has to run: the device is full or must be read first, or a timer must fire
    /// earlier than it is set.
    ForDriver,
    /// There are more packets to send.
    Packets,
}

impl Shard {
    /// Sends the part of the engine's output that `sends` selects, or leaves it to the task that is
    /// already sending.
    pub(super) fn flush(&self, mut sends: Sends) {
        let mut left = Left::Nothing;
        let flushed = self.outgoing.request(|outgoing| {
            // Any further round is on behalf of other tasks.
            let sends = std::mem::replace(&mut sends, Sends::All);
            let now_left = self.send(outgoing, sends);
            if now_left != Left::Nothing {
                left = now_left;
            }
        });
        if left != Left::Nothing || flushed == Flushed::PassOn {
            self.driver.wake();
        }
    }

    /// Like [`flush`](Self::flush), for the driver, which does any remaining work itself.
    pub(super) fn flush_from_driver(&self) -> Flushed {
        let mut left = Left::Nothing;
        let flushed = self.outgoing.request(|outgoing| {
            left = self.send(outgoing, Sends::All);
        });
        if left == Left::Packets {
            return Flushed::PassOn;
        }
        flushed
    }

    /// Whether more packets may be sent before the packets waiting in the device are read.
    pub(super) fn has_credit(&self) -> bool {
        self.credit.is_left()
    }

    /// Sends a bounded number of batches: an application that sends on behalf of others has work of
    /// its own.
    fn send(&self, outgoing: &mut Outgoing, sends: Sends) -> Left {
        for _ in 0..MAX_BATCHES {
            match outgoing.send(&self.credit) {
                Progress::Done => {}
                Progress::ReadFirst => return Left::ForDriver,
                Progress::Full => {
                    let was_full = self.device_full.swap(true, Ordering::AcqRel);
                    return if was_full {
                        Left::Nothing
                    } else {
                        Left::ForDriver
                    };
                }
            }
            let mut core = self.lock();
            let now = core.now(&self.clock);
            outgoing.fill(|packet| match sends {
                Sends::Connection(id) => core.engine.poll_transmit_of(now, id, packet),
                Sends::Socket(id) => core.engine.poll_transmit_of_socket(now, id, packet),
                Sends::All | Sends::Later => core.engine.poll_transmit(now, packet),
            });
            if outgoing.is_empty() {
                // Sending starts timers and may produce events, which are delivered here.
                let mut outbox = Outbox::default();
                core.settle(&mut outbox);
                let needed = core.needs_earlier_timer() || core.engine.has_output();
                drop(core);
                outbox.deliver();
                return if needed {
                    Left::ForDriver
                } else {
                    Left::Nothing
                };
            }
        }
        Left::Packets
    }
}
