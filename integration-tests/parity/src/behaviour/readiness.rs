//! What a stream is ready for, and when.

use std::io;
use std::task::{Context, Poll, Waker};

use futures::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest, Ready};

use super::net::TcpStream;
use super::{World, counting, fill};
use crate::case::Seen;
use crate::{cases, seen};

cases!["readiness":
    of_a_new_stream,
    of_a_new_stream_for_reading,
    of_a_new_stream_for_priority,
    of_a_new_stream_for_errors,
    when_bytes_are_there,
    after_a_part_was_read,
    after_exactly_all_was_read,
    after_more_than_all_was_asked_for,
    after_own_shutdown,
    after_the_others_end,
    after_the_others_end_was_read,
    after_both_have_closed,
    after_both_have_closed_for_the_other,
    after_a_reset,
    after_a_reset_was_read,
    when_there_is_no_room,
    for_priority_after_the_others_end,
    for_errors_after_the_others_end,
    for_everything,
    a_wait_for_priority_is_ended_by_the_end,
    readable_waits_for_bytes,
    readable_at_the_end_again_and_again,
    writable_at_once,
    a_polled_readiness_to_read,
    a_polled_readiness_to_write,
    a_polled_readiness_is_woken,
    only_the_last_poll_is_woken,
    two_that_wait_are_both_woken,
    a_call_of_ones_own,
    a_call_of_ones_own_without_readiness,
    a_call_of_ones_own_that_would_block,
    a_call_that_would_block_is_ready_again_after_more_bytes,
    a_call_of_ones_own_that_fails,
    an_async_call_is_repeated,
    an_async_call_that_fails,
    a_wait_that_is_dropped_wakes_nobody,
];

/// What `end` is ready for now, one interest after the other.
fn ready(end: &TcpStream, interests: &[Interest]) -> Seen {
    let now = |&interest: &Interest| {
        let ready = end.ready(interest).now_or_never();
        ready.map_or(Poll::Pending, Poll::Ready)
    };
    let said = interests.iter().map(now);
    said.map(|ready| crate::case::Said::said(&ready)).collect()
}

const BOTH: &[Interest] = &[Interest::READABLE, Interest::WRITABLE];

/// Both ends. An accepted stream counts as readable until it was tried.
async fn tried(at: &World) -> (TcpStream, TcpStream) {
    let (here, there) = at.pair().await;
    for end in [&here, &there] {
        assert!(end.try_read(&mut [0; 1]).is_err());
    }
    at.settle().await;
    (here, there)
}

async fn of_a_new_stream(at: &World) -> Seen {
    let (here, there) = tried(at).await;
    let both = Interest::READABLE | Interest::WRITABLE;
    [ready(&here, &[both]), ready(&there, &[both])].concat()
}

async fn of_a_new_stream_for_reading(at: &World) -> Seen {
    let (here, there) = tried(at).await;
    [
        ready(&here, &[Interest::READABLE]),
        ready(&there, &[Interest::READABLE]),
    ]
    .concat()
}

async fn of_a_new_stream_for_priority(at: &World) -> Seen {
    let (here, _there) = tried(at).await;
    ready(&here, &[Interest::PRIORITY])
}

async fn of_a_new_stream_for_errors(at: &World) -> Seen {
    let (here, _there) = tried(at).await;
    ready(&here, &[Interest::ERROR])
}

async fn when_bytes_are_there(at: &World) -> Seen {
    let (mut here, there) = tried(at).await;
    here.write_all(b"hello").await.expect("writes");
    at.settle().await;
    ready(&there, BOTH)
}

async fn after_a_part_was_read(at: &World) -> Seen {
    let (mut here, mut there) = tried(at).await;
    here.write_all(b"hello").await.expect("writes");
    at.settle().await;
    there.read_exact(&mut [0; 2]).await.expect("reads");
    ready(&there, BOTH)
}

async fn after_exactly_all_was_read(at: &World) -> Seen {
    let (mut here, mut there) = tried(at).await;
    here.write_all(b"hello").await.expect("writes");
    at.settle().await;
    let len = there.read(&mut [0; 5]).await;
    [
        seen![len],
        seen![there.try_read(&mut [0; 5])],
        ready(&there, BOTH),
    ]
    .concat()
}

async fn after_more_than_all_was_asked_for(at: &World) -> Seen {
    let (mut here, mut there) = tried(at).await;
    here.write_all(b"hello").await.expect("writes");
    at.settle().await;
    let len = there.read(&mut [0; 8]).await;
    [seen![len], ready(&there, BOTH)].concat()
}

