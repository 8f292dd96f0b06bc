//! Tasks: wakers, cancellation and tokio's cooperative budget.

use std::future::poll_fn;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use futures::poll;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest, ReadBuf};
use tokio::task::{JoinSet, LocalSet, yield_now};

use super::net::tcp::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
use super::net::{TcpListener, TcpSocket, TcpStream};
use super::{World, address_of, counting, fill};
use crate::case::Seen;
use crate::{cases, seen};

cases!["tasks":
    a_read_that_moves_to_another_task,
    a_read_is_woken_once_for_bytes,
    a_write_that_moves_to_another_task,
    a_reader_and_a_writer_are_woken_each_for_its_own,
    an_accept_that_moves_to_another_task,
    an_aborted_task_closes_its_stream,
    a_stream_in_a_task_of_a_set,
    a_stream_in_a_local_task,
    a_stream_from_another_thread,
    the_loser_of_a_select_loses_nothing,
    a_timeout_of_a_read,
    reads_let_others_run,
    tries_to_read_after_readiness_let_others_run,
    writes_let_others_run,
    waiting_to_be_ready_lets_others_run,
    polling_readiness_lets_others_run,
    peeking_lets_others_run,
    accepting_lets_others_run,
    tries_alone_do_not_let_others_run,
    types_can_move_between_threads,
    types_can_cross_a_panic,
];

async fn a_read_that_moves_to_another_task(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    let mut buf = [0; 8];
    let ((early, early_wakes), (late, late_wakes)) = (counting(), counting());
    for waker in [&early, &late] {
        let mut cx = Context::from_waker(waker);
        let read = Pin::new(&mut there).poll_read(&mut cx, &mut ReadBuf::new(&mut buf));
        assert!(read.is_pending());
    }
    here.write_all(b"hello").await.expect("writes");
    at.settle().await;
    seen![early_wakes.count() > 0, late_wakes.count() > 0]
}

async fn a_read_is_woken_once_for_bytes(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    let (waker, wakes) = counting();
    let mut cx = Context::from_waker(&waker);
    let read = Pin::new(&mut there).poll_read(&mut cx, &mut ReadBuf::new(&mut [0; 8]));
    assert!(read.is_pending());
    for _ in 0..3 {
        here.write_all(b"hello").await.expect("writes");
        at.settle().await;
    }
    seen![wakes.count()]
}

async fn a_write_that_moves_to_another_task(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    let mut rest = vec![0; fill(at, &here).await];
    let ((early, early_wakes), (late, late_wakes)) = (counting(), counting());
    for waker in [&early, &late] {
        let write = Pin::new(&mut here).poll_write(&mut Context::from_waker(waker), b"x");
        assert!(write.is_pending());
    }
    there.read_exact(&mut rest).await.expect("reads");
    at.settle().await;
    seen![early_wakes.count() > 0, late_wakes.count() > 0]
}

async fn a_reader_and_a_writer_are_woken_each_for_its_own(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    fill(at, &here).await;
    let ((reader, reads), (writer, writes)) = (counting(), counting());
    let mut buf = [0; 8];
    let mut cx = Context::from_waker(&reader);
    let read = Pin::new(&mut here).poll_read(&mut cx, &mut ReadBuf::new(&mut buf));
    let write = Pin::new(&mut here).poll_write(&mut Context::from_waker(&writer), b"x");
    there.write_all(b"hello").await.expect("writes");
    at.settle().await;
    seen![read, write, reads.count() > 0, writes.count() > 0]
}

async fn an_accept_that_moves_to_another_task(at: &World) -> Seen {
    let listener = at.listener().await;
    let ((early, early_wakes), (late, late_wakes)) = (counting(), counting());
    let mut accept = Box::pin(listener.accept());
    for waker in [&early, &late] {
        assert!(
            accept
                .as_mut()
                .poll(&mut Context::from_waker(waker))
                .is_pending()
        );
    }
    let _here = at.connect(address_of(&listener)).await.expect("connects");
    at.settle().await;
    seen![
        early_wakes.count() > 0,
        late_wakes.count() > 0,
        accept.await.map(drop)
    ]
}

async fn an_aborted_task_closes_its_stream(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    let task = tokio::spawn(async move {
        let mut here = here;
        here.read(&mut [0; 8]).await
    });
    at.settle().await;
    task.abort();
    let aborted = task.await.expect_err("was aborted").is_cancelled();
    seen![aborted, there.read(&mut [0; 8]).await]
}

async fn a_stream_in_a_task_of_a_set(at: &World) -> Seen {
    let (here, there) = at.pair().await;
    let mut set = JoinSet::new();
    for (mut stream, text) in [(here, b"hello"), (there, b"world")] {
        set.spawn(async move {
            stream.write_all(text).await.expect("writes");
            stream.read(&mut [0; 5]).await
        });
    }
    let mut seen = Vec::new();
    while let Some(read) = set.join_next().await {
        seen.extend(seen![read.expect("does not panic")]);
    }
    seen
}

async fn a_stream_in_a_local_task(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    let local = LocalSet::new();
    let read = local.run_until(async {
        let read = tokio::task::spawn_local(async move { there.read(&mut [0; 8]).await });
        here.write_all(b"hello").await.expect("writes");
        read.await.expect("does not panic")
    });
    seen![read.await]
}

