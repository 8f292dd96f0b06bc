//! Datagrams that wait to be read, within a number of bytes of memory.
//!
//! A payload that has just arrived is a slice of the memory into which its packet was read, which
//! may be far larger. A reader that keeps up takes it before the next packets come. After that,
//! [`compact`](ReceiveQueue::compact) copies it, unless it makes up half of that memory.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::DATAGRAM_OVERHEAD;

/// The number of places that an empty queue may keep.
const KEPT_PLACES: usize = 64;

/// A datagram that a UDP socket has received.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UdpDatagram {
    /// The payload, which may be empty.
    pub payload: Bytes,
    /// The sender.
    pub from: SocketAddr,
    /// The address to which it was sent: one of this host, a group or a broadcast address.
    pub to: IpAddr,
    /// The type-of-service byte or traffic class; of a datagram that came in fragments, its ECN
    /// bits only.
    pub tos: u8,
    /// The time to live or hop limit with which it arrived; `None` if it came in fragments.
    pub hop_limit: Option<u8>,
}

#[derive(Debug)]
struct Waiting {
    datagram: UdpDatagram,
    /// Bytes counted for it.
    cost: usize,
}

const _: () = assert!(2 * size_of::<Waiting>() <= DATAGRAM_OVERHEAD);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct ReceiveQueue {
    waiting: VecDeque<Waiting>,
    used: usize,
    /// The number of datagrams, the last ones, whose payload may keep more memory alive than was
    /// counted.
    loose: usize,
}

impl ReceiveQueue {
    /// Appends a datagram, if the queue then counts at most `limit` bytes or was empty. The payload
    /// keeps `pinned` bytes of memory alive.
    pub(crate) fn push(&mut self, datagram: UdpDatagram, pinned: usize, limit: usize) -> bool {
        let len = datagram.payload.len();
        let stays = keeps_slice(len, pinned);
        let cost = DATAGRAM_OVERHEAD + if stays { pinned } else { len };
        if self.used + cost > limit && !self.waiting.is_empty() {
            return false;
        }
        self.used += cost;
        self.waiting.push_back(Waiting { datagram, cost });
        if !stays || self.loose > 0 {
            self.loose += 1;
        }
        true
    }

    /// Takes the oldest datagram.
    pub(crate) fn pop(&mut self) -> Option<UdpDatagram> {
        let Waiting { datagram, cost } = self.waiting.pop_front()?;
        self.used -= cost;
        self.loose = self.loose.min(self.waiting.len());
        if self.waiting.is_empty() && self.waiting.capacity() > KEPT_PLACES {
            self.waiting = VecDeque::new();
        }
        Some(datagram)
    }

    /// Copies the payloads that keep far more memory alive than their own length.
    pub(crate) fn compact(&mut self) {
        let loose = std::mem::take(&mut self.loose);
        for waiting in self.waiting.iter_mut().rev().take(loose) {
            let payload = &mut waiting.datagram.payload;
            // Those that stay slices have been counted with their memory.
            if waiting.cost == DATAGRAM_OVERHEAD + payload.len() {
                *payload = Bytes::copy_from_slice(payload);
            }
        }
    }

    /// The oldest datagram.
    pub(crate) fn first(&self) -> Option<&UdpDatagram> {
        self.waiting.front().map(|waiting| &waiting.datagram)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether [`compact`](Self::compact) has something to do.
    pub(crate) fn is_loose(&self) -> bool {
        self.loose > 0
    }

    /// Bytes of memory that the datagrams keep alive.
    pub(crate) fn memory(&self) -> usize {
        self.used
    }
}

/// Whether `len` bytes stay a slice that keeps `pinned` bytes of memory alive: otherwise the memory
/// held would be more than twice the number of bytes.
fn keeps_slice(len: usize, pinned: usize) -> bool {
    len > 0 && len >= pinned.div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(payload: Bytes) -> UdpDatagram {
        UdpDatagram {
            payload,
            from: "10.0.0.2:1".parse().unwrap(),
            to: "10.0.0.1".parse().unwrap(),
            tos: 0,
            hop_limit: None,
        }
    }

    #[test]
    fn the_memory_that_is_held_is_counted_and_bounded() {
        let mut queue = ReceiveQueue::default();
        let chunk = Bytes::from(vec![7; 1000]);
        let push = |queue: &mut ReceiveQueue, len| {
            queue.push(datagram(chunk.slice(..len)), 1000, 4 * DATAGRAM_OVERHEAD)
        };
        assert!(push(&mut queue, 500));
        assert_eq!(queue.memory(), DATAGRAM_OVERHEAD + 1000, "the chunk");
        assert!(queue.pop().is_some());
        assert!(push(&mut queue, 10), "it is copied later");
        assert!(push(&mut queue, 0));
        assert!(push(&mut queue, 20));
        assert!(!push(&mut queue, 300));
        assert_eq!(queue.memory(), 3 * DATAGRAM_OVERHEAD + 30);
        assert!(queue.is_loose());
        queue.compact();
        drop(chunk);
        let lengths = std::iter::from_fn(|| queue.pop()).map(|datagram| datagram.payload.len());
        assert_eq!(lengths.collect::<Vec<_>>(), [10, 0, 20]);
        assert_eq!(queue.memory(), 0);
    }

    #[test]
    fn a_copied_payload_keeps_its_chunk_no_longer() {
        let mut queue = ReceiveQueue::default();
        let chunk = Bytes::from(vec![7; 1000]);
        assert!(queue.push(datagram(chunk.slice(..10)), 1000, 1 << 20));
        assert!(queue.push(datagram(chunk.slice(..900)), 1000, 1 << 20));
        queue.compact();
        queue.pop();
        assert!(!chunk.is_unique(), "the second stays a slice");
        queue.pop();
        assert!(chunk.is_unique());
    }

    #[test]
    fn one_datagram_is_taken_whatever_its_size() {
        let mut queue = ReceiveQueue::default();
        assert!(queue.push(datagram(vec![0; 5000].into()), 5000, 0));
        assert!(!queue.push(datagram(Bytes::new()), 0, 0));
    }

    #[test]
    fn an_empty_queue_gives_its_memory_back() {
        let mut queue = ReceiveQueue::default();
        while queue.push(datagram(Bytes::new()), 0, 1 << 20) {}
        while queue.pop().is_some() {}
        assert_eq!((queue.memory(), queue.waiting.capacity()), (0, 0));
    }
}