async fn after_own_shutdown(at: &World) -> Seen {
    let (mut here, _there) = tried(at).await;
    here.shutdown().await.expect("shuts down");
    at.settle().await;
    ready(&here, BOTH)
}

async fn after_the_others_end(at: &World) -> Seen {
    let (mut here, there) = tried(at).await;
    here.shutdown().await.expect("shuts down");
    at.settle().await;
    ready(&there, BOTH)
}

async fn after_the_others_end_was_read(at: &World) -> Seen {
    let (mut here, mut there) = tried(at).await;
    here.shutdown().await.expect("shuts down");
    let end = there.read(&mut [0; 8]).await;
    [seen![end], ready(&there, BOTH)].concat()
}

const ALL: &[Interest] = &[
    Interest::READABLE,
    Interest::WRITABLE,
    Interest::PRIORITY,
    Interest::ERROR,
];

async fn after_both_have_closed(at: &World) -> Seen {
    ready(&at.both_closed().await[0], ALL)
}

async fn after_both_have_closed_for_the_other(at: &World) -> Seen {
    ready(&at.both_closed().await[1], ALL)
}

async fn after_a_reset(at: &World) -> Seen {
    ready(&at.reset_after(b"").await, ALL)
}

async fn after_a_reset_was_read(at: &World) -> Seen {
    let mut there = at.reset_after(b"").await;
    let error = there.read(&mut [0; 8]).await;
    [seen![error], ready(&there, ALL)].concat()
}

async fn when_there_is_no_room(at: &World) -> Seen {
    let (here, _there) = tried(at).await;
    fill(at, &here).await;
    ready(&here, BOTH)
}

async fn for_priority_after_the_others_end(at: &World) -> Seen {
    let (mut here, there) = tried(at).await;
    here.shutdown().await.expect("shuts down");
    at.settle().await;
    ready(
        &there,
        &[Interest::PRIORITY, Interest::PRIORITY | Interest::WRITABLE],
    )
}

async fn for_errors_after_the_others_end(at: &World) -> Seen {
    let (mut here, there) = tried(at).await;
    here.shutdown().await.expect("shuts down");
    at.settle().await;
    ready(
        &there,
        &[Interest::ERROR, Interest::ERROR | Interest::READABLE],
    )
}

async fn for_everything(at: &World) -> Seen {
    let (mut here, there) = tried(at).await;
    let all = ALL
        .iter()
        .copied()
        .reduce(|all, one| all | one)
        .expect("some");
    here.write_all(b"hello").await.expect("writes");
    at.settle().await;
    ready(&there, &[all])
}

async fn a_wait_for_priority_is_ended_by_the_end(at: &World) -> Seen {
    let (mut here, there) = tried(at).await;
    let wait = tokio::spawn(async move { there.ready(Interest::PRIORITY).await });
    at.settle().await;
    here.shutdown().await.expect("shuts down");
    seen![wait.await.expect("does not panic")]
}

async fn readable_waits_for_bytes(at: &World) -> Seen {
    let (mut here, there) = tried(at).await;
    let before = at.now(there.readable()).await;
    here.write_all(b"hello").await.expect("writes");
    seen![before, at.now(there.readable()).await]
}

async fn readable_at_the_end_again_and_again(at: &World) -> Seen {
    let (here, there) = tried(at).await;
    drop(here);
    let first = (there.readable().await, there.try_read(&mut [0; 8]));
    seen![first.0, first.1, there.readable().await]
}

async fn writable_at_once(at: &World) -> Seen {
    let (here, there) = tried(at).await;
    seen![here.writable().await, there.writable().await]
}

async fn a_polled_readiness_to_read(at: &World) -> Seen {
    let (mut here, there) = tried(at).await;
    let mut cx = Context::from_waker(Waker::noop());
    let before = there.poll_read_ready(&mut cx);
    here.write_all(b"hello").await.expect("writes");
    at.settle().await;
    seen![before, there.poll_read_ready(&mut cx)]
}

async fn a_polled_readiness_to_write(at: &World) -> Seen {
    let (here, _there) = tried(at).await;
    let mut cx = Context::from_waker(Waker::noop());
    let before = here.poll_write_ready(&mut cx);
    fill(at, &here).await;
    seen![before, here.poll_write_ready(&mut cx)]
}

