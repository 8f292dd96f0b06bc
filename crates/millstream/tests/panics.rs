//! Faults of applications and executors: wakers and observers that panic, runtimes that end, and
//! tasks that are aborted.

mod support;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use millstream::device::pair;
use millstream::{Stack, State};
use support::{client_over, connected, pattern, server_over, settle, stacks};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::runtime::is_rt_shutdown_err;

/// A waker that panics when it is called, and counts the calls.
#[derive(Default)]
struct Panicking(AtomicUsize);

impl Wake for Panicking {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("a waker panics, as the test wants it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_harms_nobody_else() {
    let (server, client) = stacks();
    let (listener, mut there, mut here) = connected(&server, &client).await;
    let (second, accepted) = tokio::join!(client.connect("10.0.0.1:7"), listener.accept());
    let (mut second, (mut other, _)) = (second.expect("connects"), accepted.expect("accepts"));

    let panicking = Arc::new(Panicking::default());
    let waker = Waker::from(Arc::clone(&panicking));
    let mut buf = [0; 8];
    let mut buf = ReadBuf::new(&mut buf);
    let polled = Pin::new(&mut here).poll_read(&mut Context::from_waker(&waker), &mut buf);
    assert!(polled.is_pending());
    let reader = tokio::spawn(async move { second.read_u8().await.map(|byte| (byte, second)) });
    settle().await;
    // Both arrive in one turn of the client's driver; the waker that panics is called first.
    there.write_all(b"x").await.expect("writes");
    other.write_all(b"y").await.expect("writes");
    let (byte, _second) = reader.await.expect("no panic").expect("reads");
    assert_eq!(byte, b'y');
    assert_eq!(panicking.0.load(Ordering::Relaxed), 1);
    // The stream itself continues, too.
    assert_eq!(here.read_u8().await.expect("reads"), b'x');
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_is_not_called_again() {
    let (left, right) = pair();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let server = server_over(left).on_transition(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        panic!("an observer panics, as the test wants it");
    });
    let server = server.build().expect("builds");
    let client = client_over(right).build().expect("builds");
    let (_listener, mut there, mut here) = connected(&server, &client).await;
    here.write_all(b"x").await.expect("writes");
    assert_eq!(there.read_u8().await.expect("reads"), b'x');
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

/// A runtime ends in the middle of a transfer; tasks that wait on another runtime are told.
#[test]
fn a_runtime_that_ends_is_told_to_other_runtimes() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
    };
    let (stacks_runtime, other) = (runtime(), runtime());
    let (server, client, listener, mut there, mut here) = stacks_runtime.block_on(async {
        let (server, client) = stacks();
        let (listener, there, mut here) = connected(&server, &client).await;
        here.write_all(&pattern(500_000))
            .await
            .expect("is buffered");
        (server, client, listener, there, here)
    });
    let waiting = other.spawn(async move {
        let accept = listener.accept().await.map(drop);
        let read = loop {
            match there.read(&mut [0; 4096]).await {
                Ok(1..) => {}
                end => break end,
            }
        };
        (accept, read)
    });
    other.block_on(tokio::task::yield_now());
    drop(stacks_runtime);
    let (accept, read) = other.block_on(waiting).expect("no panic");
    let write = other.block_on(here.write_all(b"x"));
    for error in [
        accept.expect_err("is over"),
        read.expect_err("is over"),
        write.expect_err("is over"),
        other
            .block_on(client.connect("10.0.0.1:7"))
            .expect_err("is over"),
    ] {
        assert!(is_rt_shutdown_err(&error), "{error}");
    }
    assert_eq!(server.sockets().len(), 0);
}

/// All operations for which a connection may wait, one after the other.
async fn a_life(server: Stack, client: Stack, port: u16) -> std::io::Result<()> {
    let listener = server.listen(("10.0.0.1", port)).await?;
    let (here, there) = tokio::join!(client.connect(("10.0.0.1", port)), listener.accept());
    let (mut here, (mut there, _)) = (here?, there?);
    let data = pattern(100_000);
    let mut buf = vec![0; data.len()];
    let (written, read) = tokio::join!(here.write_all(&data), there.read_exact(&mut buf));
    written?;
    read?;
    let mut first = [0; 1];
    let (readable, peeked, written) = tokio::join!(
        here.readable(),
        here.peek(&mut first),
        there.write_all(b"x")
    );
    readable?;
    peeked?;
    written?;
    here.shutdown().await?;
    there.read_to_end(&mut buf).await?;
    Ok(())
}

/// A task that is aborted at any of its waits leaves nothing behind, and nothing in disorder.
#[tokio::test(start_paused = true)]
async fn a_task_that_is_aborted_leaves_nothing() {
    let (server, client) = stacks();
    for polls in 1.. {
        let mut life = Box::pin(a_life(server.clone(), client.clone(), 9));
        let mut left = polls;
        let ended = std::future::poll_fn(|cx| {
            left -= 1;
            match life.as_mut().poll(cx) {
                Poll::Pending if left > 0 => Poll::Pending,
                polled => Poll::Ready(polled.is_ready()),
            }
        });
        let ended = ended.await;
        drop(life);
        // Orphans wait for their peer's FIN; both ends were dropped.
        tokio::time::sleep(Duration::from_secs(61)).await;
        let states = |stack: &Stack| -> Vec<State> {
            stack.sockets().iter().map(|socket| socket.state).collect()
        };
        assert_eq!(
            (states(&server), states(&client)),
            (vec![], vec![]),
            "{polls} polls"
        );
        if ended {
            assert!(polls > 3, "it waits {polls} times");
            break;
        }
    }
    a_life(server, client, 10).await.expect("all is in order");
}
