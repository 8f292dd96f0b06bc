//! The halves of a stream: borrowed by `split`, owned by `into_split`.

use std::io::{IoSlice, IoSliceMut};
use std::task::{Context, Waker};

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest, ReadBuf};

use super::World;
use super::net::TcpStream;
use super::net::tcp::ReuniteError;
use crate::case::Seen;
use crate::{cases, seen};

cases!["halves":
    borrowed_halves_read_and_write,
    borrowed_halves_at_once,
    borrowed_halves_try,
    borrowed_halves_take_several_buffers,
    borrowed_halves_peek,
    borrowed_halves_know_their_addresses,
    borrowed_halves_are_ready,
    a_borrowed_write_half_shuts_down,
    dropping_a_borrowed_write_half_changes_nothing,
    borrowed_halves_refer_to_the_stream,
    owned_halves_read_and_write,
    owned_halves_in_two_tasks,
    owned_halves_try,
    owned_halves_take_several_buffers,
    owned_halves_peek,
    owned_halves_know_their_addresses,
    owned_halves_are_ready,
    owned_halves_refer_to_one_stream,
    an_owned_write_half_shuts_down,
    dropping_an_owned_write_half_shuts_down,
    an_owned_write_half_that_is_forgotten_does_not,
    dropping_an_owned_read_half_changes_nothing,
    dropping_both_owned_halves_closes,
    dropping_both_owned_halves_with_unread_bytes_resets,
    halves_of_one_stream_reunite,
    the_other_way_round_too,
    a_reunited_stream_is_not_shut_down,
    halves_of_two_streams_do_not_reunite,
    the_error_returns_the_halves,
    the_error_has_a_text,
    a_write_half_is_vectored,
    writing_after_the_read_half_is_dropped,
];

async fn borrowed_halves_read_and_write(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    let (_, mut write) = here.split();
    let (mut read, _) = there.split();
    seen![write.write(b"hello").await, read.read(&mut [0; 8]).await]
}

async fn borrowed_halves_at_once(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    let (mut read, mut write) = here.split();
    let (mut back, mut forth) = there.split();
    let echo = tokio::io::copy(&mut back, &mut forth);
    let ask = async {
        let written = write.write_all(b"hello").await;
        (
            written,
            read.read_exact(&mut [0; 5]).await,
            write.shutdown().await,
        )
    };
    let (copied, (written, read, shut)) = tokio::join!(echo, ask);
    seen![copied.map(|len| len == 5), written, read, shut]
}

async fn borrowed_halves_try(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    let (_, write) = here.split();
    let (read, _) = there.split();
    let before = read.try_read(&mut [0; 8]);
    write.writable().await.expect("is writable");
    let written = write.try_write(b"hello");
    read.readable().await.expect("is readable");
    let mut buf = Vec::with_capacity(8);
    seen![
        before,
        written,
        read.try_read_buf(&mut buf),
        read.try_read(&mut [0; 8])
    ]
}

async fn borrowed_halves_take_several_buffers(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    let (_, write) = here.split();
    let (read, _) = there.split();
    write.writable().await.expect("is writable");
    let written = write.try_write_vectored(&[IoSlice::new(b"hel"), IoSlice::new(b"lo")]);
    read.readable().await.expect("is readable");
    let (mut one, mut other) = ([0; 1], [0; 8]);
    let mut slices = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut other)];
    seen![written, read.try_read_vectored(&mut slices)]
}

async fn borrowed_halves_peek(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    here.write_all(b"hello").await.expect("writes");
    let (mut read, _) = there.split();
    let peeked = read.peek(&mut [0; 2]).await;
    let mut cx = Context::from_waker(Waker::noop());
    let polled = read.poll_peek(&mut cx, &mut ReadBuf::new(&mut [0; 8]));
    seen![peeked, polled, read.read(&mut [0; 8]).await]
}

async fn borrowed_halves_know_their_addresses(at: &World) -> Seen {
    let (mut here, _there) = at.pair().await;
    let own = (
        here.local_addr().expect("has one"),
        here.peer_addr().expect("has one"),
    );
    let (read, write) = here.split();
    seen![
        read.local_addr().map(|address| address == own.0),
        write.local_addr().map(|address| address == own.0),
        read.peer_addr().map(|address| address == own.1),
        write.peer_addr().map(|address| address == own.1),
    ]
}

async fn borrowed_halves_are_ready(at: &World) -> Seen {
    let (_here, mut there) = at.greeted().await;
    let (read, write) = there.split();
    seen![
        read.ready(Interest::READABLE).await,
        write.ready(Interest::WRITABLE).await
    ]
}

