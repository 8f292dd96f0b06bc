//! The state inside an [`Impaired`](super::Impaired): two links and the clock.
//!
//! Only the stack's driver advances the links, when it waits for packets. A sender wakes the driver
//! if the next event is now earlier than the driver expected.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::iter;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use millstream::device::Device;
use millstream_engine::Instant;
use tokio::time::{Sleep, sleep_until};

use crate::model::Link;

/// Packets taken from the device before other work is done.
const BATCH: usize = 256;

#[derive(Debug)]
pub(super) struct Passage {
    origin: tokio::time::Instant,
    pub(super) outgoing: Link,
    pub(super) incoming: Link,
    /// Packets for the device, which was full.
    leaving: VecDeque<Bytes>,
    /// Packets for the stack, each with its time of arrival.
    arrived: VecDeque<(Instant, Bytes)>,
    /// The arrival time of the packet that the stack took last.
    taken: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    /// The time for which the driver sleeps; `None` while it does not sleep.
    waiting_until: Option<Instant>,
    driver: Option<Waker>,
    /// The error or end of the device, until it is reported to the stack.
    end: Option<io::Error>,
    scratch: Vec<u8>,
}

impl Passage {
    pub(super) fn new(outgoing: Link, incoming: Link, mtu: usize) -> Self {
        Self {
            origin: tokio::time::Instant::now(),
            outgoing,
            incoming,
            leaving: VecDeque::new(),
            arrived: VecDeque::new(),
            taken: None,
            timer: None,
            waiting_until: None,
            driver: None,
            end: None,
            scratch: vec![0; mtu],
        }
    }

    /// Puts a packet from the stack on the link.
    pub(super) fn send(&mut self, packet: Bytes) {
        let now = self.now();
        self.outgoing.send(now, packet);
        while let Some(reply) = self.outgoing.poll_reply() {
            self.arrived.push_back((now, reply));
        }
    }

    /// Takes a packet that has arrived.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        let (at, packet) = self.arrived.pop_front()?;
        self.taken = Some(at);
        Some(packet)
    }

    /// Moves packets that are due; ready when the stack has a packet to receive.
    pub(super) fn poll<D: Device>(
        &mut self,
        device: &D,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.remember(cx);
        loop {
            let more = self.receive(device, cx);
            self.leave(device, cx);
            if !self.arrived.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if self.incoming.next_at().is_none()
                && let Some(end) = self.end.take()
            {
                return Poll::Ready(Err(end));
            }
            if more {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.poll_timer(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Moves packets that are due; ready when the device has taken all packets from the stack.
    pub(super) fn poll_sent_all<D: Device>(
        &mut self,
        device: &D,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            self.leave(device, cx);
            if self.has_sent_all() {
                return Poll::Ready(());
            }
            if self.poll_timer(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// The arrival time of the packet that was taken last.
    pub(super) fn taken_at(&self) -> Option<tokio::time::Instant> {
        Some(self.origin + (self.taken? - Instant::ZERO))
    }

    /// The driver's waker, if an event is due before the driver wakes by itself.
    pub(super) fn wake_driver(&mut self) -> Option<Waker> {
        let earlier = match (self.next_at(), self.waiting_until) {
            (Some(next), Some(until)) => next < until,
            (next, None) => next.is_some(),
            (None, Some(_)) => false,
        };
        if earlier || !self.arrived.is_empty() {
            self.driver.take()
        } else {
            None
        }
    }

    pub(super) fn has_sent_all(&self) -> bool {
        self.outgoing.next_at().is_none() && self.leaving.is_empty()
    }

    /// The current time on the clock of the links.
    pub(super) fn now(&self) -> Instant {
        self.instant(tokio::time::Instant::now())
    }

    fn instant(&self, at: tokio::time::Instant) -> Instant {
        Instant::ZERO + at.saturating_duration_since(self.origin)
    }

    fn next_at(&self) -> Option<Instant> {
        let both = [self.outgoing.next_at(), self.incoming.next_at()];
        both.into_iter().flatten().min()
    }

    fn remember(&mut self, cx: &Context<'_>) {
        match &mut self.driver {
            Some(driver) => driver.clone_from(cx.waker()),
            None => self.driver = Some(cx.waker().clone()),
        }
    }

    /// Takes packets from the device, and queues for the stack those that have passed the link.
    /// Returns whether the device may have more.
    fn receive<D: Device>(&mut self, device: &D, cx: &mut Context<'_>) -> bool {
        let mut taken = 0;
        while taken < BATCH && self.end.is_none() {
            match device.try_recv(&mut self.scratch) {
                Ok(len) => {
                    taken += 1;
                    let packet = Bytes::copy_from_slice(&self.scratch[..len]);
                    // The packet may have waited in the device since it reached the link.
                    let came = device.arrived_at().map(|at| self.instant(at));
                    self.incoming.send(came.unwrap_or(self.now()), packet);
                    while let Some(reply) = self.incoming.poll_reply() {
                        self.leaving.push_back(reply);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match device.poll_recv_ready(cx) {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(error)) => self.end = Some(error),
                        Poll::Pending => break,
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.end = Some(error),
            }
        }
        let now = self.now();
        self.arrived
            .extend(iter::from_fn(|| self.incoming.poll_arrival(now)));
        taken == BATCH
    }

    /// Gives the device the packets that have passed the link.
    fn leave<D: Device>(&mut self, device: &D, cx: &mut Context<'_>) {
        let now = self.now();
        while let Some(packet) = self.leaving.pop_front().or_else(|| self.outgoing.poll(now)) {
            match device.try_send(&[IoSlice::new(&packet)]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.leaving.push_front(packet);
                    match device.poll_send_ready(cx) {
                        Poll::Ready(Ok(())) => {}
                        // A device that has ended takes no more packets.
                        Poll::Ready(Err(_)) => self.leaving.clear(),
                        Poll::Pending => break,
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    self.leaving.push_front(packet);
                }
                // With any other error the packet is lost.
                Ok(()) | Err(_) => {}
            }
        }
    }

    /// Ready when the next packet is due; pending if there is none.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // While the device is full, the packets that leave wait for the device and not for a time.
        let next = if self.leaving.is_empty() {
            self.next_at()
        } else {
            self.incoming.next_at()
        };
        self.waiting_until = next;
        let Some(next) = next else {
            return Poll::Pending;
        };
        let deadline = self.origin + (next - Instant::ZERO);
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        let fired = timer.as_mut().poll(cx);
        if fired.is_ready() {
            self.timer = None;
        }
        fired
    }
}
