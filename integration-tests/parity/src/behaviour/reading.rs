//! Reading.

use std::io::IoSliceMut;
use std::pin::Pin;
use std::task::{Context, Waker};

use bytes::{BufMut, BytesMut};
use futures::poll;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader, ReadBuf};

use super::World;
use crate::case::Seen;
use crate::{cases, seen};

cases!["reading":
    nothing_is_there,
    trying_when_nothing_is_there,
    what_is_there,
    a_part_of_what_is_there,
    two_writes_are_one_stream,
    exactly_so_much,
    exactly_more_than_comes,
    to_the_end,
    to_the_end_of_nothing,
    the_end_again_and_again,
    trying_at_the_end,
    what_came_before_the_end,
    into_nothing_when_nothing_is_there,
    into_nothing_when_something_is_there,
    into_nothing_at_the_end,
    trying_into_nothing,
    into_several_buffers,
    into_several_buffers_of_which_some_are_empty,
    into_no_buffers,
    into_a_growing_buffer,
    into_a_growing_buffer_twice,
    into_a_growing_buffer_at_the_end,
    into_a_limited_buffer,
    into_a_vector,
    a_read_buffer_that_is_partly_filled,
    a_line,
    after_own_shutdown,
    a_read_that_is_dropped_loses_nothing,
    more_than_fits_a_segment,
];

async fn nothing_is_there(at: &World) -> Seen {
    let (_here, mut there) = at.pair().await;
    seen![at.now(there.read(&mut [0; 8])).await]
}

async fn trying_when_nothing_is_there(at: &World) -> Seen {
    let (_here, there) = at.pair().await;
    seen![there.try_read(&mut [0; 8])]
}

async fn what_is_there(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    here.write_all(b"hello").await.expect("writes");
    let mut buf = [0; 16];
    let len = there.read(&mut buf).await.expect("reads");
    seen![len, &buf[..len] == b"hello"]
}

async fn a_part_of_what_is_there(at: &World) -> Seen {
    let (_here, mut there) = at.greeted().await;
    let first = there.read(&mut [0; 2]).await;
    seen![
        first,
        there.read(&mut [0; 16]).await,
        there.try_read(&mut [0; 16])
    ]
}

async fn two_writes_are_one_stream(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    // Otherwise Nagle's algorithm keeps the second until the first is acknowledged.
    here.set_nodelay(true).expect("sets");
    here.write_all(b"hel").await.expect("writes");
    here.write_all(b"lo").await.expect("writes");
    at.settle().await;
    seen![there.read(&mut [0; 16]).await]
}

async fn exactly_so_much(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    here.write_all(b"hello").await.expect("writes");
    let mut buf = [0; 5];
    seen![there.read_exact(&mut buf).await, &buf == b"hello"]
}

async fn exactly_more_than_comes(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    here.write_all(b"hello").await.expect("writes");
    here.shutdown().await.expect("shuts down");
    seen![there.read_exact(&mut [0; 6]).await]
}

async fn to_the_end(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    here.write_all(b"hello").await.expect("writes");
    drop(here);
    let mut text = String::new();
    seen![there.read_to_string(&mut text).await, text]
}

async fn to_the_end_of_nothing(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    drop(here);
    seen![there.read_to_end(&mut Vec::new()).await]
}

async fn the_end_again_and_again(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    drop(here);
    let mut buf = [0; 8];
    let first = there.read(&mut buf).await;
    seen![
        first,
        there.read(&mut buf).await,
        there.read(&mut buf).await
    ]
}

async fn trying_at_the_end(at: &World) -> Seen {
    let (here, there) = at.pair().await;
    drop(here);
    there.readable().await.expect("is readable");
    seen![there.try_read(&mut [0; 8]), there.try_read(&mut [0; 8])]
}

async fn what_came_before_the_end(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    here.write_all(b"hello").await.expect("writes");
    drop(here);
    at.settle().await;
    let mut buf = [0; 3];
    let first = there.read(&mut buf).await;
    seen![
        first,
        there.read(&mut buf).await,
        there.read(&mut buf).await
    ]
}

async fn into_nothing_when_nothing_is_there(at: &World) -> Seen {
    let (_here, mut there) = at.pair().await;
    // An accepted stream counts as readable until it was tried.
    let tried = there.try_read(&mut [0; 1]);
    seen![tried, at.now(there.read(&mut [])).await]
}

async fn into_nothing_when_something_is_there(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    here.write_all(b"hello").await.expect("writes");
    there.readable().await.expect("is readable");
    seen![there.read(&mut []).await, there.read(&mut [0; 8]).await]
}

async fn into_nothing_at_the_end(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    drop(here);
    there.readable().await.expect("is readable");
    seen![there.read(&mut []).await]
}

