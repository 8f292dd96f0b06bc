//! What ends while it is in use: streams, listeners, stacks and devices. Every task that waits is
//! told.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{Either, select};
use millstream::Stack;
use millstream::device::PairConfig;
use millstream_interleavings::{
    connect, connection, explore, listen, pattern, read_all, spawn, stacks,
};
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// More than the buffers of both ends hold.
const MUCH: usize = 400 << 10;

const WHOLE: PairConfig = PairConfig {
    mtu: 9000,
    capacity: 1024,
    capacity_bytes: 1 << 20,
    max_segment: 64_000,
    checksum_offload: false,
};

/// What was written before still arrives.
#[test]
fn a_stream_is_dropped_while_its_write_is_in_progress() {
    explore(1000, || async {
        let (server, client) = stacks(WHOLE);
        let (mut reader, mut writer) = connection(&server, &client).await;
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let writes = spawn(async move {
            let data = pattern(MUCH);
            let mut write = pin!(async {
                let mut rest = &data[..];
                while !rest.is_empty() {
                    let len = writer.write(&rest[..rest.len().min(50_000)]).await;
                    let len = len.expect("writes");
                    count.fetch_add(len, Ordering::SeqCst);
                    rest = &rest[len..];
                }
            });
            // A few tries, of which the last is given up.
            for _ in 0..3 {
                if write.as_mut().now_or_never().is_some() {
                    break;
                }
                shuttle::future::yield_now().await;
            }
        });
        let received = read_all(&mut reader, 20_000).await.expect("reads");
        writes.await;
        assert!(received == pattern(MUCH)[..accepted.load(Ordering::SeqCst)]);
    });
}

/// Connects to the server and reads a byte. The stack ends with the stream.
async fn connect_and_read(client: Stack) -> io::Result<u8> {
    let mut stream = connect(&client).await?;
    stream.read_u8().await
}

/// The client is refused, or its connection is reset.
#[test]
fn a_listener_is_dropped_while_a_connect_is_on_its_way() {
    explore(4000, || async {
        let (server, client) = stacks(PairConfig::default());
        let listener = listen(&server);
        let connects = spawn(connect_and_read(client));
        drop(listener);
        let error = connects.await.expect_err("nobody accepts");
        let kinds = [
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::ConnectionReset,
        ];
        assert!(kinds.contains(&error.kind()), "{error}");
    });
}

/// The same, with a task that waits to accept, and takes the connection or not.
#[test]
fn an_acceptor_gives_up_while_a_connect_is_on_its_way() {
    explore(4000, || async {
        let (server, client) = stacks(PairConfig::default());
        let listener = listen(&server);
        let connects = spawn(connect_and_read(client));
        let accepts = spawn(async move {
            let given_up = pin!(shuttle::future::yield_now());
            let accepted = match select(pin!(listener.accept()), given_up).await {
                Either::Left((accepted, _)) => accepted.expect("accepts").0,
                Either::Right(_) => return false,
            };
            let mut stream = accepted;
            stream.write_u8(7).await.expect("writes");
            true
        });
        let accepted = accepts.await;
        assert_eq!(connects.await.is_ok(), accepted);
    });
}

/// A gateway's listener ends while its attempts are being decided.
#[test]
fn a_listener_of_every_address_is_dropped_with_its_attempts() {
    explore(3000, || async {
        let (server, client) = stacks(PairConfig::default());
        let listener = server.listen_any().expect("listens");
        let connects = spawn({
            let client = client.clone();
            async move { connect(&client).await.map(drop) }
        });
        let mut attempt = listener.accept().await.expect("an attempt");
        let decides = spawn(async move {
            if attempt.closed().now_or_never().is_some() {
                return Ok(());
            }
            attempt.accept().await.map(drop)
        });
        drop(listener);
        let decided = decides.await;
        let connected = connects.await;
        if let Err(error) = decided {
            assert!(
                matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                ),
                "{error}"
            );
        }
        if let Err(error) = connected {
            let kinds = [
                io::ErrorKind::ConnectionRefused,
                io::ErrorKind::ConnectionReset,
            ];
            assert!(kinds.contains(&error.kind()), "{error}");
        }
    });
}

/// A task of each kind waits on `stack`, until `end` ends it.
async fn all_are_told(stack: Stack, other: Stack, end: impl Future<Output = ()> + Send + 'static) {
    let (mut idle, _other_idle) = connection(&stack, &other).await;
    let (mut sends, mut bulk) = connection(&stack, &other).await;
    let listener = listen(&stack);
    let reads = spawn(async move { idle.read_u8().await });
    let writes = spawn(async move {
        // Not without end: a scheduler that prefers the tasks of the transfer would never leave it.
        let data = pattern(MUCH);
        sends.write_all(&data).await?;
        sends.read_u8().await
    });
    let receives = spawn(async move {
        let mut buf = vec![0; 20_000];
        while bulk.read(&mut buf).await.is_ok_and(|len| len > 0) {}
    });
    let accepts = spawn(async move {
        loop {
            if let Err(error) = listener.accept().await {
                return error;
            }
        }
    });
    let connects = spawn({
        let stack = stack.clone();
        async move {
            // An address that nobody has, so that nobody answers.
            stack.connect("10.0.0.99:7").await.expect_err("no answer")
        }
    });
    end.await;
    reads.await.expect_err("nothing was sent");
    writes.await.expect_err("nothing was sent");
    receives.await;
    assert_eq!(accepts.await.kind(), io::ErrorKind::NetworkDown);
    connects.await;
    let error = stack.listen_any().map(drop).expect_err("has ended");
    assert_eq!(error.kind(), io::ErrorKind::NetworkDown);
}

#[test]
fn a_stack_is_shut_down_in_mid_transfer() {
    explore(1000, || async {
        let (server, client) = stacks(WHOLE);
        all_are_told(
            server.clone(),
            client,
            async move { server.shutdown().await },
        )
        .await;
    });
}

/// The link breaks when the stack at its other end lets go of it.
#[test]
fn a_device_fails_in_mid_transfer() {
    explore(1000, || async {
        let (server, client) = stacks(WHOLE);
        let other = client.clone();
        all_are_told(server, client, async move { other.shutdown().await }).await;
    });
}
