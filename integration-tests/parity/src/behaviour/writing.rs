//! Writing.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Waker};

use bytes::{Buf, Bytes};
use futures::poll;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter};

use super::{World, counting, fill};
use crate::case::Seen;
use crate::{cases, seen};

cases!["writing":
    a_few_bytes,
    trying_a_few_bytes,
    nothing,
    trying_nothing,
    nothing_after_own_shutdown,
    nothing_when_there_is_no_room,
    several_slices,
    several_slices_of_which_some_are_empty,
    no_slices,
    more_slices_than_the_kernel_takes,
    trying_more_slices_than_the_kernel_takes,
    writes_of_slices_are_a_feature,
    flushing,
    flushing_when_there_is_no_room,
    flushing_after_own_shutdown,
    trying_when_there_is_no_room,
    waiting_when_there_is_no_room,
    there_is_room_after_the_other_side_has_read,
    a_poll_is_woken_by_room,
    after_own_shutdown,
    trying_after_own_shutdown,
    slices_after_own_shutdown,
    after_the_other_side_has_shut_down,
    after_the_other_side_is_gone,
    a_buffered_writer,
    all_of_a_large_buffer,
    a_write_that_is_dropped_while_it_waits_writes_nothing,
    from_a_buffer,
    from_a_chain_of_buffers,
];

async fn a_few_bytes(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    seen![here.write(b"hello").await, there.read(&mut [0; 8]).await]
}

async fn trying_a_few_bytes(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    here.writable().await.expect("is writable");
    seen![here.try_write(b"hello"), there.read(&mut [0; 8]).await]
}

async fn nothing(at: &World) -> Seen {
    let (mut here, _there) = at.pair().await;
    seen![here.write(b"").await, here.write_all(b"").await]
}

async fn trying_nothing(at: &World) -> Seen {
    let (here, _there) = at.pair().await;
    here.writable().await.expect("is writable");
    seen![here.try_write(b"")]
}

async fn nothing_after_own_shutdown(at: &World) -> Seen {
    let (mut here, _there) = at.pair().await;
    here.shutdown().await.expect("shuts down");
    seen![here.write(b"").await, here.try_write(b"")]
}

async fn nothing_when_there_is_no_room(at: &World) -> Seen {
    let (mut here, _there) = at.pair().await;
    fill(at, &here).await;
    seen![here.try_write(b""), at.now(here.write(b"")).await]
}

async fn several_slices(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    let slices = [IoSlice::new(b"hel"), IoSlice::new(b"lo")];
    let written = here.write_vectored(&slices).await;
    drop(here);
    let mut text = String::new();
    seen![written, there.read_to_string(&mut text).await, text]
}

async fn several_slices_of_which_some_are_empty(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    let slices = [b"", &b"hel"[..], b"", b"lo"].map(IoSlice::new);
    here.writable().await.expect("is writable");
    let written = here.try_write_vectored(&slices);
    drop(here);
    let mut text = String::new();
    seen![written, there.read_to_string(&mut text).await, text]
}

async fn no_slices(at: &World) -> Seen {
    let (mut here, _there) = at.pair().await;
    seen![here.write_vectored(&[]).await, here.try_write_vectored(&[])]
}

async fn more_slices_than_the_kernel_takes(at: &World) -> Seen {
    let (mut here, _there) = at.pair().await;
    let bytes = [7; 2000];
    let slices: Vec<_> = bytes.chunks(1).map(IoSlice::new).collect();
    seen![here.write_vectored(&slices).await]
}

async fn trying_more_slices_than_the_kernel_takes(at: &World) -> Seen {
    let (here, _there) = at.pair().await;
    let bytes = [7; 2000];
    let slices: Vec<_> = bytes.chunks(1).map(IoSlice::new).collect();
    here.writable().await.expect("is writable");
    seen![here.try_write_vectored(&slices)]
}

async fn writes_of_slices_are_a_feature(at: &World) -> Seen {
    let (here, _) = at.pair().await;
    seen![here.is_write_vectored()]
}

async fn flushing(at: &World) -> Seen {
    let (mut here, _there) = at.pair().await;
    here.write_all(b"hello").await.expect("writes");
    seen![here.flush().await]
}

async fn flushing_when_there_is_no_room(at: &World) -> Seen {
    let (mut here, _there) = at.pair().await;
    fill(at, &here).await;
    seen![at.now(here.flush()).await]
}