async fn trying_into_nothing(at: &World) -> Seen {
    let (mut here, there) = at.pair().await;
    let tried = there.try_read(&mut [0; 1]);
    let before = there.try_read(&mut []);
    here.write_all(b"hello").await.expect("writes");
    there.readable().await.expect("is readable");
    seen![tried, before, there.try_read(&mut [])]
}

async fn vectored(at: &World, text: &[u8], lens: &[usize]) -> Seen {
    let (mut here, there) = at.pair().await;
    here.write_all(text).await.expect("writes");
    there.readable().await.expect("is readable");
    let mut buffers: Vec<_> = lens.iter().map(|&len| vec![b'.'; len]).collect();
    let mut slices: Vec<_> = buffers.iter_mut().map(|b| IoSliceMut::new(b)).collect();
    let read = there.try_read_vectored(&mut slices);
    seen![read, String::from_utf8(buffers.concat()).expect("is text")]
}

async fn into_several_buffers(at: &World) -> Seen {
    vectored(at, b"hello", &[2, 2, 2]).await
}

async fn into_several_buffers_of_which_some_are_empty(at: &World) -> Seen {
    vectored(at, b"hello", &[0, 2, 0, 1]).await
}

async fn into_no_buffers(at: &World) -> Seen {
    vectored(at, b"hello", &[]).await
}

async fn into_a_growing_buffer(at: &World) -> Seen {
    let (mut here, there) = at.pair().await;
    here.write_all(b"hello").await.expect("writes");
    there.readable().await.expect("is readable");
    let mut buf = BytesMut::with_capacity(16);
    seen![there.try_read_buf(&mut buf), &buf[..] == b"hello"]
}

async fn into_a_growing_buffer_twice(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    let mut buf = BytesMut::new();
    here.write_all(b"hel").await.expect("writes");
    let first = there.read_buf(&mut buf).await;
    here.write_all(b"lo").await.expect("writes");
    seen![first, there.read_buf(&mut buf).await, &buf[..] == b"hello"]
}

async fn into_a_growing_buffer_at_the_end(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    drop(here);
    seen![there.read_buf(&mut Vec::new()).await]
}

async fn into_a_limited_buffer(at: &World) -> Seen {
    let (mut here, there) = at.pair().await;
    here.write_all(b"hello").await.expect("writes");
    there.readable().await.expect("is readable");
    let mut buf = BytesMut::with_capacity(16).limit(3);
    seen![there.try_read_buf(&mut buf), buf.into_inner().len()]
}

async fn into_a_vector(at: &World) -> Seen {
    let (mut here, there) = at.pair().await;
    here.write_all(b"hello").await.expect("writes");
    there.readable().await.expect("is readable");
    let mut buf = b"say ".to_vec();
    seen![
        there.try_read_buf(&mut buf),
        String::from_utf8(buf).expect("is text")
    ]
}

async fn a_read_buffer_that_is_partly_filled(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    here.write_all(b"hello").await.expect("writes");
    there.readable().await.expect("is readable");
    let mut memory = [b'.'; 8];
    let mut buf = ReadBuf::new(&mut memory);
    buf.put_slice(b"say ");
    let mut cx = Context::from_waker(Waker::noop());
    let read = Pin::new(&mut there).poll_read(&mut cx, &mut buf);
    seen![read, String::from_utf8_lossy(buf.filled()).into_owned()]
}

async fn a_line(at: &World) -> Seen {
    let (mut here, there) = at.pair().await;
    here.write_all(b"one\ntwo").await.expect("writes");
    drop(here);
    let mut lines = BufReader::new(there).lines();
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.extend(seen![lines.next_line().await]);
    }
    seen
}

async fn after_own_shutdown(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    there.shutdown().await.expect("shuts down");
    here.write_all(b"hello").await.expect("writes");
    seen![there.read(&mut [0; 8]).await]
}

async fn a_read_that_is_dropped_loses_nothing(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    let mut buf = [0; 8];
    let mut read = Box::pin(there.read(&mut buf));
    let waits = poll!(&mut read).is_pending();
    here.write_all(b"hello").await.expect("writes");
    at.settle().await;
    drop(read);
    seen![waits, there.read(&mut buf).await]
}

async fn more_than_fits_a_segment(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    let sent: Vec<u8> = (0..300_000u32).map(|i| (i * 31 + i / 251) as u8).collect();
    let copy = sent.clone();
    let write = async move {
        here.write_all(&copy).await.expect("writes");
        drop(here);
    };
    let mut received = Vec::new();
    let (_, read) = tokio::join!(write, there.read_to_end(&mut received));
    seen![read, received == sent]
}
