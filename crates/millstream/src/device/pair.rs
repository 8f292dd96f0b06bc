//! A link in memory between two stacks.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::{iter, mem};

use bytes::Bytes;
use tokio::time::Instant;

use super::{Capabilities, Device};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// The longest IP and TCP headers, which a super-segment may have in addition to its payload.
const MAX_HEADERS: usize = 120;

/// Payload of at least this many bytes stays where it is. A smaller part would keep much more
/// memory alive than its own size.
const LEAST_SHARED: usize = 4 << 10;

/// The dimensions of a link, the same in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairConfig {
    /// The largest IP packet, in bytes.
    pub mtu: usize,
    /// The maximum number of packets in transit in one direction. Beyond it the link is full, and
    /// the sender waits. At least one.
    pub capacity: usize,
    /// The maximum number of bytes in transit in one direction. An empty direction accepts any
    /// packet.
    pub capacity_bytes: usize,
    /// Payload bytes of the largest TCP segment that is carried whole, in spite of the MTU (see
    /// [`Capabilities::max_segment`]). Zero: none.
    pub max_segment: usize,
    /// Whether neither end computes or verifies TCP checksums, as on a kernel's loopback interface:
    /// the link is memory, which does not corrupt packets. A recorder of the packets sees
    /// incomplete checksums.
    pub checksum_offload: bool,
}

impl Default for PairConfig {
    /// An Ethernet-sized MTU, room for 1024 packets or 1 MiB, and checksums computed.
    fn default() -> Self {
        Self {
            mtu: 1500,
            capacity: 1024,
            capacity_bytes: 1 << 20,
            max_segment: 0,
            checksum_offload: false,
        }
    }
}

impl PairConfig {
    /// Creates the link and returns its two ends.
    #[must_use]
    pub fn build(self) -> (Pair, Pair) {
        let there = Arc::new(Queue::default());
        let back = Arc::new(Queue::default());
        let end = |outgoing: &Arc<Queue>, incoming: &Arc<Queue>| Pair {
            config: self,
            outgoing: Arc::clone(outgoing),
            incoming: Arc::clone(incoming),
        };
        (end(&there, &back), end(&back, &there))
    }
}

/// A link in memory with default dimensions; see [`PairConfig`]. It delays and loses nothing, and
/// works on every kind of runtime. It also works between two runtimes, which should share one
/// clock: a frame arrives at one end at the time at which it was put on the link at the other.
#[must_use]
pub fn pair() -> (Pair, Pair) {
    PairConfig::default().build()
}

/// One end of a link in memory. After the other end is dropped, the frames in transit still arrive;
/// then the device ends with [`BrokenPipe`](io::ErrorKind::BrokenPipe).
#[derive(Debug)]
pub struct Pair {
    config: PairConfig,
    outgoing: Arc<Queue>,
    incoming: Arc<Queue>,
}

