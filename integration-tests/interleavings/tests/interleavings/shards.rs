//! A stack with two shards, whose packets arrive at either.

use std::io::{self, IoSlice};
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::join_all;
use millstream::device::{Capabilities, Device, Pair, pair};
use millstream::{Stack, TcpListener};
use millstream_interleavings::{client, connect, explore, listen, read_all, spawn, stack};
use shuttle::rand::{Rng, thread_rng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The far ends of two links as one device, which sends each packet through either.
struct Fork([Pair; 2]);

impl Device for Fork {
    fn capabilities(&self) -> Capabilities {
        self.0[0].capabilities()
    }

    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Both register the waker.
        let polled = self.0.each_ref().map(|link| link.poll_recv_ready(cx));
        let ready = polled.into_iter().find(Poll::is_ready);
        ready.unwrap_or(Poll::Pending)
    }

    fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0[0].try_recv(buf).or_else(|_| self.0[1].try_recv(buf))
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0[0].poll_send_ready(cx)
    }

    fn try_send(&self, frame: &[IoSlice<'_>]) -> io::Result<()> {
        let link = usize::from(thread_rng().r#gen::<bool>());
        self.0[link].try_send(frame)
    }
}

/// A server with two shards, and a client whose packets arrive at either.
fn stacks() -> (Stack, Stack) {
    let ((left, far_left), (right, far_right)) = (pair(), pair());
    let server = stack("10.0.0.1/24").devices([left, right]).build();
    (server.expect("builds"), client(Fork([far_left, far_right])))
}

/// Answers one question with the next number.
async fn answer(listener: &TcpListener) {
    let (mut stream, _) = listener.accept().await.expect("accepts");
    let asked = stream.read_u8().await.expect("reads");
    stream.write_u8(asked + 1).await.expect("writes");
}

async fn ask(client: Stack, number: u8) {
    let mut stream = connect(&client).await.expect("connects");
    stream.write_u8(number).await.expect("writes");
    let answer = read_all(&mut stream, 10).await.expect("reads");
    assert_eq!(answer, [number + 1]);
}

/// Each connection belongs to one shard, and its packets are passed on from the other. Two tasks
/// wait for connections of either.
#[test]
fn packets_find_their_shard() {
    explore(3000, || async {
        let (server, client) = stacks();
        let listener = Arc::new(listen(&server));
        drop(server);
        let answers = [0, 1].map(|_| {
            let listener = Arc::clone(&listener);
            spawn(async move { answer(&listener).await })
        });
        drop(listener);
        let asks = [1, 2].map(|number| spawn(ask(client.clone(), number)));
        drop(client);
        join_all(asks).await;
        join_all(answers).await;
    });
}

/// A stack that nobody uses any more ends with all of its shards, although its devices go on.
#[test]
fn unused_shards_end_together() {
    explore(3000, || async {
        let ((left, far_left), (right, far_right)) = (pair(), pair());
        // They outlast the model.
        mem::forget((far_left, far_right));
        let server = stack("10.0.0.1/24").devices([left, right]).build();
        let server = server.expect("builds");
        let listener = listen(&server);
        let accepts = spawn(async move { listener.accept().now_or_never().is_some() });
        let connects = spawn(async move {
            let connect = server.connect("10.0.0.2:7");
            connect.now_or_never().is_some()
        });
        assert!(!accepts.await && !connects.await, "nobody is there");
    });
}

/// If one device fails, the shard of the other ends too, and every task is told.
#[test]
fn shards_end_together() {
    explore(3000, || async {
        let ((left, far_left), (right, far_right)) = (pair(), pair());
        let server = stack("10.0.0.1/24").devices([left, right]).build();
        let server = server.expect("builds");
        let listener = listen(&server);
        let accepts = spawn(async move { listener.accept().await.map(drop) });
        let connects = [0, 1].map(|_| {
            let server = server.clone();
            spawn(async move { server.connect("10.0.0.2:7").await.map(drop) })
        });
        drop(far_left);
        for told in [accepts.await].into_iter().chain(join_all(connects).await) {
            let error = told.expect_err("the device failed");
            assert_eq!(error.kind(), io::ErrorKind::NetworkDown, "{error}");
        }
        server.shutdown().await;
        drop(far_right);
    });
}
