//! A device between a stack and its link through which a test controls every packet: it lets it
//! pass, drops it, or holds it until both ends have sent theirs.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use millstream::device::{Capabilities, Device, Direction};
use tokio::sync::{oneshot, watch};

use crate::segments::Brief;
use crate::trace::{Fate, Trace};

/// Decides about a packet, given from its IP header on. A packet that waits for room on the link is
/// decided about again each time it is offered.
type Rule = Box<dyn FnMut(Direction, &[u8]) -> Fate + Send>;

/// The device. The test keeps its [`GateControl`].
pub struct Gate<D> {
    link: Arc<D>,
    shared: Arc<Shared>,
}

/// The test's control of a gate. Clones control the same gate.
pub struct GateControl<D> {
    link: Arc<D>,
    shared: Arc<Shared>,
    trace: Trace,
}

struct Shared {
    state: Mutex<State>,
    receiver: AtomicWaker,
    held: watch::Sender<usize>,
    trace: Trace,
}

struct State {
    rule: Rule,
    held: Vec<(Direction, Vec<u8>)>,
    /// Released packets that the stack has not read yet.
    inbound: VecDeque<Vec<u8>>,
}

impl<D: Device> Gate<D> {
    /// A gate that lets every packet pass and records it.
    pub fn new(link: D, trace: Trace) -> (Self, GateControl<D>) {
        Self::over(Arc::new(link), trace)
    }

    fn over(link: Arc<D>, trace: Trace) -> (Self, GateControl<D>) {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                rule: Box::new(|_, _| Fate::Passed),
                held: Vec::new(),
                inbound: VecDeque::new(),
            }),
            receiver: AtomicWaker::new(),
            held: watch::Sender::new(0),
            trace: trace.clone(),
        });
        let control = GateControl {
            link: link.clone(),
            shared: shared.clone(),
            trace,
        };
        (Self { link, shared }, control)
    }
}

impl<D: Device> GateControl<D> {
    /// Makes `rule` decide about every packet from now on.
    pub fn set_rule(&self, rule: impl FnMut(Direction, &[u8]) -> Fate + Send + 'static) {
        self.shared.lock().rule = Box::new(rule);
    }

    /// Lets every packet pass from now on, and signals the first that matches `event`.
    pub fn passing(
        &self,
        mut event: impl FnMut(Direction, Brief) -> bool + Send + 'static,
    ) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut sender = Some(sender);
        self.set_rule(move |direction, packet| {
            if let Some(brief) = Brief::of(packet)
                && event(direction, brief)
                && let Some(sender) = sender.take()
            {
                // After the end of the case there is no receiver.
                let _ = sender.send(());
            }
            Fate::Passed
        });
        receiver
    }

    /// Drops the next packet that matches `doomed`, lets every other packet pass, and signals the
    /// drop.
    pub fn lose_next(
        &self,
        mut doomed: impl FnMut(Direction, Brief) -> bool + Send + 'static,
    ) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut sender = Some(sender);
        self.set_rule(move |direction, packet| {
            if sender.is_none() || !Brief::of(packet).is_some_and(|b| doomed(direction, b)) {
                return Fate::Passed;
            }
            // After the end of the case there is no receiver.
            let _ = sender.take().map(|sender| sender.send(()));
            Fate::Dropped
        });
        receiver
    }

    /// Drops every packet from now on, as an unplugged cable would.
    pub fn cut(&self) {
        self.set_rule(|_, _| Fate::Dropped);
    }

    /// Lets every packet pass from now on. Held packets stay held.
    pub fn open(&self) {
        self.set_rule(|_, _| Fate::Passed);
    }

    /// Returns when `count` packets are held.
    pub async fn holding(&self, count: usize) {
        let mut held = self.shared.held.subscribe();
        // The sender lives as long as this gate's control.
        let _ = held.wait_for(|held| *held >= count).await;
    }

    /// Releases the held packets, each in its direction. The rule stays.
    ///
    /// # Errors
    /// The link's error for a packet.
    pub fn release(&self) -> io::Result<()> {
        self.release_those(|_| true)
    }

    /// Like [`release`](Self::release), but only for packets to the stack, so that a test can wait
    /// for the stack's answer before the other end receives a packet.
    ///
    /// # Errors
    /// The link's error for a packet.
    pub fn release_received(&self) -> io::Result<()> {
        self.release_those(|direction| direction == Direction::Received)
    }

    fn release_those(&self, free: impl Fn(Direction) -> bool) -> io::Result<()> {
        let mut state = self.shared.lock();
        let (free, kept) = std::mem::take(&mut state.held)
            .into_iter()
            .partition::<Vec<_>, _>(|(direction, _)| free(*direction));
        let count = kept.len();
        state.held = kept;
        for (direction, packet) in free {
            match direction {
                Direction::Received => state.inbound.push_back(packet),
                Direction::Sent => {
                    self.link.try_send(&[IoSlice::new(&packet)])?;
                    self.trace.released();
                }
            }
        }
        drop(state);
        self.shared.held.send_replace(count);
        self.shared.receiver.wake();
        Ok(())
    }

    /// A second gate over the same link, for the stack of a host that was switched off and on
    /// again. The first gate should be [cut](Self::cut), because the two stacks would share the
    /// packets.
    #[must_use]
    pub fn replace(&self) -> (Gate<D>, Self) {
        Gate::over(self.link.clone(), self.trace.clone())
    }

    /// The trace of the link.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides about a packet, and keeps it if it is to be held. Does not record it yet.
    fn judge(&self, direction: Direction, packet: &[u8]) -> Fate {
        let mut state = self.lock();
        let fate = (state.rule)(direction, packet);
        if fate == Fate::Held {
            state.held.push((direction, packet.to_vec()));
            let count = state.held.len();
            drop(state);
            self.held.send_replace(count);
        }
        fate
    }
}

impl<D: Device> Device for Gate<D> {
    fn capabilities(&self) -> Capabilities {
        self.link.capabilities()
    }

    fn queue_len(&self) -> Option<usize> {
        self.link.queue_len()
    }

    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Register first: a release between the check and the registration would be missed.
        self.shared.receiver.register(cx.waker());
        if !self.shared.lock().inbound.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.link.poll_recv_ready(cx)
    }

    fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(packet) = self.shared.lock().inbound.pop_front() {
            let target = buffer
                .get_mut(..packet.len())
                .ok_or(io::ErrorKind::InvalidInput)?;
            target.copy_from_slice(&packet);
            return Ok(packet.len());
        }
        loop {
            let length = self.link.try_recv(buffer)?;
            let packet = &buffer[..length];
            let fate = self.shared.judge(Direction::Received, packet);
            self.shared.trace.record(packet, fate);
            if fate == Fate::Passed {
                return Ok(length);
            }
        }
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.poll_send_ready(cx)
    }

    fn try_send(&self, frame: &[IoSlice<'_>]) -> io::Result<()> {
        let packet: Vec<u8> = frame
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect();
        let fate = self.shared.judge(Direction::Sent, &packet);
        if fate == Fate::Passed {
            // A packet for which the link has no room is offered and judged again, so it is not
            // recorded now.
            self.link.try_send(frame)?;
        }
        self.shared.trace.record(&packet, fate);
        Ok(())
    }
}
