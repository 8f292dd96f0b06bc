//! Closing: the effect of dropping a stream, and the 2MSL wait after it.

mod support;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use millstream::{DropReason, Stack, State};
use support::{connected, pattern, settle, stacks};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("parses")
}

fn states(stack: &Stack) -> Vec<State> {
    stack.sockets().iter().map(|socket| socket.state).collect()
}

#[tokio::test(start_paused = true)]
async fn dropping_delivers_what_was_written() {
    let (server, client) = stacks();
    let (_listener, mut there, mut here) = connected(&server, &client).await;
    let data = pattern(900_000);
    here.write_all(&data).await.expect("is buffered");
    drop(here);
    drop(client);
    let mut all = Vec::new();
    there.read_to_end(&mut all).await.expect("reads");
    assert!(all == data, "the bytes differ");
}

#[tokio::test(start_paused = true)]
async fn dropping_with_unread_data_resets() {
    let (server, client) = stacks();
    let (_listener, mut there, here) = connected(&server, &client).await;
    there.write_all(b"never read").await.expect("writes");
    here.readable().await.expect("readable");
    drop(here);
    let error = there.read(&mut [0; 8]).await.expect_err("was reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn zero_linger_discards_what_is_not_sent() {
    let (server, client) = stacks();
    let (_listener, mut there, mut here) = connected(&server, &client).await;
    here.write_all(&[0; 1 << 20]).await.expect("is buffered");
    here.set_zero_linger().expect("sets");
    drop(here);
    let mut all = Vec::new();
    let error = there.read_to_end(&mut all).await.expect_err("was reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(states(&client), [], "a reset leaves no TIME-WAIT");
}

#[tokio::test(start_paused = true)]
async fn both_sides_of_an_orderly_close() {
    let (server, client) = stacks();
    let (listener, there, here) = connected(&server, &client).await;
    drop(here);
    assert_eq!(there.read_bytes(1).await.expect("the end").len(), 0);
    assert_eq!(there.state(), State::CloseWait);
    assert_eq!(states(&client), [State::FinWait2]);
    drop(there);
    settle().await;
    assert_eq!(states(&client), [State::TimeWait]);
    assert_eq!(states(&server), [State::Listen]);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(states(&client), []);
    drop(listener);
    assert_eq!(states(&server), []);
}

/// The classic case: the host that closed first cannot reuse the four-tuple before 2MSL have
/// passed.
#[tokio::test(start_paused = true)]
async fn time_wait_holds_the_port_and_the_four_tuple() {
    let (pc1, pc2) = stacks();
    let listener = pc1.listen("10.0.0.1:6666").await.expect("listens");
    let socket = pc2.socket_v4();
    socket.bind(addr("10.0.0.2:1098")).expect("binds");
    let (connected, accepted) =
        tokio::join!(socket.connect(addr("10.0.0.1:6666")), listener.accept());
    let (there, (here, _)) = (connected.expect("connects"), accepted.expect("accepts"));

    // PC1 stops its server first.
    drop(here);
    drop(listener);
    assert_eq!(there.read_bytes(1).await.expect("the end").len(), 0);
    drop(there);
    settle().await;
    assert_eq!(states(&pc1), [State::TimeWait]);

    let _target = pc2.listen("10.0.0.2:1098").await.expect("listens");
    let _other = pc2.listen("10.0.0.2:2000").await.expect("listens");

    let socket = pc1.socket_v4();
    let error = socket
        .bind(addr("10.0.0.1:6666"))
        .expect_err("in TIME-WAIT");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);

    let reusing = || {
        let socket = pc1.socket_v4();
        socket.set_reuseaddr(true).expect("sets");
        socket
            .bind(addr("10.0.0.1:6666"))
            .expect("reuses the address");
        socket
    };
    let error = reusing().connect(addr("10.0.0.2:1098")).await;
    assert_eq!(
        error.expect_err("the very tuple").kind(),
        io::ErrorKind::AddrNotAvailable
    );
    reusing()
        .connect(addr("10.0.0.2:2000"))
        .await
        .expect("another tuple is free");

    sleep(Duration::from_secs(60)).await;
    reusing()
        .connect(addr("10.0.0.2:1098"))
        .await
        .expect("2MSL have passed");
}

#[tokio::test(start_paused = true)]
async fn a_client_with_ephemeral_ports_never_notices_time_wait() {
    let (server, client) = stacks();
    let listener = server.listen("10.0.0.1:7").await.expect("listens");
    let mut ports = std::collections::HashSet::new();
    for _ in 0..100 {
        let (here, there) = tokio::join!(client.connect("10.0.0.1:7"), listener.accept());
        let here = here.expect("connects");
        assert!(ports.insert(here.local_addr().expect("has one").port()));
        drop(here);
        let (there, _) = there.expect("accepts");
        assert_eq!(there.read_bytes(1).await.expect("the end").len(), 0);
    }
    settle().await;
    assert_eq!(states(&client), vec![State::TimeWait; 100]);
}

#[tokio::test(start_paused = true)]
async fn a_binding_that_is_dropped_is_free() {
    let (server, _client) = stacks();
    for _ in 0..2 {
        let socket = server.socket_v4();
        socket.bind(addr("10.0.0.1:80")).expect("binds");
        assert_eq!(socket.local_addr().expect("tells"), addr("10.0.0.1:80"));
    }
}

#[tokio::test(start_paused = true)]
async fn closing_a_listener_resets_what_was_not_accepted() {
    let (server, client) = stacks();
    let listener = server.listen("10.0.0.1:7").await.expect("listens");
    let mut here = client.connect("10.0.0.1:7").await.expect("connects");
    drop(listener);
    let error = here.read(&mut [0; 1]).await.expect_err("was reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(states(&server), []);
    assert_eq!(server.counters().dropped(DropReason::MalformedTcp), 0);
}
