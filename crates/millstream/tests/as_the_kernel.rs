//! The same steps on `tokio::net` over the kernel's loopback and on a stack: both give the same
//! results.

mod support;

use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::time::Duration;

use futures::FutureExt as _;
use millstream::Stack;
use support::stacks;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::time::timeout;

/// Runs the body with both ends of a connection, once over the kernel and once over a stack. The
/// body returns its observations as a `Vec<String>`.
macro_rules! as_the_kernel {
    ($($(#[$attribute:meta])* $name:ident($there:pat_param, $here:pat_param) $body:block)*) => {$(
        $(#[$attribute])*
        #[tokio::test]
        async fn $name() {
            let kernels = {
                let (_listener, $there, $here) = of_the_kernel().await;
                let seen: Vec<String> = $body;
                seen
            };
            let ours = {
                let (_server, _client) = stacks();
                let (_listener, $there, $here) = support::connected(&_server, &_client).await;
                let seen: Vec<String> = $body;
                seen
            };
            assert_same(&ours, &kernels);
        }
    )*};
}

/// Like `as_the_kernel`, with a listener and an end of a connection that the listener has not
/// accepted.
macro_rules! as_the_kernels_listener {
    ($($(#[$attribute:meta])* $name:ident($listener:ident, $here:pat_param) $body:block)*) => {$(
        $(#[$attribute])*
        #[tokio::test]
        async fn $name() {
            let kernels = {
                let $listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
                let address = $listener.local_addr().expect("has one");
                let $here = tokio::net::TcpStream::connect(address).await.expect("connects");
                let seen: Vec<String> = $body;
                seen
            };
            let ours = {
                let (_server, _client) = stacks();
                let $listener = _server.listen("10.0.0.1:7").await.expect("listens");
                let $here = _client.connect("10.0.0.1:7").await.expect("connects");
                let seen: Vec<String> = $body;
                seen
            };
            assert_same(&ours, &kernels);
        }
    )*};
}

async fn of_the_kernel() -> (
    tokio::net::TcpListener,
    tokio::net::TcpStream,
    tokio::net::TcpStream,
) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("binds");
    let address = listener.local_addr().expect("has one");
    let (connected, accepted) =
        tokio::join!(tokio::net::TcpStream::connect(address), listener.accept());
    let (accepted, _) = accepted.expect("accepts");
    (listener, accepted, connected.expect("connects"))
}

fn assert_same(ours: &[String], kernels: &[String]) {
    let differences: Vec<_> = std::iter::zip(ours, kernels)
        .enumerate()
        .filter(|(_, (ours, kernels))| ours != kernels)
        .collect();
    assert!(
        differences.is_empty(),
        "ours, and the kernel's: {differences:#?}"
    );
    assert_eq!(ours.len(), kernels.len());
}

/// The result of a call, as text.
fn said<T: std::fmt::Debug>(result: io::Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        // `WouldBlock` comes either from the kernel, with a number, or from tokio itself, without
        // one.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => "would block".to_owned(),
        Err(error) => format!("{:?} {:?}", error.kind(), error.raw_os_error()),
    }
}

fn waits<T>(result: &Result<T, tokio::time::error::Elapsed>) -> String {
    if result.is_err() { "waits" } else { "is done" }.to_owned()
}

/// Long enough for an event that should not happen.
const A_WHILE: Duration = Duration::from_millis(50);

/// Makes the other end reset the connection, and waits until this end has received the reset.
macro_rules! reset {
    ($here:ident, $there:ident) => {
        reset_by!($there, {
            $here.set_zero_linger().expect("sets");
            drop($here);
        })
    };
}

macro_rules! reset_by {
    ($there:ident, $reset:block) => {{
        $reset
        $there.ready(Interest::ERROR).await.expect("ready");
    }};
}

as_the_kernel! {
    what_came_before_a_reset_is_read(mut there, mut here) {
        here.write_all(b"last words").await.expect("writes");
        reset!(here, there);
        let mut buf = [0; 4];
        let mut seen = Vec::new();
        for _ in 0..6 {
            seen.push(said(there.read(&mut buf).await));
        }
        seen.push(said(there.write(b"x").await));
        seen
    }

    what_came_before_a_reset_is_tried(there, mut here) {
        here.write_all(b"last words").await.expect("writes");
        reset!(here, there);
        let mut buf = [0; 6];
        (0..5).map(|_| said(there.try_read(&mut buf))).collect()
    }

    what_came_before_a_reset_is_peeked(mut there, mut here) {
        here.write_all(b"last words").await.expect("writes");
        reset!(here, there);
        let mut buf = [0; 16];
        let mut seen = Vec::new();
        for _ in 0..2 {
            seen.push(said(there.peek(&mut buf).await));
        }
        seen.push(said(there.read(&mut buf).await));
        for _ in 0..3 {
            seen.push(said(there.peek(&mut buf).await));
        }
        seen.push(said(there.read(&mut buf).await));
        seen
    }

    a_write_that_fails_loses_nothing_that_came(mut there, mut here) {
        here.write_all(b"last words").await.expect("writes");
        reset!(here, there);
        let mut buf = [0; 16];
        vec![
            said(there.write(b"x").await),
            said(there.write(b"x").await),
            said(there.read(&mut buf).await),
            said(there.read(&mut buf).await),
            said(there.shutdown().await),
        ]
    }

    halves_see_a_reset(there, mut here) {
        here.write_all(b"last words").await.expect("writes");
        reset!(here, there);
        let (mut read, mut write) = there.into_split();
        let mut buf = [0; 16];
        vec![
            said(read.peek(&mut buf).await),
            said(read.read(&mut buf).await),
            said(write.write(b"x").await),
            said(read.read(&mut buf).await),
            said(write.write(b"x").await),
            said(write.shutdown().await),
            said(read.peer_addr().map(drop)),
            said(write.local_addr().map(drop)),
        ]
    }

    a_reset_is_told_by_take_error(mut there, mut here) {
        here.write_all(b"last words").await.expect("writes");
        reset!(here, there);
        let error = there.take_error().expect("asks").expect("was reset");
        vec![
            said::<()>(Err(error)),
            format!("{:?}", there.take_error().expect("asks").is_none()),
            said(there.read(&mut [0; 16]).await),
            said(there.read(&mut [0; 16]).await),
            said(there.write(b"x").await),
        ]
    }

    after_a_reset(mut there, here) {
        reset!(here, there);
        vec![
            said(there.peer_addr().map(drop)),
            said(there.local_addr().map(drop)),
            said(there.shutdown().await),
            said(there.write(b"x").await),
            said(there.shutdown().await),
            said(there.read(&mut [0; 1]).await),
            said(there.nodelay()),
            said(there.set_nodelay(true)),
        ]
    }

    after_both_have_closed(mut there, mut here) {
        here.shutdown().await.expect("shuts down");
        let mut seen = vec![
            said(there.read(&mut [0; 1]).await),
            said(there.peer_addr().map(drop)),
        ];
        there.shutdown().await.expect("shuts down");
        seen.push(said(here.read(&mut [0; 1]).await));
        tokio::time::sleep(A_WHILE).await;
        for end in [&mut there, &mut here] {
            seen.extend([
                said(end.peer_addr().map(drop)),
                said(end.local_addr().map(drop)),
                said(end.shutdown().await),
                said(end.read(&mut [0; 1]).await),
                said(end.write(b"x").await),
                format!("{:?}", end.ready(Interest::ERROR).now_or_never().is_some()),
                format!("{:?}", end.ready(Interest::READABLE | Interest::WRITABLE).await),
            ]);
        }
        seen
    }

    a_server_that_drops_the_request_resets(mut there, mut here) {
        here.write_all(b"request").await.expect("writes");
        there.readable().await.expect("readable");
        there.write_all(b"answer").await.expect("writes");
        drop(there);
        here.ready(Interest::ERROR).await.expect("ready");
        let mut buf = [0; 16];
        vec![
            said(here.read(&mut buf).await),
            said(here.read(&mut buf).await),
            said(here.read(&mut buf).await),
        ]
    }

    a_reset_after_the_end(mut there, mut here) {
        here.write_all(b"last words").await.expect("writes");
        here.shutdown().await.expect("shuts down");
        let mut buf = [0; 16];
        there.readable().await.expect("readable");
        tokio::time::sleep(A_WHILE).await;
        // This end no longer reads the answer.
        drop(here);
        there.write_all(b"x").await.expect("writes");
        there.ready(Interest::ERROR).await.expect("ready");
        vec![
            said(there.read(&mut buf).await),
            said(there.read(&mut buf).await),
            said(there.write(b"x").await),
            said(there.write(b"x").await),
        ]
    }

    a_read_of_nothing_waits_for_something(mut there, mut here) {
        let mut seen = vec![
            said(there.try_read(&mut [])),
            waits(&timeout(A_WHILE, there.read(&mut [])).await),
        ];
        here.write_all(b"x").await.expect("writes");
        there.readable().await.expect("readable");
        seen.push(said(there.read(&mut []).await));
        seen.push(said(there.try_read(&mut [])));
        seen.push(said(there.read(&mut [0; 2]).await));
        here.shutdown().await.expect("shuts down");
        seen.push(said(there.read(&mut []).await));
        seen
    }

    a_write_of_nothing_tells_how_writing_stands(mut there, mut here) {
        let mut seen = vec![said(there.write(&[]).await), said(there.try_write(&[]))];
        while there.try_write(&[7; 100_000]).is_ok() {
            tokio::task::yield_now().await;
        }
        seen.push(said(there.try_write(&[])));
        seen.push(waits(&timeout(A_WHILE, there.write(&[])).await));
        drop(there);
        here.shutdown().await.expect("shuts down");
        seen.push(said(here.try_write(&[])));
        seen.push(said(here.write(&[]).await));
        seen.push(said(here.write(b"x").await));
        seen
    }

    so_many_slices_a_call(there, mut here) {
        let bytes = vec![7; 2000];
        let slices: Vec<_> = bytes.chunks(1).map(IoSlice::new).collect();
        let mut seen = vec![said(here.write_vectored(&slices).await)];
        seen.push(said(here.try_write_vectored(&slices)));
        tokio::time::sleep(A_WHILE).await;
        let mut bytes = vec![0; 2000];
        let mut slices: Vec<_> = bytes.chunks_mut(1).map(IoSliceMut::new).collect();
        there.readable().await.expect("readable");
        seen.push(said(there.try_read_vectored(&mut slices)));
        seen
    }

    what_a_stream_is_ready_for(mut there, mut here) {
        let interests = [
            Interest::READABLE,
            Interest::WRITABLE,
            Interest::READABLE | Interest::WRITABLE,
            Interest::PRIORITY,
            Interest::ERROR,
            Interest::READABLE | Interest::ERROR,
            Interest::WRITABLE | Interest::PRIORITY,
        ];
        // An accepted end may count as readable until it was tried.
        let mut seen = vec![said(there.try_read(&mut [0; 1])), said(here.try_read(&mut [0; 1]))];
        macro_rules! look {
            ($when:literal, $end:ident) => {
                tokio::time::sleep(A_WHILE).await;
                for interest in interests {
                    let ready = $end.ready(interest).now_or_never();
                    seen.push(format!("{} {interest:?}: {:?}", $when, ready.map(said)));
                }
            };
        }
        look!("open", there);
        here.write_all(b"data").await.expect("writes");
        look!("data", there);
        assert_eq!(there.read(&mut [0; 2]).await.expect("reads"), 2);
        look!("a part read", there);
        assert_eq!(there.read(&mut [0; 20]).await.expect("reads"), 2);
        look!("all read", there);
        there.shutdown().await.expect("shuts down");
        look!("own end", there);
        look!("the other's end", here);
        here.shutdown().await.expect("shuts down");
        look!("both ended", there);
        look!("both ended, the other", here);
        seen
    }

    what_a_stream_is_ready_for_after_a_reset(mut there, here) {
        reset!(here, there);
        let mut seen = Vec::new();
        for read in [false, true] {
            if read {
                seen.push(said(there.read(&mut [0; 1]).await));
            }
            for interest in [
                Interest::READABLE,
                Interest::WRITABLE,
                Interest::PRIORITY,
                Interest::ERROR,
                Interest::READABLE | Interest::WRITABLE | Interest::ERROR,
            ] {
                let ready = there.ready(interest).now_or_never();
                seen.push(format!("{read} {interest:?}: {:?}", ready.map(said)));
            }
        }
        seen
    }

    the_end_wakes_whoever_waits_for_priority(there, mut here) {
        let waiter = tokio::spawn(async move { said(there.ready(Interest::PRIORITY).await) });
        tokio::time::sleep(A_WHILE).await;
        here.shutdown().await.expect("shuts down");
        vec![waiter.await.expect("no panic")]
    }

    what_a_call_could_not_use_is_not_ready(there, mut here) {
        // An accepted end may count as readable until it was tried.
        assert!(there.try_read(&mut [0; 1]).is_err());
        here.write_all(b"four").await.expect("writes");
        there.readable().await.expect("readable");
        let none = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        let mut seen = vec![
            said(there.try_io(Interest::READABLE, none)),
            waits(&timeout(A_WHILE, there.readable()).await),
            said(there.try_io(Interest::READABLE, || Ok("called"))),
        ];
        here.write_all(b"more").await.expect("writes");
        seen.push(waits(&timeout(A_WHILE * 20, there.readable()).await));
        seen.push(said(there.try_io(Interest::READABLE, || Ok("called"))));
        // A caller that waits for eight bytes is called when something new has arrived.
        let mut calls = 0;
        let whole = there.async_io(Interest::READABLE, || {
            calls += 1;
            if calls < 3 { none() } else { Ok(()) }
        });
        let more = async {
            for _ in 0..2 {
                tokio::time::sleep(A_WHILE).await;
                here.write_all(b"more").await.expect("writes");
            }
        };
        let (whole, ()) = tokio::join!(whole, more);
        seen.extend([said(whole), calls.to_string()]);
        seen
    }

    others_run_while_a_stream_is_always_ready(there, mut here) {
        here.write_all(&[7; 20_000]).await.expect("writes");
        while there.peek(&mut [0; 20_000]).await.expect("peeks") < 20_000 {
            tokio::task::yield_now().await;
        }
        let busy = async {
            for _ in 0..10_000 {
                poll_fn(|cx| there.poll_read_ready(cx)).await.expect("ready");
                there.try_read(&mut [0; 1]).expect("is there");
            }
        };
        let mut others = 0;
        let other = async {
            loop {
                others += 1;
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = busy => {}
            () = other => {}
        }
        // At least once for each exhausted budget of 128.
        vec![format!("{}", others >= 70)]
    }
}

as_the_kernels_listener! {
    what_was_reset_in_the_queue_is_accepted(listener, mut here) {
        here.write_all(b"last words").await.expect("writes");
        here.set_zero_linger().expect("sets");
        let peer = here.local_addr().expect("has one");
        drop(here);
        tokio::time::sleep(A_WHILE).await;
        let (mut there, from) = listener.accept().await.expect("accepts");
        assert_eq!(from, peer);
        let mut buf = [0; 16];
        vec![
            said(there.peer_addr().map(drop)),
            said(there.read(&mut buf).await),
            said(there.read(&mut buf).await),
            said(there.read(&mut buf).await),
            said(there.write(b"x").await),
        ]
    }
}

/// Errors that precede a connection have the kernel's numbers.
#[tokio::test]
async fn errors_have_the_kernels_numbers() {
    let kernels = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("binds");
        let address = listener.local_addr().expect("has one");
        let taken = tokio::net::TcpListener::bind(address).await;
        drop(listener);
        vec![
            said(taken.map(drop)),
            said(tokio::net::TcpStream::connect(address).await.map(drop)),
            said(tokio::net::TcpListener::bind("192.0.2.1:7").await.map(drop)),
        ]
    };
    let ours = {
        let (server, client): (Stack, Stack) = stacks();
        let listener = server.listen("10.0.0.1:7").await.expect("listens");
        let taken = server.listen("10.0.0.1:7").await;
        drop(listener);
        vec![
            said(taken.map(drop)),
            said(client.connect("10.0.0.1:7").await.map(drop)),
            said(server.listen("192.0.2.1:7").await.map(drop)),
        ]
    };
    assert_same(&ours, &kernels);
}