async fn a_stream_from_another_thread(at: &World) -> Seen {
    let (here, mut there) = at.pair().await;
    here.writable().await.expect("is writable");
    let write = tokio::task::spawn_blocking(move || {
        let written = here.try_write(b"hello");
        (written, here)
    });
    let read = there.read(&mut [0; 8]).await;
    seen![write.await.expect("does not panic").0, read]
}

async fn the_loser_of_a_select_loses_nothing(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    let mut lost = 0;
    for _ in 0..5 {
        let mut buf = [0; 8];
        tokio::select! {
            biased;
            read = there.read(&mut buf) => drop(read),
            () = yield_now() => lost += 1,
        }
    }
    here.write_all(b"hello").await.expect("writes");
    seen![lost, there.read(&mut [0; 8]).await]
}

async fn a_timeout_of_a_read(at: &World) -> Seen {
    let (mut here, mut there) = at.pair().await;
    let short = std::time::Duration::from_millis(1);
    let read = tokio::time::timeout(short, there.read(&mut [0; 8])).await;
    here.write_all(b"hello").await.expect("writes");
    seen![read.is_err(), there.read(&mut [0; 8]).await]
}

/// How often another task runs while `busy` always has something to do: whether about once for
/// each budget of 128 calls.
async fn others(busy: impl Future<Output = ()>) -> Seen {
    let mut runs = 0;
    let mut busy = pin!(busy);
    poll_fn(|cx| match busy.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => {
            runs += 1;
            Poll::Pending
        }
    })
    .await;
    seen![if runs == 0 {
        "never"
    } else if runs >= 7 {
        "once a budget"
    } else {
        "seldom"
    }]
}

/// An end with a thousand unread bytes.
async fn with_bytes(at: &World) -> (TcpStream, TcpStream) {
    let (mut here, there) = at.pair().await;
    here.write_all(&[7; 1000]).await.expect("writes");
    at.settle().await;
    there.readable().await.expect("is readable");
    yield_now().await;
    (here, there)
}

async fn reads_let_others_run(at: &World) -> Seen {
    let (_here, mut there) = with_bytes(at).await;
    others(async {
        for _ in 0..1000 {
            there.read_exact(&mut [0; 1]).await.expect("reads");
        }
    })
    .await
}

async fn tries_to_read_after_readiness_let_others_run(at: &World) -> Seen {
    let (_here, there) = with_bytes(at).await;
    others(async {
        for _ in 0..1000 {
            there.readable().await.expect("is readable");
            there.try_read(&mut [0; 1]).expect("reads");
        }
    })
    .await
}

async fn writes_let_others_run(at: &World) -> Seen {
    let (mut here, _there) = at.pair().await;
    others(async {
        for _ in 0..1000 {
            here.write_all(b"x").await.expect("writes");
        }
    })
    .await
}

async fn waiting_to_be_ready_lets_others_run(at: &World) -> Seen {
    let (_here, there) = with_bytes(at).await;
    others(async {
        for _ in 0..1000 {
            there.ready(Interest::READABLE).await.expect("is ready");
        }
    })
    .await
}

async fn polling_readiness_lets_others_run(at: &World) -> Seen {
    let (_here, there) = with_bytes(at).await;
    others(async {
        for _ in 0..1000 {
            poll_fn(|cx| there.poll_read_ready(cx))
                .await
                .expect("is ready");
        }
    })
    .await
}

async fn peeking_lets_others_run(at: &World) -> Seen {
    let (_here, there) = with_bytes(at).await;
    others(async {
        for _ in 0..1000 {
            there.peek(&mut [0; 1]).await.expect("peeks");
        }
    })
    .await
}

async fn accepting_lets_others_run(at: &World) -> Seen {
    let socket = at.server_socket().await;
    socket.bind((at.server, 0).into()).expect("binds");
    let listener = socket.listen(1024).expect("listens");
    let mut open = Vec::new();
    for _ in 0..900 {
        open.push(at.connect(address_of(&listener)).await.expect("connects"));
    }
    at.settle().await;
    yield_now().await;
    let mut accepted = Vec::new();
    others(async {
        for _ in 0..900 {
            accepted.push(listener.accept().await.expect("accepts"));
        }
    })
    .await
}

async fn tries_alone_do_not_let_others_run(at: &World) -> Seen {
    let (_here, there) = with_bytes(at).await;
    others(async {
        for _ in 0..1000 {
            there.try_read(&mut [0; 1]).expect("reads");
        }
    })
    .await
}

async fn types_can_move_between_threads(_: &World) -> Seen {
    fn can<T: Send + Sync + Unpin + 'static>() {}
    fn also<T: Send + Sync + Unpin>() {}
    can::<TcpListener>();
    can::<TcpSocket>();
    can::<TcpStream>();
    can::<OwnedReadHalf>();
    can::<OwnedWriteHalf>();
    can::<ReuniteError>();
    also::<ReadHalf<'_>>();
    also::<WriteHalf<'_>>();
    seen!["Send, Sync and Unpin"]
}

async fn types_can_cross_a_panic(_: &World) -> Seen {
    fn can<T: UnwindSafe + RefUnwindSafe>() {}
    can::<TcpListener>();
    can::<TcpSocket>();
    can::<TcpStream>();
    can::<OwnedReadHalf>();
    can::<OwnedWriteHalf>();
    can::<ReuniteError>();
    can::<ReadHalf<'_>>();
    can::<WriteHalf<'_>>();
    let _ = poll!(std::future::ready(()));
    seen!["UnwindSafe and RefUnwindSafe"]
}
