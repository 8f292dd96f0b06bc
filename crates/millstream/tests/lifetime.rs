//! The end of a stack: its causes, its time, and the release of everything.

mod support;

use std::io;
use std::time::Duration;

use millstream::device::pair;
use millstream::{BuildError, InvalidOption, Stack, StackClosed};
use support::{Tap, client_over, connected, settle, stacks, stacks_over};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

#[tokio::test(start_paused = true)]
async fn the_last_handle_ends_the_task() {
    let ((left, watch_left), (right, watch_right)) = Tap::pair();
    let (server, client) = stacks_over(left, right);
    let clone = server.clone();
    drop(server);
    sleep(Duration::from_secs(1)).await;
    assert!(!watch_left.is_dropped(), "a handle is left");
    drop(clone);
    settle().await;
    assert!(watch_left.is_dropped());
    drop(client);
    settle().await;
    assert!(watch_right.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn listeners_sockets_and_streams_are_handles() {
    let ((left, watch), (right, _)) = Tap::pair();
    let (server, client) = stacks_over(left, right);
    let (listener, mut there, mut here) = connected(&server, &client).await;
    let socket = server.socket_v4();
    drop((server, listener));
    here.write_all(b"still here").await.expect("writes");
    let mut buf = [0; 10];
    there.read_exact(&mut buf).await.expect("reads");
    drop(there);
    here.shutdown().await.expect("shuts down");
    sleep(Duration::from_secs(1)).await;
    assert!(!watch.is_dropped(), "the socket is left");
    drop(socket);
    settle().await;
    assert!(watch.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn the_task_lives_on_until_dropped_streams_have_closed() {
    let ((left, _), (right, watch)) = Tap::pair();
    let (server, client) = stacks_over(left, right);
    let (_listener, mut there, mut here) = connected(&server, &client).await;
    here.write_all(b"last words").await.expect("writes");
    drop((here, client));
    sleep(Duration::from_secs(1)).await;
    assert!(!watch.is_dropped(), "the server has not closed");
    let mut all = String::new();
    there.read_to_string(&mut all).await.expect("reads");
    assert_eq!(all, "last words");
    drop(there);
    // The client is in TIME-WAIT, for which the stack does not wait.
    settle().await;
    assert!(watch.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn an_orphan_whose_peer_is_gone_ends_in_time() {
    let ((left, _), (right, watch)) = Tap::pair();
    let (server, client) = stacks_over(left, right);
    let (_listener, _there, mut here) = connected(&server, &client).await;
    watch.cut(true);
    here.write_all(b"into the void").await.expect("is buffered");
    drop((here, client));
    // 8 retransmissions, the first after 200 ms, take 102.2 s.
    sleep(Duration::from_secs(95)).await;
    assert!(!watch.is_dropped(), "gave up early");
    sleep(Duration::from_secs(10)).await;
    assert!(watch.is_dropped(), "still trying");
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_everything_at_once() {
    let ((left, _), (right, watch)) = Tap::pair();
    let (server, client) = stacks_over(left, right);
    let (_listener, mut there, mut here) = connected(&server, &client).await;
    let other = client.listen("10.0.0.2:9").await.expect("listens");
    let waiting = tokio::spawn(async move {
        let accept = other.accept().await.map(drop);
        (accept, here.read(&mut [0; 1]).await, here)
    });
    tokio::task::yield_now().await;
    client.shutdown().await;
    assert!(watch.is_dropped(), "the device is not closed");

    let (accept, read, mut here) = waiting.await.expect("no panic");
    let errors = [
        accept.expect_err("is over"),
        read.expect_err("is over"),
        here.write(b"x").await.expect_err("is over"),
        client.connect("10.0.0.1:7").await.expect_err("is over"),
        client.listen("10.0.0.2:10").await.expect_err("is over"),
    ];
    for error in errors {
        assert_eq!(error.kind(), io::ErrorKind::NetworkDown);
        let source = error.get_ref().and_then(|e| e.downcast_ref());
        assert!(matches!(source, Some(StackClosed::Shutdown)), "{source:?}");
    }
    let error = there.read(&mut [0; 1]).await.expect_err("was reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    client.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_device_that_ends_ends_its_stack() {
    let (server, client) = stacks();
    let (_listener, _there, mut here) = connected(&server, &client).await;
    server.shutdown().await;
    // The server's resets arrive before the end of the link.
    let error = here.read(&mut [0; 1]).await.expect_err("is over");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    settle().await;
    let error = client.connect("10.0.0.1:7").await.expect_err("is over");
    assert_eq!(error.kind(), io::ErrorKind::NetworkDown);
    let source = error.get_ref().and_then(|e| e.downcast_ref());
    assert!(matches!(source, Some(StackClosed::Device(_))), "{source:?}");
}

#[tokio::test(start_paused = true)]
async fn data_that_arrived_before_the_end_can_be_read() {
    let ((left, watch), (right, _)) = Tap::pair();
    let (server, client) = stacks_over(left, right);
    let (listener, mut there, mut here) = connected(&server, &client).await;
    there.write_all(b"last words").await.expect("writes");
    here.readable().await.expect("readable");
    // The server's host vanishes silently.
    watch.cut(true);
    server.shutdown().await;
    drop((there, listener, server));
    settle().await;

    let mut buf = [0; 64];
    assert_eq!(here.read(&mut buf).await.expect("was there"), 10);
    here.readable().await.expect("a failure is readiness");
    let error = here.read(&mut buf).await.expect_err("is over");
    assert_eq!(error.kind(), io::ErrorKind::NetworkDown);
}

#[test]
fn a_runtime_that_ends_ends_its_stacks() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let ((left, watch), (right, _)) = Tap::pair();
    let (server, client, streams) = runtime.block_on(async {
        let (server, client) = stacks_over(left, right);
        let streams = connected(&server, &client).await;
        (server, client, streams)
    });
    drop(runtime);
    assert!(watch.is_dropped());
    let error = streams.2.try_write(b"x").expect_err("is over");
    let source = error.get_ref().and_then(|e| e.downcast_ref());
    assert!(
        matches!(source, Some(StackClosed::DriverGone)),
        "{source:?}"
    );
    drop((server, client, streams));
}

#[test]
fn building_outside_a_runtime_is_an_error() {
    let (left, _right) = pair();
    let error = client_over(left).build().expect_err("no runtime");
    assert!(matches!(error, BuildError::NoRuntime), "{error}");
}

#[tokio::test]
async fn invalid_descriptions_are_not_built() {
    let device = |mtu| {
        let config = millstream::device::PairConfig {
            mtu,
            ..Default::default()
        };
        config.build().0
    };
    let error = |builder: millstream::StackBuilder| builder.build().expect_err("cannot be built");
    assert!(matches!(
        error(Stack::builder().address("10.0.0.1/24")),
        BuildError::NoDevice
    ));
    assert!(matches!(
        error(Stack::builder().device(device(1500))),
        BuildError::NoAddress
    ));
    assert!(matches!(
        error(client_over(device(1500)).address("10.0.0.300/24")),
        BuildError::Cidr(_)
    ));
    assert!(matches!(
        error(client_over(device(1500)).address("224.0.0.1/24")),
        BuildError::InvalidAddress(_)
    ));
    let endless = client_over(device(1500)).config(|config| config.msl = Duration::MAX);
    assert!(matches!(
        error(endless),
        BuildError::InvalidOption(InvalidOption::Lifetime)
    ));
    assert!(matches!(
        error(client_over(device(575))),
        BuildError::MtuTooSmall {
            mtu: 575,
            needed: 576
        }
    ));
    assert!(matches!(
        error(client_over(device(1279)).address("fd00::2/64")),
        BuildError::MtuTooSmall {
            mtu: 1279,
            needed: 1280
        }
    ));
}

/// The device fails without any call of the application: nothing is left, although handles exist.
#[tokio::test(start_paused = true)]
async fn nothing_is_left_when_the_device_has_failed() {
    let ((left, watch), (right, _)) = Tap::pair();
    let (server, client) = stacks_over(left, right);
    let (listener, mut there, here) = connected(&server, &client).await;
    let other = client.listen("10.0.0.2:9").await.expect("listens");
    // One connection in TIME-WAIT, one half-open, an orphan, and one that is read later.
    let closed = client.connect("10.0.0.1:7").await.expect("connects");
    drop(closed);
    drop(listener.accept().await.expect("accepts"));
    let orphan = client.connect("10.0.0.1:7").await.expect("connects");
    there.write_all(b"last words").await.expect("writes");
    here.readable().await.expect("readable");
    watch.cut(true);
    drop(orphan);
    let connecting = tokio::spawn({
        let client = client.clone();
        async move { client.connect("10.0.0.1:8").await.map(drop) }
    });
    settle().await;
    assert!(client.sockets().len() >= 4, "{:?}", client.sockets());

    server.shutdown().await;
    settle().await;
    assert_eq!(client.sockets().len(), 0, "{:?}", client.sockets());
    let error = connecting.await.expect("no panic").expect_err("is over");
    assert_eq!(error.kind(), io::ErrorKind::NetworkDown);
    let error = other.accept().await.map(drop).expect_err("is over");
    assert_eq!(error.kind(), io::ErrorKind::NetworkDown);

    let mut here = here;
    let mut buf = [0; 64];
    assert_eq!(here.read(&mut buf).await.expect("was there"), 10);
    for _ in 0..2 {
        let error = here.read(&mut buf).await.expect_err("is over");
        assert_eq!(
            error.kind(),
            io::ErrorKind::NetworkDown,
            "not the peer's end"
        );
        let error = here.try_read(&mut buf).expect_err("is over");
        assert_eq!(error.kind(), io::ErrorKind::NetworkDown);
        let error = here.peek(&mut buf).await.expect_err("is over");
        assert_eq!(error.kind(), io::ErrorKind::NetworkDown);
    }
}

/// Data and the FIN that the peer sent before still count.
#[tokio::test(start_paused = true)]
async fn the_peers_end_is_the_end_also_when_the_device_has_failed() {
    let (server, client) = stacks();
    let (_listener, mut there, mut here) = connected(&server, &client).await;
    there.write_all(b"all").await.expect("writes");
    there.shutdown().await.expect("shuts down");
    here.readable().await.expect("readable");
    settle().await;
    server.shutdown().await;
    settle().await;
    let mut all = Vec::new();
    here.read_to_end(&mut all).await.expect("reads");
    assert_eq!(all, b"all");
    let error = here.write(b"x").await.expect_err("is over");
    assert_eq!(error.kind(), io::ErrorKind::NetworkDown);
}

/// After `shutdown`, queries report the same error as operations.
#[tokio::test(start_paused = true)]
async fn getters_agree_that_the_stack_is_over() {
    let (server, client) = stacks();
    let (_listener, _there, here) = connected(&server, &client).await;
    client.shutdown().await;
    let errors = [
        here.nodelay().expect_err("is over"),
        here.set_nodelay(true).expect_err("is over"),
        here.linger().expect_err("is over"),
        here.ttl().expect_err("is over"),
        here.peer_addr().expect_err("is over"),
        here.info().map(drop).expect_err("is over"),
        here.options().map(drop).expect_err("is over"),
        here.take_error().expect_err("is over"),
    ];
    for error in errors {
        assert_eq!(error.kind(), io::ErrorKind::NetworkDown, "{error}");
    }
}
