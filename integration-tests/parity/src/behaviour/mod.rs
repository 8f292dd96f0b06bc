//! The cases, and what they have in common. `net` is the module under test: see the crate.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};

use futures::poll;
use futures::task::{ArcWake, waker};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::sync::Mutex;
use tokio::task::yield_now;

use self::net::{TcpListener, TcpSocket, TcpStream};
use super::{World, net, stream_of};
use crate::case::Case;

mod connecting;
mod ending;
mod halves;
mod listening;
mod names;
mod options;
mod peeking;
mod readiness;
mod reading;
mod resets;
mod sockets;
mod tasks;
mod writing;

/// All cases, in the order of the page.
#[must_use]
pub fn cases() -> Vec<Case<World>> {
    let mut all = Vec::new();
    all.extend(connecting::cases());
    all.extend(listening::cases());
    all.extend(names::cases());
    all.extend(sockets::cases());
    all.extend(options::cases());
    all.extend(reading::cases());
    all.extend(peeking::cases());
    all.extend(writing::cases());
    all.extend(ending::cases());
    all.extend(resets::cases());
    all.extend(readiness::cases());
    all.extend(halves::cases());
    all.extend(tasks::cases());
    all
}

/// A connection beside the one under test. What a link carries arrives in order, so that a round
/// trip here is the proof that everything sent before has arrived.
pub(crate) struct Probe(Mutex<(TcpStream, TcpStream)>);

impl Probe {
    pub(crate) async fn new(client: TcpStream, listener: &TcpListener) -> Self {
        let (server, _) = listener.accept().await.expect("accepts");
        Self(Mutex::new((client, server)))
    }

    async fn round_trip(&self) {
        let (client, server) = &mut *self.0.lock().await;
        // What an arrival causes (an acknowledgment, then what it lets go) may leave after the probe.
        for _ in 0..8 {
            client.write_all(b"?").await.expect("writes");
            server.read_exact(&mut [0]).await.expect("reads");
            server.write_all(b"!").await.expect("writes");
            client.read_exact(&mut [0]).await.expect("reads");
        }
        // Over the kernel, no read above had to wait for the runtime to learn what has arrived.
        yield_now().await;
    }
}

impl World {
    /// Waits until everything sent so far has arrived at the other side, and its answer here.
    async fn settle(&self) {
        self.probe.round_trip().await;
    }

    /// The result of `future` if it has one after everything sent so far has arrived.
    async fn now<F: Future>(&self, future: F) -> Poll<F::Output> {
        let mut future = pin!(future);
        match poll!(&mut future) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => {
                self.settle().await;
                poll!(&mut future)
            }
        }
    }

    /// A listener on a port of the server.
    async fn listener(&self) -> TcpListener {
        let address = SocketAddr::new(self.server, 0);
        let listener = self.on_server(TcpListener::bind(address)).await;
        listener.expect("binds")
    }

    /// Opens a connection from the client.
    async fn connect<A: net::ToSocketAddrs>(&self, address: A) -> std::io::Result<TcpStream> {
        self.on_client(TcpStream::connect(address)).await
    }

    /// A socket of the client.
    async fn socket(&self) -> TcpSocket {
        self.on_client(async { TcpSocket::new_v4() })
            .await
            .expect("is made")
    }

    /// A socket of the server.
    async fn server_socket(&self) -> TcpSocket {
        self.on_server(async { TcpSocket::new_v4() })
            .await
            .expect("is made")
    }

    /// A listener of the server and the two ends of a connection to it: the client's, which
    /// connected, and the server's, which was accepted.
    async fn ends(&self) -> (TcpListener, TcpStream, TcpStream) {
        let listener = self.listener().await;
        let here = self.connect(address_of(&listener)).await.expect("connects");
        let (there, _) = listener.accept().await.expect("accepts");
        (listener, here, there)
    }

    /// The two ends alone.
    async fn pair(&self) -> (TcpStream, TcpStream) {
        let (_, here, there) = self.ends().await;
        (here, there)
    }

    /// The two ends, of which the client's has written `hello`, and it has arrived.
    async fn greeted(&self) -> (TcpStream, TcpStream) {
        let (mut here, there) = self.pair().await;
        here.write_all(b"hello").await.expect("writes");
        self.settle().await;
        (here, there)
    }

    /// Two ends of which the client has reset the connection, with `unread` before it.
    async fn reset_after(&self, unread: &[u8]) -> TcpStream {
        let (mut here, there) = self.pair().await;
        here.write_all(unread).await.expect("writes");
        here.set_zero_linger().expect("sets");
        drop(here);
        there.ready(Interest::ERROR).await.expect("is ready");
        there
    }

    /// Both ends, of which first this one and then the other has shut down.
    async fn both_closed(&self) -> [TcpStream; 2] {
        let (mut here, mut there) = self.pair().await;
        here.shutdown().await.expect("shuts down");
        assert_eq!(there.read(&mut [0; 1]).await.expect("reads"), 0);
        there.shutdown().await.expect("shuts down");
        assert_eq!(here.read(&mut [0; 1]).await.expect("reads"), 0);
        self.settle().await;
        [here, there]
    }

    /// The address of a port of the server on which nothing listens.
    async fn unused_address(&self) -> SocketAddr {
        address_of(&self.listener().await)
    }
}

fn address_of(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("has an address")
}

/// Fills the send buffer and the other side's receive buffer.
async fn fill(at: &World, end: &TcpStream) -> usize {
    let block = vec![7; 256 << 10];
    let (mut written, mut refused) = (0, 0);
    while refused < 3 {
        match end.try_write(&block) {
            Ok(len) => (written, refused) = (written + len, 0),
            Err(_) => refused += 1,
        }
        at.settle().await;
    }
    written
}

/// Counts its wakes.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl ArcWake for Wakes {
    fn wake_by_ref(this: &Arc<Self>) {
        this.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn counting() -> (Waker, Arc<Wakes>) {
    let wakes = Arc::new(Wakes::default());
    (waker(Arc::clone(&wakes)), wakes)
}