async fn flushing_after_own_shutdown(at: &World) -> Seen {
    let (mut here, _there) = at.pair().await;
    here.shutdown().await.expect("shuts down");
    seen![here.flush().await]
}

async fn trying_when_there_is_no_room(at: &World) -> Seen {
    let (here, _there) = at.pair().await;
    fill(at, &here).await;
    seen![here.try_write(b"hello")]
}

async fn waiting_when_there_is_no_room(at: &World) -> Seen {
    let (mut here, _there) = at.pair().await;
    fill(at, &here).await;
    let writable = at.now(here.writable()).await;
    seen![writable, at.now(here.write(b"hello")).await]
}

async fn there_is_room_after_the_other_side_has_read(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    let mut rest = vec![0; fill(at, &here).await];
    let writable = at.now(here.writable()).await;
    let reads = there.read_exact(&mut rest);
    let (read, again) = tokio::join!(reads, here.writable());
    seen![
        writable,
        read.map(|_| "reads all"),
        again,
        here.try_write(b"hello")
    ]
}

async fn a_poll_is_woken_by_room(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    let mut rest = vec![0; fill(at, &here).await];
    let (waker, wakes) = counting();
    let waits = Pin::new(&mut here).poll_write(&mut Context::from_waker(&waker), b"hello");
    there.read_exact(&mut rest).await.expect("reads");
    at.settle().await;
    let mut cx = Context::from_waker(Waker::noop());
    seen![
        waits,
        wakes.count() > 0,
        Pin::new(&mut here).poll_write(&mut cx, b"hello")
    ]
}

async fn after_own_shutdown(at: &World) -> Seen {
    let (mut here, _there) = at.pair().await;
    here.shutdown().await.expect("shuts down");
    seen![here.write(b"x").await, here.write(b"x").await]
}

async fn trying_after_own_shutdown(at: &World) -> Seen {
    let (mut here, _there) = at.pair().await;
    here.shutdown().await.expect("shuts down");
    seen![here.try_write(b"x")]
}

async fn slices_after_own_shutdown(at: &World) -> Seen {
    let (mut here, _there) = at.pair().await;
    here.shutdown().await.expect("shuts down");
    seen![here.write_vectored(&[IoSlice::new(b"x")]).await]
}

async fn after_the_other_side_has_shut_down(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    there.shutdown().await.expect("shuts down");
    at.settle().await;
    seen![here.write(b"hello").await, there.read(&mut [0; 8]).await]
}

async fn after_the_other_side_is_gone(at: &World) -> Seen {
    let (mut here, there) = at.pair().await;
    drop(there);
    at.settle().await;
    let first = here.write(b"x").await;
    at.settle().await;
    seen![first, here.write(b"x").await, here.write(b"x").await]
}

async fn a_buffered_writer(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    let mut writer = BufWriter::new(here);
    writer.write_all(b"hello").await.expect("writes");
    let before = at.now(there.read(&mut [0; 8])).await;
    writer.flush().await.expect("flushes");
    seen![before, there.read(&mut [0; 8]).await]
}

async fn all_of_a_large_buffer(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    let bytes = vec![7; 20 << 20];
    let write = async {
        let written = here.write_all(&bytes).await;
        (written, here.shutdown().await)
    };
    let mut received = Vec::new();
    let (written, read) = tokio::join!(write, there.read_to_end(&mut received));
    seen![written.0, written.1, read, received == bytes]
}

async fn a_write_that_is_dropped_while_it_waits_writes_nothing(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    let filled = fill(at, &here).await;
    let mut write = Box::pin(here.write(b"dropped"));
    let waits = poll!(&mut write).is_pending();
    drop(write);
    drop(here);
    let received = there.read_to_end(&mut Vec::new()).await;
    seen![waits, received.map(|len| len == filled)]
}

async fn from_a_buffer(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    let mut bytes = Bytes::from_static(b"hello");
    let written = here.write_buf(&mut bytes).await;
    seen![written, bytes.len(), there.read(&mut [0; 8]).await]
}

async fn from_a_chain_of_buffers(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    let mut chain = Buf::chain(&b"hel"[..], &b"lo"[..]);
    let written = here.write_buf(&mut chain).await;
    drop(here);
    seen![
        written,
        chain.remaining(),
        there.read_to_end(&mut Vec::new()).await
    ]
}
