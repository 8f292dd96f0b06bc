//! A stack over several devices, whose packets arrive at any of them at random.

mod support;

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::join_all;
use millstream::config::Config;
use millstream::device::{Capabilities, Device, Pair, pair};
use millstream::{BuildError, DropReason, Pressure, Stack};
use support::{CLIENT, SERVER, client_over, pattern, server_over};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const QUEUES: usize = 3;

/// The ends of several links as one: a packet is sent through any of them.
struct Steering {
    links: Vec<Pair>,
    random: Mutex<u64>,
}

impl Steering {
    /// The next link, from Knuth's linear congruential generator.
    fn any(&self) -> &Pair {
        let mut random = self.random.lock().expect("not poisoned");
        *random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        &self.links[(*random >> 33) as usize % self.links.len()]
    }
}

impl Device for Steering {
    fn capabilities(&self) -> Capabilities {
        self.links[0].capabilities()
    }

    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Every link registers the waker.
        let polled: Vec<_> = self.links.iter().map(|l| l.poll_recv_ready(cx)).collect();
        let ready = polled.into_iter().find(Poll::is_ready);
        ready.unwrap_or(Poll::Pending)
    }

    fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut last = Err(io::ErrorKind::WouldBlock.into());
        for link in &self.links {
            last = link.try_recv(buf);
            if last.is_ok() {
                break;
            }
        }
        last
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.any().poll_send_ready(cx)
    }

    fn try_send(&self, frame: &[IoSlice<'_>]) -> io::Result<()> {
        self.any().try_send(frame)
    }
}

/// A server of several shards, and a client whose packets arrive at any of them.
fn stacks() -> (Stack, Stack) {
    stacks_with(|_| {})
}

/// The same, with a configuration of the server.
fn stacks_with(change: impl FnOnce(&mut Config) + Send + 'static) -> (Stack, Stack) {
    let (queues, links): (Vec<_>, Vec<_>) = (0..QUEUES).map(|_| pair()).unzip();
    let random = Mutex::new(7);
    let server = Stack::builder()
        .devices(queues)
        .address("10.0.0.1/24")
        .seed([1; 32])
        .config(change)
        .build();
    let client = client_over(Steering { links, random }).build();
    (server.expect("builds"), client.expect("builds"))
}

/// Sends some data there and back over `count` connections at once.
async fn exchange(from: &Stack, to: &Stack, addr: SocketAddr, count: usize) {
    let listener = to.listen(addr).await.expect("listens");
    let data = Arc::new(pattern(50_000));
    let serve = join_all((0..count).map(|_| async {
        let (stream, _) = listener.accept().await.expect("accepts");
        let (mut read, mut write) = stream.into_split();
        tokio::io::copy(&mut read, &mut write)
            .await
            .expect("copies");
        write.shutdown().await.expect("shuts down");
    }));
    let ask = join_all((0..count).map(|_| async {
        let stream = from.connect(addr).await.expect("connects");
        let (mut read, mut write) = stream.into_split();
        let send = async {
            write.write_all(&data).await.expect("writes");
            write.shutdown().await.expect("shuts down");
        };
        let mut all = Vec::new();
        let (_, received) = tokio::join!(send, read.read_to_end(&mut all));
        received.expect("reads");
        assert!(all == *data, "the bytes differ");
    }));
    tokio::join!(serve, ask);
}

#[tokio::test(start_paused = true)]
async fn a_listener_accepts_what_comes_to_any_shard() {
    let (server, client) = stacks();
    let addr = format!("{SERVER}:7").parse().expect("parses");
    exchange(&client, &server, addr, 40).await;
    let counters = server.counters();
    assert_eq!(counters.passive_opens, 40);
    // An acknowledgment that was overtaken may find its connection closed: the only reason for a
    // reset.
    let overtaken = counters.dropped(DropReason::ListenUnexpected);
    assert_eq!(counters.resets_sent, overtaken);
    assert_eq!(counters.resets_received, 0);
}

#[tokio::test(start_paused = true)]
async fn connections_are_made_from_all_shards() {
    let (server, client) = stacks();
    let addr = format!("{CLIENT}:7").parse().expect("parses");
    exchange(&server, &client, addr, 40).await;
    assert_eq!(client.counters().resets_sent, 0);
}

