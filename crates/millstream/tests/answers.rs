//! Packets that are sent together: acknowledgments with answers, and the amount that one writer may
//! send before the others' turn.

mod support;

use std::sync::atomic::Ordering;

use futures::future::poll_fn;
use futures::poll;
use millstream::{Stack, TcpListener};
use support::{Tap, connected, settle, stacks_over};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

/// The handshake, the answer, the FIN: three packets, each carrying the acknowledgment of the
/// packets before it, although an acceptor wakes the task that answers.
#[tokio::test(start_paused = true)]
async fn a_short_connection_costs_its_server_three_packets() {
    let ((left, watch), (right, _)) = Tap::pair();
    let (server, client) = stacks_over(left, right);
    let listener = server.listen("10.0.0.1:7").await.expect("listens");
    tokio::spawn(async move {
        loop {
            serve_one(&listener).await;
        }
    });
    for round in 1..=10 {
        short_connection(&client).await;
        settle().await;
        assert_eq!(watch.sent.load(Ordering::Relaxed), 3 * round);
    }
}

/// The same with an acceptor that is the future on which the runtime blocks, which runs only when
/// no task can, and with many simultaneous connections.
#[tokio::test(start_paused = true)]
async fn an_acceptor_that_is_no_task_costs_no_more() {
    const AT_ONCE: usize = 16;
    const ROUNDS: usize = 10;
    let ((left, watch), (right, _)) = Tap::pair();
    let (server, client) = stacks_over(left, right);
    let listener = server.listen("10.0.0.1:7").await.expect("listens");
    let mut clients = JoinSet::new();
    for _ in 0..AT_ONCE {
        let client = client.clone();
        clients.spawn(async move {
            for _ in 0..ROUNDS {
                short_connection(&client).await;
            }
        });
    }
    for _ in 0..AT_ONCE * ROUNDS {
        serve_one(&listener).await;
    }
    clients.join_all().await;
    settle().await;
    assert_eq!(watch.sent.load(Ordering::Relaxed), 3 * AT_ONCE * ROUNDS);
}

/// Accepts a connection, and spawns a task that sends one byte back and closes.
async fn serve_one(listener: &TcpListener) {
    let (mut stream, _) = listener.accept().await.expect("accepts");
    tokio::spawn(async move {
        let byte = stream.read_u8().await.expect("a byte");
        stream.write_u8(byte).await.expect("written");
        assert_eq!(stream.read(&mut [0]).await.expect("no error"), 0);
        stream.shutdown().await.expect("shut down");
    });
}

/// Connects, receives the byte that comes back, and closes first.
async fn short_connection(client: &Stack) {
    let mut stream = client.connect("10.0.0.1:7").await.expect("connects");
    stream.write_u8(7).await.expect("written");
    assert_eq!(stream.read_u8().await.expect("a byte"), 7);
    stream.shutdown().await.expect("shut down");
    assert_eq!(stream.read(&mut [0]).await.expect("no error"), 0);
}

/// Although the window is open and the buffer has room, a writer that does not yield is paused
/// until the driver has read the device.
#[tokio::test(start_paused = true)]
async fn a_writer_lets_others_have_their_turn() {
    let ((left, _), (right, _)) = Tap::pair();
    let (server, client) = stacks_over(left, right);
    let (_listener, mut theirs, mut ours) = connected(&server, &client).await;
    let drain = tokio::spawn(async move {
        let mut buffer = vec![0; 1 << 20];
        while theirs.read(&mut buffer).await.expect("no error") > 0 {}
    });
    let data = vec![7; 64 << 10];
    for _ in 0..3 {
        let mut written = 0;
        loop {
            let write = ours.write(&data);
            tokio::pin!(write);
            let ready = poll!(write);
            match ready {
                std::task::Poll::Ready(len) => written += len.expect("no error"),
                std::task::Poll::Pending => break,
            }
        }
        assert_eq!(written, 256 << 10);
        poll_fn(|cx| ours.poll_write_ready(cx))
            .await
            .expect("writable");
        settle().await;
    }
    drop(ours);
    drain.await.expect("no panic");
}
