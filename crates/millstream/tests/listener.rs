//! Accepting connections.

mod support;

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use support::stacks;
use tokio::time::timeout;

#[tokio::test(start_paused = true)]
async fn incoming_is_a_stream() {
    let (server, client) = stacks();
    let listener = server.listen("10.0.0.1:7").await.expect("listens");
    let mut here = Vec::new();
    for _ in 0..5 {
        here.push(client.connect("10.0.0.1:7").await.expect("connects"));
    }
    let there: Vec<_> = listener.incoming().take(3).collect().await;
    assert!(there.iter().all(Result::is_ok));
    let mut incoming = listener.into_stream();
    for _ in 0..2 {
        incoming.next().await.expect("goes on").expect("accepts");
    }
    assert!(
        incoming.next().now_or_never().is_none(),
        "nobody else connects"
    );
    server.shutdown().await;
    let error = incoming
        .next()
        .await
        .expect("an error")
        .expect_err("is over");
    assert_eq!(error.kind(), io::ErrorKind::NetworkDown);
    assert!(incoming.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn many_tasks_accept() {
    let (server, client) = stacks();
    let listener = Arc::new(server.listen("10.0.0.1:7").await.expect("listens"));
    let acceptors: Vec<_> = (0..20)
        .map(|_| {
            let listener = listener.clone();
            tokio::spawn(async move { listener.accept().await.expect("accepts") })
        })
        .collect();
    tokio::task::yield_now().await;
    let mut here = Vec::new();
    for _ in 0..20 {
        here.push(client.connect("10.0.0.1:7").await.expect("connects"));
    }
    let mut peers = HashSet::new();
    for acceptor in acceptors {
        peers.insert(acceptor.await.expect("no panic").1);
    }
    assert_eq!(peers.len(), 20, "each connection was accepted once");
}

#[tokio::test(start_paused = true)]
async fn an_accept_that_is_given_up_loses_no_connection() {
    let (server, client) = stacks();
    let listener = server.listen("10.0.0.1:7").await.expect("listens");
    for _ in 0..10 {
        let accept = timeout(Duration::from_millis(1), listener.accept()).await;
        assert!(accept.is_err(), "nobody connects");
    }
    let first = listener.accept();
    let mut first = Box::pin(first);
    assert!(first.as_mut().now_or_never().is_none());
    let here = client.connect("10.0.0.1:7").await.expect("connects");
    // Woken, and dropped before it ran again.
    drop(first);
    let (_, peer) = listener.accept().await.expect("accepts");
    assert_eq!(peer, here.local_addr().expect("has one"));
}

#[tokio::test(start_paused = true)]
async fn an_ephemeral_port_on_all_addresses() {
    let (server, client) = stacks();
    let socket = server.socket_v4();
    let listener = socket.listen(16).expect("listens");
    let addr = listener.local_addr().expect("tells");
    assert!(addr.ip().is_unspecified());
    assert_ne!(addr.port(), 0);
    let (here, there) = tokio::join!(client.connect(("10.0.0.1", addr.port())), listener.accept());
    let there = there.expect("accepts").0.local_addr().expect("tells");
    assert_eq!(there, here.expect("connects").peer_addr().expect("tells"));
}

#[tokio::test(start_paused = true)]
async fn a_full_backlog_lets_clients_wait() {
    let (server, client) = stacks();
    let socket = server.socket_v4();
    socket
        .bind("10.0.0.1:7".parse().expect("parses"))
        .expect("binds");
    let listener = socket.listen(1).expect("listens");
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.connect("10.0.0.1:7").await })
        })
        .collect();
    let mut accepted = Vec::new();
    for _ in 0..4 {
        accepted.push(listener.accept().await.expect("accepts"));
    }
    for client in clients {
        client
            .await
            .expect("no panic")
            .expect("connects in the end");
    }
}

#[tokio::test(start_paused = true)]
async fn options_of_the_socket_are_the_connections_own() {
    let (server, client) = stacks();
    let socket = server.socket_v4();
    socket.set_nodelay(true).expect("sets");
    socket.set_recv_buffer_size(20_000).expect("sets");
    socket
        .bind("10.0.0.1:7".parse().expect("parses"))
        .expect("binds");
    let listener = socket.listen(16).expect("listens");
    listener.set_ttl(33).expect("sets");
    assert_eq!(listener.ttl().expect("tells"), 33);
    let (here, there) = tokio::join!(client.connect("10.0.0.1:7"), listener.accept());
    let (there, _) = there.expect("accepts");
    here.expect("connects");
    assert!(there.nodelay().expect("tells"));
    assert_eq!(there.ttl().expect("tells"), 33);
    assert_eq!(there.options().expect("tells").receive_buffer, 20_000);
}