#[tokio::test(start_paused = true)]
async fn a_bound_socket_connects_in_the_shard_that_owns_the_connection() {
    let (server, client) = stacks();
    let listener = client.listen((CLIENT.parse::<std::net::IpAddr>().expect("parses"), 7));
    let listener = listener.await.expect("listens");
    for port in 2000..2010 {
        let socket = server.socket_v4();
        let local: SocketAddr = format!("{SERVER}:{port}").parse().expect("parses");
        socket.bind(local).expect("binds");
        let remote = listener.local_addr().expect("has an address");
        let (made, accepted) = tokio::join!(socket.connect(remote), listener.accept());
        made.expect("connects");
        assert_eq!(accepted.expect("accepts").1, local);
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_is_held_in_all_shards_and_given_back() {
    let (server, _client) = stacks();
    let listener = server.listen("10.0.0.1:0").await.expect("listens");
    let addr = listener.local_addr().expect("has an address");
    let error = server.listen(addr).await.expect_err("is taken");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(server.sockets().len(), 1);
    drop(listener);
    server.listen(addr).await.expect("is free again");
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_all_shards() {
    let (server, _client) = stacks();
    let listener = server.listen("10.0.0.1:7").await.expect("listens");
    let (accepted, ()) = tokio::join!(listener.accept(), server.shutdown());
    assert_eq!(
        accepted.expect_err("ends").kind(),
        io::ErrorKind::NetworkDown
    );
}

/// Data that one shard still delivers after everything was dropped is acknowledged through the
/// others, too.
#[tokio::test(start_paused = true)]
async fn the_last_connection_keeps_all_shards() {
    let (server, client) = stacks();
    let listener = server.listen("10.0.0.1:7").await.expect("listens");
    let (connected, accepted) = tokio::join!(client.connect("10.0.0.1:7"), listener.accept());
    let (mut stream, _) = accepted.expect("accepts");
    let data = pattern(2_000_000);
    let there = data.clone();
    let serve = tokio::spawn(async move {
        stream.write_all(&there).await.expect("writes");
    });
    drop((listener, server));
    let mut all = Vec::new();
    let mut stream = connected.expect("connects");
    stream.read_to_end(&mut all).await.expect("reads");
    assert!(all == data, "the bytes differ");
    serve.await.expect("no panic");
}

/// A connection may hold as much as the whole budget, not only its shard's part of it; and what is
/// held in one shard leaves less for the others.
#[tokio::test(start_paused = true)]
async fn the_memory_is_one_budget_for_all_shards() {
    const MEMORY: usize = 900_000;
    let (server, client) = stacks_with(|config| {
        config.memory = MEMORY;
        config.socket.connection.receive_buffer = 4 * MEMORY;
    });
    let listener = server.listen("10.0.0.1:7").await.expect("listens");
    let mut unread = Vec::new();
    let mut held = Vec::new();
    for _ in 0..2 * QUEUES {
        let (stream, accepted) = tokio::join!(client.connect("10.0.0.1:7"), listener.accept());
        let mut stream = stream.expect("connects");
        let data = vec![0; 3 * MEMORY];
        let written = timeout(Duration::from_secs(5), stream.write_all(&data)).await;
        assert!(written.is_err(), "nobody reads");
        let accepted = accepted.expect("accepts").0;
        held.push(accepted.info().expect("is open").readable_bytes as usize);
        unread.push((stream, accepted));
    }
    assert!(held[0] > MEMORY / 2, "{held:?}");
    assert!(
        held[1..].iter().all(|&bytes| bytes < MEMORY / 4),
        "{held:?}"
    );
    let limit = MEMORY + MEMORY / 4 + 65_535 + held.len() * (32 << 10);
    assert!(held.iter().sum::<usize>() <= limit, "{held:?}");
    assert!(server.memory_pressure() >= Pressure::Severe);
    drop(unread);
    assert_eq!(server.memory_pressure(), Pressure::None);
}

#[tokio::test]
async fn devices_that_differ_are_refused() {
    let smaller = millstream::device::PairConfig {
        mtu: 1400,
        ..Default::default()
    };
    let (one, _other) = pair();
    let (small, _end) = smaller.build();
    let built = server_over(one).devices([pair().0, small]).build();
    assert!(matches!(built, Err(BuildError::DevicesDiffer)));
}
