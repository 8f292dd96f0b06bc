//! Datagrams that wait to be sent, within a number of bytes of memory, and the progress of the
//! first of them.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;

use super::DATAGRAM_OVERHEAD;

/// The number of places that an empty queue may keep.
const KEPT_PLACES: usize = 16;

/// A datagram to be sent, or several of equal size to one destination, with everything that the
/// socket's options decided when it was queued.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) payload: Bytes,
    pub(crate) src: SocketAddr,
    pub(crate) dst: SocketAddr,
    pub(crate) tos: u8,
    pub(crate) hop_limit: u8,
    /// The size of the datagrams into which the payload is cut, if it is more than one.
    pub(crate) segment: Option<u16>,
    /// The largest packet, if this host fragments.
    pub(crate) fragment_to: Option<usize>,
    /// Whether routers may not fragment.
    pub(crate) dont_fragment: bool,
    /// Whether this host receives a copy: it is a member of the group.
    pub(crate) loops: bool,
    /// Whether it goes to this host alone.
    pub(crate) stays: bool,
}

/// How much of the first datagram has been sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// Bytes of the payload if it is cut into segments, of header and payload if it is fragmented.
    pub(crate) sent: usize,
    /// The identification of its fragments, once one was sent.
    pub(crate) fragments: Option<u32>,
}

#[derive(Debug)]
struct Waiting {
    datagram: Outgoing,
    /// Bytes counted for it.
    cost: usize,
}

const _: () = assert!(size_of::<Waiting>() <= DATAGRAM_OVERHEAD);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    waiting: VecDeque<Waiting>,
    progress: Progress,
    used: usize,
    /// Whether a datagram was refused, so that the writer waits for room.
    refused: bool,
}

impl SendQueue {
    /// Whether there is room for another datagram, as on Linux whatever its size: fewer than
    /// `limit` bytes are in use. If there is none, the writer is told later.
    pub(crate) fn has_room(&mut self, limit: usize) -> bool {
        let has_room = self.used < limit.max(1);
        self.refused |= !has_room;
        has_room
    }

    /// Appends a datagram whose payload keeps `pinned` bytes of memory alive.
    pub(crate) fn push(&mut self, datagram: Outgoing, pinned: usize) {
        let cost = DATAGRAM_OVERHEAD + pinned.max(datagram.payload.len());
        self.used += cost;
        self.waiting.push_back(Waiting { datagram, cost });
    }

    /// The next datagram and its progress.
    pub(crate) fn first(&mut self) -> Option<(&Outgoing, &mut Progress)> {
        let Self {
            waiting, progress, ..
        } = self;
        waiting.front().map(|waiting| (&waiting.datagram, progress))
    }

    /// Removes the first datagram, which has been sent.
    pub(crate) fn pop(&mut self) {
        self.progress = Progress::default();
        if let Some(waiting) = self.waiting.pop_front() {
            self.used -= waiting.cost;
        }
        if self.waiting.is_empty() && self.waiting.capacity() > KEPT_PLACES {
            self.waiting = VecDeque::new();
        }
    }

    /// Whether a writer that was refused should try again: half of the buffer is free.
    pub(crate) fn take_room(&mut self, limit: usize) -> bool {
        self.refused && self.used <= limit / 2 && std::mem::take(&mut self.refused)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether a writer should try to write (Linux's `sock_writeable`).
    pub(crate) fn is_writable(&self, limit: usize) -> bool {
        self.used == 0 || self.used < limit.div_ceil(2)
    }

    /// Bytes of memory that the datagrams keep alive.
    pub(crate) fn memory(&self) -> usize {
        self.used
    }
}