async fn a_polled_readiness_is_woken(at: &World) -> Seen {
    let (mut here, there) = tried(at).await;
    let (waker, wakes) = counting();
    let before = there.poll_read_ready(&mut Context::from_waker(&waker));
    here.write_all(b"hello").await.expect("writes");
    at.settle().await;
    seen![before, wakes.count() > 0]
}

async fn only_the_last_poll_is_woken(at: &World) -> Seen {
    let (mut here, there) = tried(at).await;
    let ((early, early_wakes), (late, late_wakes)) = (counting(), counting());
    for waker in [&early, &late] {
        assert!(
            there
                .poll_read_ready(&mut Context::from_waker(waker))
                .is_pending()
        );
    }
    here.write_all(b"hello").await.expect("writes");
    at.settle().await;
    seen![early_wakes.count() > 0, late_wakes.count() > 0]
}

async fn two_that_wait_are_both_woken(at: &World) -> Seen {
    let (mut here, there) = tried(at).await;
    let write = async {
        at.settle().await;
        here.write_all(b"hello").await
    };
    let (one, other, _) = tokio::join!(there.readable(), there.readable(), write);
    seen![one, other]
}

async fn a_call_of_ones_own(at: &World) -> Seen {
    let (mut here, there) = tried(at).await;
    here.write_all(b"hello").await.expect("writes");
    there.readable().await.expect("is readable");
    seen![there.try_io(Interest::READABLE, || Ok("called"))]
}

async fn a_call_of_ones_own_without_readiness(at: &World) -> Seen {
    let (_here, there) = tried(at).await;
    seen![there.try_io(Interest::READABLE, || Ok("called"))]
}

fn blocked() -> io::Result<()> {
    Err(io::ErrorKind::WouldBlock.into())
}

async fn a_call_of_ones_own_that_would_block(at: &World) -> Seen {
    let (mut here, there) = tried(at).await;
    here.write_all(b"hello").await.expect("writes");
    there.readable().await.expect("is readable");
    seen![
        there.try_io(Interest::READABLE, blocked),
        there.try_io(Interest::READABLE, || Ok("called")),
        at.now(there.readable()).await,
    ]
}

async fn a_call_that_would_block_is_ready_again_after_more_bytes(at: &World) -> Seen {
    let (mut here, there) = tried(at).await;
    // Otherwise Nagle's algorithm keeps the second until the first is acknowledged.
    here.set_nodelay(true).expect("sets");
    here.write_all(b"hello").await.expect("writes");
    there.readable().await.expect("is readable");
    let first = there.try_io(Interest::READABLE, blocked);
    here.write_all(b"more").await.expect("writes");
    at.settle().await;
    seen![first, there.try_io(Interest::READABLE, || Ok("called"))]
}

async fn a_call_of_ones_own_that_fails(at: &World) -> Seen {
    let (here, _there) = tried(at).await;
    let fails = || Err::<(), _>(io::Error::other("of one's own"));
    seen![
        here.try_io(Interest::WRITABLE, fails),
        here.try_io(Interest::WRITABLE, || Ok("called")),
    ]
}

async fn an_async_call_is_repeated(at: &World) -> Seen {
    let (mut here, there) = tried(at).await;
    // Otherwise Nagle's algorithm keeps the second until the first is acknowledged.
    here.set_nodelay(true).expect("sets");
    let mut calls = 0;
    let call = there.async_io(Interest::READABLE, || {
        calls += 1;
        if calls < 2 { blocked() } else { Ok(()) }
    });
    let write = async {
        for _ in 0..2 {
            here.write_all(b"hello").await.expect("writes");
            at.settle().await;
        }
    };
    let (result, ()) = tokio::join!(call, write);
    seen![result, calls]
}

async fn an_async_call_that_fails(at: &World) -> Seen {
    let (here, _there) = tried(at).await;
    let fails = || Err::<(), _>(io::Error::other("of one's own"));
    seen![here.async_io(Interest::WRITABLE, fails).await]
}

async fn a_wait_that_is_dropped_wakes_nobody(at: &World) -> Seen {
    let (mut here, there) = tried(at).await;
    let (waker, wakes) = counting();
    let mut wait = Box::pin(there.ready(Interest::READABLE));
    let before = wait.poll_unpin(&mut Context::from_waker(&waker));
    drop(wait);
    here.write_all(b"hello").await.expect("writes");
    at.settle().await;
    let before: Poll<io::Result<Ready>> = before;
    seen![before, wakes.count() > 0]
}