impl Device for Pair {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            max_segment: self.config.max_segment,
            rx_checksum_trusted: self.config.checksum_offload,
            tx_checksum_offload: self.config.checksum_offload,
            ..Capabilities::plain(self.config.mtu)
        }
    }

    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut queue = self.incoming.lock();
        if !queue.frames.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if queue.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let old = queue.receiver.replace(cx.waker().clone());
        // Dropping a waker may run foreign code, and must not happen under the lock.
        drop(queue);
        drop(old);
        Poll::Pending
    }

    fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.take(|frame| frame.copy_to(&mut [], buf))
    }

    fn try_recv_split(&self, head: &mut [u8], rest: &mut [u8]) -> io::Result<usize> {
        self.take(|frame| frame.copy_to(head, rest))
    }

    fn arrived_at(&self) -> Option<Instant> {
        self.incoming.lock().taken_at
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut queue = self.outgoing.lock();
        if queue.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if queue.has_room(&self.config, queue.refused) {
            return Poll::Ready(Ok(()));
        }
        let old = queue.sender.replace(cx.waker().clone());
        drop(queue);
        drop(old);
        Poll::Pending
    }

    fn try_send(&self, frame: &[IoSlice<'_>]) -> io::Result<()> {
        self.put(frame, &[])
    }

    fn try_send_shared(&self, headers: &[IoSlice<'_>], payload: &[Bytes]) -> io::Result<()> {
        self.put(headers, payload)
    }
}

impl Pair {
    /// Puts a frame of those bytes on the link.
    fn put(&self, copied: &[IoSlice<'_>], payload: &[Bytes]) -> io::Result<()> {
        let copied_len: usize = copied.iter().map(|slice| slice.len()).sum();
        let payload_len: usize = payload.iter().map(Bytes::len).sum();
        let len = copied_len + payload_len;
        let largest = self.config.mtu.max(match self.config.max_segment {
            0 => 0,
            payload => payload + MAX_HEADERS,
        });
        if len > largest {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the packet is larger than the link carries",
            ));
        }
        let mut queue = self.outgoing.lock();
        if queue.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !queue.has_room(&self.config, len) {
            queue.refused = len;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut frame = queue.take_spare();
        drop(queue);

        for slice in copied {
            frame.copied.extend_from_slice(slice);
        }
        if payload_len >= LEAST_SHARED {
            frame.shared.extend_from_slice(payload);
        } else {
            for piece in payload {
                frame.copied.extend_from_slice(piece);
            }
        }
        let mut queue = self.outgoing.lock();
        // Under the lock, so that the times are in order.
        frame.put_at = Some(Instant::now());
        queue.bytes += len;
        queue.frames.push_back(frame);
        let receiver = queue.receiver.take();
        drop(queue);
        if let Some(receiver) = receiver {
            receiver.wake();
        }
        Ok(())
    }

    /// Takes the next frame, whose bytes `copy` copies.
    fn take(&self, copy: impl FnOnce(&Frame) -> usize) -> io::Result<usize> {
        let mut queue = self.incoming.lock();
        let Some(mut frame) = queue.frames.pop_front() else {
            return Err(if queue.closed {
                io::ErrorKind::BrokenPipe.into()
            } else {
                io::ErrorKind::WouldBlock.into()
            });
        };
        queue.bytes -= frame.len();
        queue.taken_at = frame.put_at;
        // The sender is woken when half of the link is free, not for every packet.
        let half_free = queue.frames.len() <= self.config.capacity / 2
            && queue.bytes <= self.config.capacity_bytes / 2;
        let sender = if half_free { queue.sender.take() } else { None };
        drop(queue);

        let len = copy(&frame);
        frame.clear();
        self.incoming.lock().recycle(frame, &self.config);
        if let Some(sender) = sender {
            sender.wake();
        }
        Ok(len)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for queue in [&self.outgoing, &self.incoming] {
            let mut queue = queue.lock();
            queue.closed = true;
            let wakers = [queue.receiver.take(), queue.sender.take()];
            drop(queue);
            wakers.into_iter().flatten().for_each(Waker::wake);
        }
    }
}

/// A frame on the link.
#[derive(Debug, Default)]
struct Frame {
    copied: Vec<u8>,
    /// The rest of the frame, in the sender's memory, which stays unchanged.
    shared: Vec<Bytes>,
    /// The time at which the frame was put on the link.
    put_at: Option<Instant>,
}

impl Frame {
    fn len(&self) -> usize {
        self.copied.len() + self.shared.iter().map(Bytes::len).sum::<usize>()
    }

    /// Bytes of memory that the frame keeps when it is empty.
    fn capacity(&self) -> usize {
        self.copied.capacity() + self.shared.capacity() * size_of::<Bytes>()
    }

    fn clear(&mut self) {
        self.copied.clear();
        self.shared.clear();
    }

    /// Fills `head`, then `rest`. Returns the number of bytes copied.
    fn copy_to(&self, head: &mut [u8], rest: &mut [u8]) -> usize {
        let (mut place, mut later) = (head, Some(rest));
        let mut len = 0;
        for mut piece in iter::once(&self.copied[..]).chain(self.shared.iter().map(|p| &p[..])) {
            while !piece.is_empty() {
                if place.is_empty() {
                    match later.take() {
                        Some(rest) => place = rest,
                        None => return len,
                    }
                }
                let (now, left) = piece.split_at(piece.len().min(place.len()));
                let (filled, free) = mem::take(&mut place).split_at_mut(now.len());
                filled.copy_from_slice(now);
                len += now.len();
                (place, piece) = (free, left);
            }
        }
        len
    }
}

/// One direction of the link.
#[derive(Debug, Default)]
struct Queue {
    inner: Mutex<QueueInner>,
}

#[derive(Debug, Default)]
struct QueueInner {
    frames: VecDeque<Frame>,
    /// Bytes of all frames.
    bytes: usize,
    /// The time at which the last taken frame had been put on the link.
    taken_at: Option<Instant>,
    /// Frames for reuse, so that a packet costs no allocation.
    spare: Vec<Frame>,
    /// Bytes of memory in `spare`.
    spare_bytes: usize,
    receiver: Option<Waker>,
    sender: Option<Waker>,
    /// Bytes of the frame refused last, for which the sender waits to have room.
    refused: usize,
    /// Whether one end has been dropped.
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, QueueInner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueInner {
    fn has_room(&self, config: &PairConfig, len: usize) -> bool {
        self.frames.is_empty()
            || self.frames.len() < config.capacity
                && self.bytes.saturating_add(len) <= config.capacity_bytes
    }

    fn take_spare(&mut self) -> Frame {
        let frame = self.spare.pop().unwrap_or_default();
        self.spare_bytes -= frame.capacity();
        frame
    }

    /// Keeps an empty frame for reuse.
    fn recycle(&mut self, frame: Frame, config: &PairConfig) {
        if self.spare_bytes + frame.capacity() <= config.capacity_bytes {
            self.spare_bytes += frame.capacity();
            self.spare.push(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn send(end: &Pair, frame: &[u8]) -> io::Result<()> {
        let (head, tail) = frame.split_at(frame.len() / 2);
        end.try_send(&[IoSlice::new(head), IoSlice::new(tail)])
    }

    #[test]
    fn frames_cross_in_order_and_whole() {
        let (a, b) = pair();
        send(&a, b"first").expect("room");
        send(&a, b"second one").expect("room");
        let mut buf = [0; 64];
        assert_eq!(b.try_recv(&mut buf).expect("there"), 5);
        assert_eq!(&buf[..5], b"first");
        assert_eq!(b.try_recv(&mut buf).expect("there"), 10);
        assert_eq!(&buf[..10], b"second one");
        let empty = b.try_recv(&mut buf).expect_err("nothing is left");
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_payload_that_is_shared_arrives_behind_its_headers() {
        for len in [0, 10, LEAST_SHARED, 3 * LEAST_SHARED] {
            let data: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
            let (first, second) = data.split_at(len / 3);
            let pieces = [first, second].map(Bytes::copy_from_slice);
            let whole = [b"headers".as_slice(), &data].concat();
            for head_len in [0, 3, 7, 20, whole.len()] {
                let config = PairConfig {
                    mtu: 65_535,
                    ..PairConfig::default()
                };
                let (a, b) = config.build();
                a.try_send_shared(&[IoSlice::new(b"head"), IoSlice::new(b"ers")], &pieces)
                    .expect("room");
                let (mut head, mut rest) = (vec![0; head_len], vec![0; 20_000]);
                let got = b.try_recv_split(&mut head, &mut rest).expect("there");
                assert_eq!(got, whole.len());
                assert_eq!([head, rest].concat()[..got], whole);
            }
        }
    }

    #[test]
    fn a_full_link_refuses_and_wakes_the_sender_when_half_is_free() {
        let config = PairConfig {
            capacity: 4,
            ..PairConfig::default()
        };
        let (a, b) = config.build();
        for _ in 0..4 {
            send(&a, b"x").expect("room");
        }
        let full = send(&a, b"x").expect_err("four are under way");
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);

        let woken = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&woken));
        let cx = &mut Context::from_waker(&waker);
        assert!(a.poll_send_ready(cx).is_pending());
        let mut buf = [0; 8];
        b.try_recv(&mut buf).expect("there");
        assert_eq!(woken.0.load(Ordering::Relaxed), 0, "three are under way");
        b.try_recv(&mut buf).expect("there");
        assert_eq!(woken.0.load(Ordering::Relaxed), 1, "two are under way");
        assert!(a.poll_send_ready(cx).is_ready());
    }

    #[test]
    fn readiness_to_send_is_about_the_frame_that_was_refused() {
        let config = PairConfig {
            capacity_bytes: 1000,
            ..PairConfig::default()
        };
        let (a, b) = config.build();
        send(&a, &[0; 900]).expect("room");
        send(&a, &[0; 800]).expect_err("too many bytes");
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(a.poll_send_ready(cx).is_pending());
        b.try_recv(&mut [0; 1500]).expect("there");
        assert!(a.poll_send_ready(cx).is_ready());
        send(&a, &[0; 1400]).expect("an empty link takes any packet");
    }

    #[test]
    fn what_is_under_way_arrives_before_the_end() {
        let (a, b) = pair();
        send(&a, b"last words").expect("room");
        drop(a);
        let cx = &mut Context::from_waker(Waker::noop());
        let mut buf = [0; 64];
        assert!(matches!(b.poll_recv_ready(cx), Poll::Ready(Ok(()))));
        assert_eq!(b.try_recv(&mut buf).expect("there"), 10);
        assert!(matches!(b.poll_recv_ready(cx), Poll::Ready(Err(_))));
        let error = b.try_recv(&mut buf).expect_err("the other end is gone");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        let error = send(&b, b"anybody?").expect_err("the other end is gone");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn packets_above_the_mtu_need_a_super_segment_link() {
        let (a, _b) = pair();
        let error = send(&a, &[0; 1501]).expect_err("larger than the MTU");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let config = PairConfig {
            max_segment: 65_000,
            ..PairConfig::default()
        };
        let (a, b) = config.build();
        send(&a, &[0; 60_000]).expect("carried whole");
        assert_eq!(b.try_recv(&mut [0; 65_535]).expect("there"), 60_000);
    }
}
