//! After the other side has reset the connection.

use std::task::{Context, Waker};

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest, ReadBuf};

use super::{World, counting};
use crate::case::Seen;
use crate::{cases, seen};

cases!["resets":
    a_read,
    reads_again_and_again,
    a_write,
    writes_again_and_again,
    a_read_after_a_write,
    a_write_after_a_read,
    trying_to_read,
    trying_to_write,
    a_peek,
    a_shutdown,
    a_flush,
    the_peers_address,
    the_own_address,
    the_error_that_is_taken,
    a_read_after_the_error_was_taken,
    a_write_after_the_error_was_taken,
    unread_bytes_are_read_first,
    unread_bytes_are_peeked_first,
    unread_bytes_after_a_write,
    a_read_of_nothing,
    a_write_of_nothing,
    a_read_that_waits_fails,
    a_wait_for_readiness_ends,
    a_polled_read_readiness_is_woken,
    after_own_shutdown,
    after_the_others_end,
    the_halves,
    reading_to_the_end,
];

async fn a_read(at: &World) -> Seen {
    let mut there = at.reset_after(b"").await;
    seen![there.read(&mut [0; 8]).await]
}

async fn reads_again_and_again(at: &World) -> Seen {
    let mut there = at.reset_after(b"").await;
    let first = there.read(&mut [0; 8]).await;
    seen![
        first,
        there.read(&mut [0; 8]).await,
        there.read(&mut [0; 8]).await
    ]
}

async fn a_write(at: &World) -> Seen {
    let mut there = at.reset_after(b"").await;
    seen![there.write(b"x").await]
}

async fn writes_again_and_again(at: &World) -> Seen {
    let mut there = at.reset_after(b"").await;
    seen![
        there.write(b"x").await,
        there.write(b"x").await,
        there.write(b"x").await
    ]
}

async fn a_read_after_a_write(at: &World) -> Seen {
    let mut there = at.reset_after(b"").await;
    seen![there.write(b"x").await, there.read(&mut [0; 8]).await]
}

async fn a_write_after_a_read(at: &World) -> Seen {
    let mut there = at.reset_after(b"").await;
    seen![there.read(&mut [0; 8]).await, there.write(b"x").await]
}

async fn trying_to_read(at: &World) -> Seen {
    let there = at.reset_after(b"").await;
    seen![there.try_read(&mut [0; 8]), there.try_read(&mut [0; 8])]
}

async fn trying_to_write(at: &World) -> Seen {
    let there = at.reset_after(b"").await;
    seen![there.try_write(b"x"), there.try_write(b"x")]
}

async fn a_peek(at: &World) -> Seen {
    let there = at.reset_after(b"").await;
    seen![there.peek(&mut [0; 8]).await, there.peek(&mut [0; 8]).await]
}

async fn a_shutdown(at: &World) -> Seen {
    let mut there = at.reset_after(b"").await;
    seen![
        there.shutdown().await,
        there.read(&mut [0; 8]).await,
        there.shutdown().await
    ]
}

async fn a_flush(at: &World) -> Seen {
    let mut there = at.reset_after(b"").await;
    seen![there.flush().await]
}

async fn the_peers_address(at: &World) -> Seen {
    let there = at.reset_after(b"").await;
    seen![there.peer_addr().map(drop)]
}

async fn the_own_address(at: &World) -> Seen {
    let there = at.reset_after(b"").await;
    seen![there.local_addr().map(drop)]
}

async fn the_error_that_is_taken(at: &World) -> Seen {
    let there = at.reset_after(b"unread").await;
    seen![there.take_error(), there.take_error()]
}

async fn a_read_after_the_error_was_taken(at: &World) -> Seen {
    let mut there = at.reset_after(b"").await;
    seen![there.take_error(), there.read(&mut [0; 8]).await]
}

async fn a_write_after_the_error_was_taken(at: &World) -> Seen {
    let mut there = at.reset_after(b"").await;
    seen![there.take_error(), there.write(b"x").await]
}

