//! Reading without taking.

use std::task::{Context, Waker};

use futures::poll;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};

use super::{World, counting};
use crate::case::Seen;
use crate::{cases, seen};

cases!["peeking":
    nothing_is_there,
    the_same_bytes_again,
    more_after_more_came,
    a_part_of_what_is_there,
    into_nothing,
    into_nothing_when_nothing_is_there,
    at_the_end,
    before_the_end,
    polled_when_nothing_is_there,
    polled_when_something_is_there,
    polled_into_a_partly_filled_buffer,
    polled_at_the_end,
    a_poll_is_woken_by_data,
    a_poll_replaces_the_waker_of_another,
    a_dropped_peek_loses_nothing,
    a_peek_beside_a_read,
];

async fn nothing_is_there(at: &World) -> Seen {
    let (_here, there) = at.pair().await;
    seen![at.now(there.peek(&mut [0; 8])).await]
}

async fn the_same_bytes_again(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    here.write_all(b"hello").await.expect("writes");
    let mut buf = [0; 8];
    let first = there.peek(&mut buf).await;
    seen![
        first,
        there.peek(&mut buf).await,
        there.read(&mut buf).await,
        &buf[..5] == b"hello"
    ]
}

async fn more_after_more_came(at: &World) -> Seen {
    let (mut here, there) = at.pair().await;
    // Otherwise Nagle's algorithm keeps the second until the first is acknowledged.
    here.set_nodelay(true).expect("sets");
    let mut buf = [0; 8];
    here.write_all(b"hel").await.expect("writes");
    let first = there.peek(&mut buf).await;
    here.write_all(b"lo").await.expect("writes");
    at.settle().await;
    seen![first, there.peek(&mut buf).await]
}

async fn a_part_of_what_is_there(at: &World) -> Seen {
    let (mut here, there) = at.pair().await;
    here.write_all(b"hello").await.expect("writes");
    seen![there.peek(&mut [0; 2]).await, there.peek(&mut [0; 2]).await]
}

async fn into_nothing(at: &World) -> Seen {
    let (mut here, there) = at.pair().await;
    here.write_all(b"hello").await.expect("writes");
    there.readable().await.expect("is readable");
    seen![there.peek(&mut []).await]
}

async fn into_nothing_when_nothing_is_there(at: &World) -> Seen {
    let (_here, there) = at.pair().await;
    let tried = there.try_read(&mut [0; 1]);
    seen![tried, at.now(there.peek(&mut [])).await]
}

async fn at_the_end(at: &World) -> Seen {
    let (here, there) = at.pair().await;
    drop(here);
    seen![there.peek(&mut [0; 8]).await, there.peek(&mut [0; 8]).await]
}

async fn before_the_end(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    here.write_all(b"hello").await.expect("writes");
    drop(here);
    at.settle().await;
    let mut buf = [0; 8];
    let first = there.peek(&mut buf).await;
    seen![
        first,
        there.read(&mut buf).await,
        there.peek(&mut buf).await
    ]
}

async fn polled_when_nothing_is_there(at: &World) -> Seen {
    let (_here, there) = at.pair().await;
    let mut cx = Context::from_waker(Waker::noop());
    seen![there.poll_peek(&mut cx, &mut ReadBuf::new(&mut [0; 8]))]
}

async fn polled_when_something_is_there(at: &World) -> Seen {
    let (mut here, there) = at.pair().await;
    here.write_all(b"hello").await.expect("writes");
    there.readable().await.expect("is readable");
    let mut cx = Context::from_waker(Waker::noop());
    let mut memory = [0; 8];
    let mut buf = ReadBuf::new(&mut memory);
    seen![there.poll_peek(&mut cx, &mut buf), buf.filled().len()]
}

async fn polled_into_a_partly_filled_buffer(at: &World) -> Seen {
    let (mut here, there) = at.pair().await;
    here.write_all(b"hello").await.expect("writes");
    there.readable().await.expect("is readable");
    let mut cx = Context::from_waker(Waker::noop());
    let mut memory = [0; 8];
    let mut buf = ReadBuf::new(&mut memory);
    buf.put_slice(b"say ");
    let peeked = there.poll_peek(&mut cx, &mut buf);
    seen![peeked, String::from_utf8_lossy(buf.filled()).into_owned()]
}

async fn polled_at_the_end(at: &World) -> Seen {
    let (here, there) = at.pair().await;
    drop(here);
    there.readable().await.expect("is readable");
    let mut cx = Context::from_waker(Waker::noop());
    seen![there.poll_peek(&mut cx, &mut ReadBuf::new(&mut [0; 8]))]
}

async fn a_poll_is_woken_by_data(at: &World) -> Seen {
    let (mut here, there) = at.pair().await;
    let (waker, wakes) = counting();
    let mut cx = Context::from_waker(&waker);
    let waits = there.poll_peek(&mut cx, &mut ReadBuf::new(&mut [0; 8]));
    here.write_all(b"hello").await.expect("writes");
    at.settle().await;
    seen![waits, wakes.count() > 0]
}

async fn a_poll_replaces_the_waker_of_another(at: &World) -> Seen {
    let (mut here, there) = at.pair().await;
    let ((early, early_wakes), (late, late_wakes)) = (counting(), counting());
    for waker in [&early, &late] {
        let mut cx = Context::from_waker(waker);
        assert!(
            there
                .poll_peek(&mut cx, &mut ReadBuf::new(&mut [0; 8]))
                .is_pending()
        );
    }
    here.write_all(b"hello").await.expect("writes");
    at.settle().await;
    seen![early_wakes.count() > 0, late_wakes.count() > 0]
}

async fn a_dropped_peek_loses_nothing(at: &World) -> Seen {
    let (mut here, there) = at.pair().await;
    let mut buf = [0; 8];
    let mut peek = Box::pin(there.peek(&mut buf));
    let waits = poll!(&mut peek).is_pending();
    here.write_all(b"hello").await.expect("writes");
    at.settle().await;
    drop(peek);
    seen![waits, there.try_read(&mut buf)]
}

async fn a_peek_beside_a_read(at: &World) -> Seen {
    let (_here, mut there) = at.greeted().await;
    let first = there.read(&mut [0; 2]).await;
    seen![
        first,
        there.peek(&mut [0; 8]).await,
        there.read(&mut [0; 8]).await
    ]
}
