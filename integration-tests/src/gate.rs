//! A device between a stack and its link on which a test decides over every packet: let it pass,
//! drop it, or hold it until both sides have spoken.

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use millstream::device::{Capabilities, Device};
use tokio::sync::watch;

use crate::trace::{Fate, Trace};

/// Which way a packet goes, seen from the stack behind the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the link to the stack.
    In,
    /// From the stack to the link.
    Out,
}

/// Decides over a packet, given from its IP header on.
type Rule = Box<dyn FnMut(Direction, &[u8]) -> Fate + Send>;

/// The device. The test keeps a [`GateControl`].
pub struct Gate<D> {
    link: Arc<D>,
    shared: Arc<Shared>,
}

/// The test's hand on a gate. Clones control the same gate.
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
    /// Released packets that the stack has not taken yet.
    inbound: std::collections::VecDeque<Vec<u8>>,
}

impl<D: Device> Gate<D> {
    /// A gate that lets everything pass and records it.
    pub fn new(link: D, trace: Trace) -> (Self, GateControl<D>) {
        Self::over(Arc::new(link), trace)
    }

    fn over(link: Arc<D>, trace: Trace) -> (Self, GateControl<D>) {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                rule: Box::new(|_, _| Fate::Passed),
                held: Vec::new(),
                inbound: std::collections::VecDeque::new(),
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
    /// Has `rule` decide over every packet from now on.
    pub fn set_rule(&self, rule: impl FnMut(Direction, &[u8]) -> Fate + Send + 'static) {
        self.shared.lock().rule = Box::new(rule);
    }

    /// Drops every packet from now on: the cable is out.
    pub fn cut(&self) {
        self.set_rule(|_, _| Fate::Dropped);
    }

    /// Lets every packet pass from now on. What is held stays so.
    pub fn open(&self) {
        self.set_rule(|_, _| Fate::Passed);
    }

    /// Returns when `count` packets are held.
    pub async fn holding(&self, count: usize) {
        let mut held = self.shared.held.subscribe();
        // The sender lives as long as this gate's control.
        let _ = held.wait_for(|held| *held >= count).await;
    }

    /// Lets every packet pass from now on, first those that are held, each in its direction.
    ///
    /// # Errors
    /// What the link answers to a packet.
    pub fn release(&self) -> io::Result<()> {
        let mut state = self.shared.lock();
        state.rule = Box::new(|_, _| Fate::Passed);
        for (direction, packet) in std::mem::take(&mut state.held) {
            match direction {
                Direction::In => state.inbound.push_back(packet),
                Direction::Out => self.link.try_send(&[IoSlice::new(&packet)])?,
            }
        }
        drop(state);
        self.shared.held.send_replace(0);
        self.shared.receiver.wake();
        Ok(())
    }

    /// A second gate over the same link, for the stack of a host that was switched off and on
    /// again. The first one should be [cut](Self::cut): two stacks would share its packets.
    #[must_use]
    pub fn replace(&self) -> (Gate<D>, Self) {
        Gate::over(self.link.clone(), self.trace.clone())
    }

    /// What was on the link.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides over a packet and keeps it if it is to be held.
    fn judge(&self, direction: Direction, packet: &[u8]) -> Fate {
        let mut state = self.lock();
        let fate = (state.rule)(direction, packet);
        self.trace.record(packet, fate);
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

    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Register first: a release between the look and the registration would be missed.
        self.shared.receiver.register(cx.waker());
        if !self.shared.lock().inbound.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.link.poll_recv_ready(cx)
    }

    fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(packet) = self.shared.lock().inbound.pop_front() {
            let target = buffer.get_mut(..packet.len()).ok_or(io::ErrorKind::InvalidInput)?;
            target.copy_from_slice(&packet);
            return Ok(packet.len());
        }
        loop {
            let length = self.link.try_recv(buffer)?;
            if self.shared.judge(Direction::In, &buffer[..length]) == Fate::Passed {
                return Ok(length);
            }
        }
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.poll_send_ready(cx)
    }

    fn try_send(&self, frame: &[IoSlice<'_>]) -> io::Result<()> {
        let packet: Vec<u8> = frame.iter().flat_map(|slice| slice.iter().copied()).collect();
        // Judged once: a packet for which the link has no room is offered again, and passes
        // by the same rule then.
        match self.shared.judge(Direction::Out, &packet) {
            Fate::Passed => self.link.try_send(frame),
            Fate::Dropped | Fate::Held => Ok(()),
        }
    }
}