async fn unread_bytes_are_read_first(at: &World) -> Seen {
    let mut there = at.reset_after(b"unread").await;
    let first = there.read(&mut [0; 4]).await;
    seen![
        first,
        there.read(&mut [0; 8]).await,
        there.read(&mut [0; 8]).await,
        there.read(&mut [0; 8]).await,
    ]
}

async fn unread_bytes_are_peeked_first(at: &World) -> Seen {
    let there = at.reset_after(b"unread").await;
    seen![there.peek(&mut [0; 8]).await, there.peek(&mut [0; 8]).await]
}

async fn unread_bytes_after_a_write(at: &World) -> Seen {
    let mut there = at.reset_after(b"unread").await;
    let written = there.write(b"x").await;
    seen![
        written,
        there.read(&mut [0; 8]).await,
        there.read(&mut [0; 8]).await
    ]
}

async fn a_read_of_nothing(at: &World) -> Seen {
    let mut there = at.reset_after(b"").await;
    seen![there.read(&mut []).await, there.read(&mut [0; 8]).await]
}

async fn a_write_of_nothing(at: &World) -> Seen {
    let mut there = at.reset_after(b"").await;
    seen![there.write(b"").await, there.write(b"").await]
}

async fn a_read_that_waits_fails(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    let read = tokio::spawn(async move { there.read(&mut [0; 8]).await });
    at.settle().await;
    here.set_zero_linger().expect("sets");
    drop(here);
    seen![read.await.expect("does not panic")]
}

async fn a_wait_for_readiness_ends(at: &World) -> Seen {
    let (here, there) = at.pair().await;
    let tried = there.try_read(&mut [0; 1]);
    let wait = tokio::spawn(async move { there.ready(Interest::READABLE).await });
    at.settle().await;
    here.set_zero_linger().expect("sets");
    drop(here);
    seen![tried, wait.await.expect("does not panic")]
}

async fn a_polled_read_readiness_is_woken(at: &World) -> Seen {
    let (here, there) = at.pair().await;
    let tried = there.try_read(&mut [0; 1]);
    let (waker, wakes) = counting();
    let before = there.poll_read_ready(&mut Context::from_waker(&waker));
    here.set_zero_linger().expect("sets");
    drop(here);
    at.settle().await;
    let mut cx = Context::from_waker(Waker::noop());
    seen![
        tried,
        before,
        wakes.count() > 0,
        there.poll_read_ready(&mut cx)
    ]
}

async fn after_own_shutdown(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    there.shutdown().await.expect("shuts down");
    here.set_zero_linger().expect("sets");
    drop(here);
    at.settle().await;
    seen![
        there.read(&mut [0; 8]).await,
        there.read(&mut [0; 8]).await,
        there.write(b"x").await
    ]
}

async fn after_the_others_end(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    here.shutdown().await.expect("shuts down");
    there.write_all(b"unread").await.expect("writes");
    here.readable().await.expect("is readable");
    here.set_zero_linger().expect("sets");
    drop(here);
    at.settle().await;
    seen![
        there.read(&mut [0; 8]).await,
        there.write(b"x").await,
        there.write(b"x").await
    ]
}

async fn the_halves(at: &World) -> Seen {
    let there = at.reset_after(b"unread").await;
    let (mut read, mut write) = there.into_split();
    let first = read.read(&mut [0; 8]).await;
    seen![
        first,
        write.write(b"x").await,
        read.read(&mut [0; 8]).await,
        write.shutdown().await,
        read.peer_addr().map(drop),
    ]
}

async fn reading_to_the_end(at: &World) -> Seen {
    let mut there = at.reset_after(b"unread").await;
    let mut received = Vec::new();
    let mut memory = [0; 8];
    let peeked = {
        let mut cx = Context::from_waker(Waker::noop());
        there.poll_peek(&mut cx, &mut ReadBuf::new(&mut memory))
    };
    seen![
        peeked,
        there.read_to_end(&mut received).await,
        received.len()
    ]
}
