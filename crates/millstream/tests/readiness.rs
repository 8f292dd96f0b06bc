//! Waiting for readiness and trying without waiting.

mod support;

use std::io;
use std::time::Duration;

use support::{connected, stacks};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest, Ready};
use tokio::time::timeout;

#[tokio::test(start_paused = true)]
async fn nothing_to_read_is_would_block_and_then_readable() {
    let (server, client) = stacks();
    let (_listener, there, mut here) = connected(&server, &client).await;
    let error = there.try_read(&mut [0; 8]).expect_err("nothing is there");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    let waited = timeout(Duration::from_secs(1), there.readable()).await;
    assert!(waited.is_err(), "became readable without data");

    let wait = tokio::spawn(async move {
        there.readable().await.expect("readable");
        let mut buf = Vec::with_capacity(8);
        assert_eq!(there.try_read_buf(&mut buf).expect("is there"), 4);
        buf
    });
    here.write_all(b"here").await.expect("writes");
    assert_eq!(wait.await.expect("no panic"), b"here");
}

#[tokio::test(start_paused = true)]
async fn a_full_send_buffer_is_would_block_and_then_writable() {
    let (server, client) = stacks();
    let (_listener, mut there, here) = connected(&server, &client).await;
    here.writable().await.expect("writable at first");
    let mut written = 0;
    let error = loop {
        match here.try_write(&[7; 100_000]) {
            Ok(len) => written += len,
            Err(error) => break error,
        }
        // Data in the peer's receive buffer has left the send buffer.
        tokio::task::yield_now().await;
    };
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);

    let reader = tokio::spawn(async move {
        let mut buf = vec![0; written];
        there.read_exact(&mut buf).await.expect("reads");
        assert!(buf.iter().all(|&byte| byte == 7));
        there
    });
    here.writable().await.expect("writable again");
    assert!(here.try_write(b"more").expect("room") > 0);
    reader.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn ready_tells_what_and_what_has_ended() {
    let (server, client) = stacks();
    let (_listener, there, mut here) = connected(&server, &client).await;
    let both = Interest::READABLE | Interest::WRITABLE;
    assert_eq!(there.ready(both).await.expect("ready"), Ready::WRITABLE);
    here.write_all(b"x").await.expect("writes");
    let ready = there.ready(Interest::READABLE).await.expect("ready");
    assert_eq!(ready, Ready::READABLE);
    there.try_read(&mut [0; 8]).expect("is there");
    here.shutdown().await.expect("shuts down");
    let ready = there.ready(Interest::READABLE).await.expect("ready");
    assert!(ready.is_readable() && ready.is_read_closed(), "{ready:?}");
    // As with `epoll`, a stream does not report that only its own side has closed.
    let ready = here.ready(Interest::WRITABLE).await.expect("ready");
    assert_eq!(ready, Ready::WRITABLE);
    let mut there = there;
    there.shutdown().await.expect("shuts down");
    assert_eq!(here.read(&mut [0; 1]).await.expect("the end"), 0);
    let ready = here.ready(Interest::WRITABLE).await.expect("ready");
    assert!(ready.is_write_closed(), "{ready:?}");
}

#[tokio::test(start_paused = true)]
async fn many_tasks_wait_for_one_stream() {
    let (server, client) = stacks();
    let (_listener, there, mut here) = connected(&server, &client).await;
    let there = std::sync::Arc::new(there);
    let waits: Vec<_> = (0..10)
        .map(|_| {
            let there = there.clone();
            tokio::spawn(async move { there.readable().await })
        })
        .collect();
    tokio::task::yield_now().await;
    here.write_all(b"all of you").await.expect("writes");
    for wait in waits {
        wait.await.expect("no panic").expect("readable");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_given_up_leaves_nothing_behind() {
    let (server, client) = stacks();
    let (_listener, there, mut here) = connected(&server, &client).await;
    for _ in 0..100 {
        let wait = timeout(Duration::from_millis(1), there.readable()).await;
        assert!(wait.is_err(), "became readable without data");
    }
    here.write_all(b"x").await.expect("writes");
    there.readable().await.expect("readable");
}

#[tokio::test(start_paused = true)]
async fn try_io_asks_for_readiness_first() {
    let (server, client) = stacks();
    let (_listener, there, mut here) = connected(&server, &client).await;
    let call = || there.try_io(Interest::READABLE, || Ok("called"));
    let error = call().expect_err("not readable");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    here.write_all(b"x").await.expect("writes");
    there.readable().await.expect("readable");
    assert_eq!(call().expect("readable"), "called");

    let mut tries = 0;
    let read = there.async_io(Interest::READABLE, || {
        tries += 1;
        if tries == 1 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        there.try_read(&mut [0; 8])
    });
    let more = async {
        support::settle().await;
        here.write_all(b"y").await.expect("writes");
    };
    let (read, ()) = tokio::join!(read, more);
    assert_eq!(read.expect("reads"), 2);
    assert_eq!(tries, 2);
}

#[tokio::test(start_paused = true)]
async fn a_hot_stream_lets_others_run() {
    let (server, client) = stacks();
    let (_listener, mut there, mut here) = connected(&server, &client).await;
    here.write_all(&[1; 100_000]).await.expect("writes");
    while there.info().expect("tells").readable_bytes < 100_000 {
        tokio::task::yield_now().await;
    }
    // Reading byte by byte never has to wait; without tokio's budget the timeout would never be
    // polled.
    let drain = async {
        let mut read = 0;
        while read < 100_000 {
            read += there.read(&mut [0; 1]).await.expect("reads");
        }
    };
    let other = async {
        tokio::task::yield_now().await;
    };
    tokio::select! {
        biased;
        () = drain => panic!("the stream took all the time"),
        () = other => {}
    }
}
