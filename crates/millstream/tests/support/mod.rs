//! Two stacks and the link between them.
#![allow(dead_code, reason = "every test file uses a part of it")]

use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use millstream::device::{Capabilities, Device, Pair, pair};
use millstream::{Stack, StackBuilder, TcpListener, TcpStream};
use tokio::time::Instant;

pub(crate) const SERVER: &str = "10.0.0.1";
pub(crate) const CLIENT: &str = "10.0.0.2";

/// A server and a client over a link in memory.
pub(crate) fn stacks() -> (Stack, Stack) {
    let (left, right) = pair();
    stacks_over(left, right)
}

pub(crate) fn stacks_over(left: impl Device, right: impl Device) -> (Stack, Stack) {
    (
        server_over(left).build().expect("the server's stack"),
        client_over(right).build().expect("the client's stack"),
    )
}

pub(crate) fn server_over(device: impl Device) -> StackBuilder {
    Stack::builder()
        .device(device)
        .address("10.0.0.1/24")
        .seed([1; 32])
}

pub(crate) fn client_over(device: impl Device) -> StackBuilder {
    Stack::builder()
        .device(device)
        .address("10.0.0.2/24")
        .seed([2; 32])
}

/// A listener on the server's port 7 and the two ends of a connection to it.
pub(crate) async fn connected(
    server: &Stack,
    client: &Stack,
) -> (TcpListener, TcpStream, TcpStream) {
    let listener = server.listen("10.0.0.1:7").await.expect("listens");
    let (connected, accepted) = tokio::join!(client.connect("10.0.0.1:7"), listener.accept());
    let (server_end, peer) = accepted.expect("accepts");
    let client_end = connected.expect("connects");
    assert_eq!(peer, client_end.local_addr().expect("has an address"));
    (listener, server_end, client_end)
}

/// Runs all other tasks until they only wait: virtual time advances only then.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// `len` bytes that differ from place to place.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}

/// The observations of a [`Tap`], and its controls.
#[derive(Clone, Default)]
pub(crate) struct Watch {
    /// Polls of the device by the driver, at least one in each of its runs.
    pub(crate) polls: Arc<AtomicUsize>,
    pub(crate) sent: Arc<AtomicUsize>,
    pub(crate) dropped: Arc<AtomicBool>,
    /// Whether packets are kept from the link.
    pub(crate) cut: Arc<AtomicBool>,
    /// Sent packets to lose, counted from the first.
    pub(crate) lose: Arc<Mutex<Vec<usize>>>,
}

impl Watch {
    pub(crate) fn polls(&self) -> usize {
        self.polls.load(Ordering::Relaxed)
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Acquire)
    }

    pub(crate) fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }
}

/// A device that is observed.
pub(crate) struct Tap<D> {
    device: D,
    watch: Watch,
}

impl Tap<Pair> {
    pub(crate) fn pair() -> ((Self, Watch), (Self, Watch)) {
        let (left, right) = pair();
        (Tap::new(left), Tap::new(right))
    }
}

impl<D: Device> Tap<D> {
    pub(crate) fn new(device: D) -> (Self, Watch) {
        let watch = Watch::default();
        let tap = Self {
            device,
            watch: watch.clone(),
        };
        (tap, watch)
    }
}

impl<D: Device> Device for Tap<D> {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watch.polls.fetch_add(1, Ordering::Relaxed);
        self.device.poll_recv_ready(cx)
    }

    fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.device.try_recv(buf)
    }

    fn arrived_at(&self) -> Option<Instant> {
        self.device.arrived_at()
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.device.poll_send_ready(cx)
    }

    fn try_send(&self, frame: &[IoSlice<'_>]) -> io::Result<()> {
        let number = self.watch.sent.load(Ordering::Relaxed);
        let lost = self
            .watch
            .lose
            .lock()
            .expect("not poisoned")
            .contains(&number);
        if !lost && !self.watch.cut.load(Ordering::Relaxed) {
            self.device.try_send(frame)?;
        }
        self.watch.sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl<D> Drop for Tap<D> {
    fn drop(&mut self) {
        self.watch.dropped.store(true, Ordering::Release);
    }
}