async fn a_borrowed_write_half_shuts_down(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    let (_, mut write) = here.split();
    seen![
        write.shutdown().await,
        there.read(&mut [0; 8]).await,
        here.write(b"x").await
    ]
}

async fn dropping_a_borrowed_write_half_changes_nothing(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    {
        let (_read, _write) = here.split();
    }
    let before = at.now(there.read(&mut [0; 8])).await;
    seen![before, here.write(b"x").await]
}

async fn borrowed_halves_refer_to_the_stream(at: &World) -> Seen {
    let (mut here, _there) = at.pair().await;
    let (read, write) = here.split();
    let streams: [&TcpStream; 2] = [read.as_ref(), write.as_ref()];
    seen![std::ptr::eq(streams[0], streams[1]), streams[0].nodelay()]
}

async fn owned_halves_read_and_write(at: &World) -> Seen {
    let (here, there) = at.pair().await;
    let (_keep, mut write) = here.into_split();
    let (mut read, _also) = there.into_split();
    seen![write.write(b"hello").await, read.read(&mut [0; 8]).await]
}

async fn owned_halves_in_two_tasks(at: &World) -> Seen {
    let (here, there) = at.pair().await;
    let (mut read, mut write) = here.into_split();
    let (mut back, mut forth) = there.into_split();
    let echo = tokio::spawn(async move { tokio::io::copy(&mut back, &mut forth).await });
    let writer = tokio::spawn(async move { write.write_all(&vec![7; 1 << 20]).await });
    let reader = tokio::spawn(async move { read.read_to_end(&mut Vec::new()).await });
    seen![
        writer.await.expect("does not panic"),
        echo.await
            .expect("does not panic")
            .map(|len| len == 1 << 20),
        reader.await.expect("does not panic"),
    ]
}

async fn owned_halves_try(at: &World) -> Seen {
    let (here, there) = at.pair().await;
    let (_keep, write) = here.into_split();
    let (read, _also) = there.into_split();
    let before = read.try_read(&mut [0; 8]);
    write.writable().await.expect("is writable");
    let written = write.try_write(b"hello");
    read.readable().await.expect("is readable");
    let mut buf = Vec::with_capacity(8);
    seen![
        before,
        written,
        read.try_read_buf(&mut buf),
        read.try_read(&mut [0; 8])
    ]
}

async fn owned_halves_take_several_buffers(at: &World) -> Seen {
    let (here, there) = at.pair().await;
    let (_keep, write) = here.into_split();
    let (read, _also) = there.into_split();
    write.writable().await.expect("is writable");
    let written = write.try_write_vectored(&[IoSlice::new(b"hel"), IoSlice::new(b"lo")]);
    read.readable().await.expect("is readable");
    let (mut one, mut other) = ([0; 1], [0; 8]);
    let mut slices = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut other)];
    seen![written, read.try_read_vectored(&mut slices)]
}

async fn owned_halves_peek(at: &World) -> Seen {
    let (mut here, there) = at.pair().await;
    here.write_all(b"hello").await.expect("writes");
    let (mut read, _keep) = there.into_split();
    let peeked = read.peek(&mut [0; 2]).await;
    let mut cx = Context::from_waker(Waker::noop());
    let polled = read.poll_peek(&mut cx, &mut ReadBuf::new(&mut [0; 8]));
    seen![peeked, polled, read.read(&mut [0; 8]).await]
}

async fn owned_halves_know_their_addresses(at: &World) -> Seen {
    let (here, _there) = at.pair().await;
    let own = (
        here.local_addr().expect("has one"),
        here.peer_addr().expect("has one"),
    );
    let (read, write) = here.into_split();
    seen![
        read.local_addr().map(|address| address == own.0),
        write.local_addr().map(|address| address == own.0),
        read.peer_addr().map(|address| address == own.1),
        write.peer_addr().map(|address| address == own.1),
    ]
}

async fn owned_halves_are_ready(at: &World) -> Seen {
    let (_here, there) = at.greeted().await;
    let (read, write) = there.into_split();
    seen![
        read.ready(Interest::READABLE).await,
        write.ready(Interest::WRITABLE).await
    ]
}

async fn owned_halves_refer_to_one_stream(at: &World) -> Seen {
    let (here, _there) = at.pair().await;
    let (read, write) = here.into_split();
    let streams: [&TcpStream; 2] = [read.as_ref(), write.as_ref()];
    seen![std::ptr::eq(streams[0], streams[1]), streams[0].nodelay()]
}

async fn an_owned_write_half_shuts_down(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    let (_keep, mut write) = here.into_split();
    let shut = write.shutdown().await;
    seen![shut, there.read(&mut [0; 8]).await, write.write(b"x").await]
}

async fn dropping_an_owned_write_half_shuts_down(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    let (mut read, write) = here.into_split();
    drop(write);
    let end = there.read(&mut [0; 8]).await;
    there.write_all(b"hello").await.expect("writes");
    seen![end, read.read(&mut [0; 8]).await]
}

async fn an_owned_write_half_that_is_forgotten_does_not(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    let (read, write) = here.into_split();
    write.forget();
    let before = at.now(there.read(&mut [0; 8])).await;
    drop(read);
    seen![before, there.read(&mut [0; 8]).await]
}

async fn dropping_an_owned_read_half_changes_nothing(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    let (read, mut write) = here.into_split();
    drop(read);
    let sent = there.write(b"hello").await;
    at.settle().await;
    seen![
        sent,
        write.write(b"hello").await,
        there.read(&mut [0; 8]).await
    ]
}

async fn dropping_both_owned_halves_closes(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    drop(here.into_split());
    let end = there.read(&mut [0; 8]).await;
    let written = there.write(b"x").await;
    at.settle().await;
    seen![end, written, there.write(b"x").await]
}

async fn dropping_both_owned_halves_with_unread_bytes_resets(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    there.write_all(b"unread").await.expect("writes");
    here.readable().await.expect("is readable");
    drop(here.into_split());
    at.settle().await;
    seen![there.read(&mut [0; 8]).await, there.write(b"x").await]
}

async fn halves_of_one_stream_reunite(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    let (read, write) = here.into_split();
    let mut here = read.reunite(write).expect("reunites");
    seen![here.write(b"hello").await, there.read(&mut [0; 8]).await]
}

async fn the_other_way_round_too(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    let (read, write) = here.into_split();
    let mut here = write.reunite(read).expect("reunites");
    seen![here.write(b"hello").await, there.read(&mut [0; 8]).await]
}

async fn a_reunited_stream_is_not_shut_down(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    let (read, write) = here.into_split();
    let here = read.reunite(write).expect("reunites");
    let before = at.now(there.read(&mut [0; 8])).await;
    drop(here);
    seen![before, there.read(&mut [0; 8]).await]
}

async fn apart(at: &World) -> (ReuniteError, [TcpStream; 2]) {
    let (here, one) = at.pair().await;
    let (other_here, other) = at.pair().await;
    let (read, write) = here.into_split();
    let (other_read, other_write) = other_here.into_split();
    let error = read
        .reunite(other_write)
        .expect_err("are not of one stream");
    write.forget();
    drop(other_read);
    (error, [one, other])
}

async fn halves_of_two_streams_do_not_reunite(at: &World) -> Seen {
    let (error, [mut one, mut other]) = apart(at).await;
    let before = (
        at.now(one.read(&mut [0; 8])).await,
        at.now(other.read(&mut [0; 8])).await,
    );
    drop(error);
    seen![
        before.0,
        before.1,
        one.read(&mut [0; 8]).await,
        other.read(&mut [0; 8]).await
    ]
}

async fn the_error_returns_the_halves(at: &World) -> Seen {
    let (ReuniteError(mut read, mut write), [mut one, mut other]) = apart(at).await;
    one.write_all(b"hello").await.expect("writes");
    seen![
        read.read(&mut [0; 8]).await,
        write.write(b"hello").await,
        other.read(&mut [0; 8]).await,
    ]
}

async fn the_error_has_a_text(at: &World) -> Seen {
    let (error, _streams) = apart(at).await;
    let error: &dyn std::error::Error = &error;
    seen![error.to_string(), error.source().is_none()]
}

async fn a_write_half_is_vectored(at: &World) -> Seen {
    let (mut here, there) = at.pair().await;
    seen![
        here.split().1.is_write_vectored(),
        there.into_split().1.is_write_vectored()
    ]
}

async fn writing_after_the_read_half_is_dropped(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    there.write_all(b"unread").await.expect("writes");
    here.readable().await.expect("is readable");
    let (read, mut write) = here.into_split();
    drop(read);
    let written = write.write(b"hello").await;
    at.settle().await;
    seen![
        written,
        there.read(&mut [0; 8]).await,
        write.shutdown().await
    ]
}
