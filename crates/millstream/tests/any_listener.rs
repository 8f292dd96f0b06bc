//! Accepting connections to every address.

mod support;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use millstream::Stack;
use millstream::device::pair;
use support::{client_over, pattern, settle, stacks};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

fn kind<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
    result.err().map(|error| error.kind())
}

#[tokio::test(start_paused = true)]
async fn every_address_is_served_with_the_destination_told() {
    let (server, client) = stacks();
    let listener = server.listen_any().expect("listens");
    let destinations: Vec<SocketAddr> = ["198.51.100.7:443", "203.0.113.9:1", "10.0.0.1:65535"]
        .iter()
        .map(|text| text.parse().expect("parses"))
        .collect();
    let serve = async {
        let mut served = Vec::new();
        for _ in &destinations {
            let attempt = listener.accept().await.expect("somebody wants");
            assert_eq!(attempt.peer_addr().ip().to_string(), support::CLIENT);
            let destination = attempt.local_addr();
            let mut stream = attempt.accept().await.expect("connects");
            assert_eq!(stream.local_addr().expect("has one"), destination);
            let text = destination.to_string();
            stream.write_all(text.as_bytes()).await.expect("writes");
            served.push(destination);
        }
        served
    };
    let ask = join_all(destinations.iter().map(|&destination| {
        let client = &client;
        async move {
            let mut stream = client.connect(destination).await.expect("connects");
            let mut text = String::new();
            stream.read_to_string(&mut text).await.expect("reads");
            assert_eq!(text, destination.to_string());
        }
    }));
    let (mut served, _) = tokio::join!(serve, ask);
    served.sort();
    let mut all = destinations.clone();
    all.sort();
    assert_eq!(served, all);
}

#[tokio::test(start_paused = true)]
async fn the_client_waits_for_the_decision() {
    let (server, client) = stacks();
    let listener = server.listen_any().expect("listens");
    let mut connect = Box::pin(client.connect("198.51.100.7:443"));
    let attempt = tokio::select! {
        attempt = listener.accept() => attempt.expect("somebody wants"),
        _ = &mut connect => panic!("nobody has answered"),
    };
    // Meanwhile the client retransmits its SYN.
    assert!(
        timeout(Duration::from_secs(20), &mut connect)
            .await
            .is_err()
    );
    assert!(
        listener.accept().now_or_never().is_none(),
        "it is the same attempt"
    );
    let (accepted, connected) = tokio::join!(attempt.accept(), connect);
    let (mut here, mut there) = (accepted.expect("accepts"), connected.expect("connects"));
    let data = pattern(100_000);
    let mut received = vec![0; data.len()];
    let (written, read) = tokio::join!(there.write_all(&data), here.read_exact(&mut received));
    written.expect("writes");
    read.expect("reads");
    assert!(received == data, "the bytes differ");
}

#[tokio::test(start_paused = true)]
async fn rejected_and_dropped_attempts_are_refused_to_the_client() {
    let (server, client) = stacks();
    let listener = server.listen_any().expect("listens");
    for reject in [true, false] {
        let answer = async {
            let attempt = listener.accept().await.expect("somebody wants");
            if reject {
                attempt.reject();
            } else {
                drop(attempt);
            }
        };
        let (connected, ()) = tokio::join!(client.connect("198.51.100.7:443"), answer);
        assert_eq!(kind(connected), Some(io::ErrorKind::ConnectionRefused));
    }
}

#[tokio::test(start_paused = true)]
async fn an_ignored_client_times_out() {
    let (server, client) = stacks();
    let listener = server.listen_any().expect("listens");
    let ignore = async {
        loop {
            listener.accept().await.expect("somebody wants").ignore();
        }
    };
    tokio::select! {
        connected = client.connect("198.51.100.7:443") => {
            assert_eq!(kind(connected), Some(io::ErrorKind::TimedOut));
        }
        () = ignore => {}
    }
    assert_eq!(server.counters().packets_sent, 0);
}

#[tokio::test(start_paused = true)]
async fn accepting_a_client_that_has_given_up_is_a_reset() {
    let (server, client) = stacks();
    let listener = server.listen_any().expect("listens");
    let connect = timeout(Duration::from_secs(1), client.connect("198.51.100.7:443"));
    let (attempt, connected) = tokio::join!(listener.accept(), connect);
    assert!(connected.is_err(), "nobody has answered");
    // The client's stack answers the SYN-ACK with a reset.
    let accepted = attempt.expect("somebody wanted").accept().await;
    assert_eq!(kind(accepted), Some(io::ErrorKind::ConnectionReset));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_undecided_attempt_can_be_waited_for() {
    let (server, client) = stacks();
    let listener = server.listen_any().expect("listens");
    let connect = timeout(Duration::from_secs(10), client.connect("198.51.100.7:443"));
    let (attempt, connected) = tokio::join!(listener.accept(), connect);
    assert!(connected.is_err(), "nobody has answered");
    let mut attempt = attempt.expect("somebody wanted");
    let waits = timeout(Duration::from_secs(30), attempt.closed());
    assert!(waits.await.is_err(), "the client may still be there");
    let begun = tokio::time::Instant::now();
    attempt.closed().await;
    assert!(begun.elapsed() < Duration::from_secs(75));
    attempt.closed().now_or_never().expect("is told again");
    let accepted = attempt.accept().await;
    assert_eq!(kind(accepted), Some(io::ErrorKind::ConnectionReset));
    assert_eq!(server.counters().packets_sent, 0);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_listener_and_of_the_stack_close_attempts() {
    let (server, client) = stacks();
    for end_of_stack in [false, true] {
        let listener = server.listen_any().expect("listens");
        let connect = client.connect("198.51.100.7:443");
        let (connected, ()) = tokio::join!(connect, async {
            let mut attempt = listener.accept().await.expect("somebody wants");
            let close = async {
                settle().await;
                if end_of_stack {
                    server.shutdown().await;
                } else {
                    drop(listener);
                }
            };
            tokio::join!(attempt.closed(), close);
            let expected = if end_of_stack {
                io::ErrorKind::NetworkDown
            } else {
                io::ErrorKind::ConnectionAborted
            };
            assert_eq!(kind(attempt.accept().await), Some(expected));
        });
        // The refusal came before the end of the link.
        assert_eq!(kind(connected), Some(io::ErrorKind::ConnectionRefused));
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_restored_from_a_cookie_is_answered() {
    let (server, client) = stacks();
    let listener = server.socket_v4().listen_any(1).expect("listens");
    let connect = client.connect("198.51.100.7:443");
    let serve = async {
        let first = listener.accept().await.expect("somebody wants");
        assert!(!first.is_answered());
        let mut accept = Box::pin(first.accept());
        assert!(futures::poll!(accept.as_mut()).is_pending());
        // The new attempt takes the room before the answer to the SYN-ACK arrives.
        let other = client.connect("198.51.100.7:444");
        assert!(other.now_or_never().is_none());
        assert_eq!(kind(accept.await), Some(io::ErrorKind::ConnectionReset));
        let mut back = listener.accept().await.expect("it comes back");
        assert!(back.is_answered());
        assert!(back.closed().now_or_never().is_none());
        let mut here = back.accept().await.expect("is connected");
        here.write_all(b"welcome").await.expect("writes");
    };
    let (there, ()) = tokio::join!(connect, serve);
    let mut text = String::new();
    let mut there = there.expect("connects");
    there.read_to_string(&mut text).await.expect("reads");
    assert_eq!(text, "welcome");
}

#[tokio::test(start_paused = true)]
async fn giving_up_to_accept_resets_the_connection() {
    let (server, client) = stacks();
    let listener = server.listen_any().expect("listens");
    let (attempt, ()) = tokio::join!(listener.accept(), async {
        let connect = client.connect("198.51.100.7:443");
        assert!(connect.now_or_never().is_none());
        settle().await;
    });
    drop(attempt.expect("somebody wanted").accept());
    let mut connect = Box::pin(client.connect("198.51.100.7:444"));
    let attempt = tokio::select! {
        attempt = listener.accept() => attempt.expect("somebody wants"),
        _ = &mut connect => panic!("nobody has answered"),
    };
    {
        let mut accept = Box::pin(attempt.accept());
        assert!(accept.as_mut().now_or_never().is_none());
    }
    // The SYN-ACK has been sent, followed by a reset.
    let ended = async { connect.await?.read(&mut [0]).await };
    assert_eq!(kind(ended.await), Some(io::ErrorKind::ConnectionReset));
    assert_eq!(server.sockets().len(), 1, "the listener");
}

#[tokio::test(start_paused = true)]
async fn there_is_one_and_its_end_is_told() {
    let (server, client) = stacks();
    let listener = server.listen_any().expect("listens");
    assert_eq!(kind(server.listen_any()), Some(io::ErrorKind::AddrInUse));
    let bound = server.socket_v4();
    bound
        .bind("10.0.0.1:7".parse().expect("parses"))
        .expect("binds");
    assert_eq!(kind(bound.listen_any(1)), Some(io::ErrorKind::InvalidInput));

    let connect = client.connect("198.51.100.7:443");
    let (connected, ()) = tokio::join!(connect, async {
        let attempt = listener.accept().await.expect("somebody wants");
        let mut accept = Box::pin(attempt.accept());
        drop(listener);
        // The SYN-ACK has not been answered, and never will be.
        assert_eq!(
            kind(accept.as_mut().await),
            Some(io::ErrorKind::ConnectionAborted)
        );
    });
    assert_eq!(kind(connected), Some(io::ErrorKind::ConnectionRefused));

    let listener = server.listen_any().expect("free again");
    let (accepted, ()) = tokio::join!(listener.accept(), server.shutdown());
    assert_eq!(kind(accepted), Some(io::ErrorKind::NetworkDown));
}

#[tokio::test(start_paused = true)]
async fn attempts_come_to_any_shard_and_tasks_take_turns() {
    let (one, other) = (pair(), pair());
    let server = Stack::builder().devices([one.0, other.0]);
    let server = server.address("10.0.0.1/24").build().expect("builds");
    // Each of two clients is behind a link of its own; the addresses determine the owner of a
    // connection.
    let clients = [client_over(one.1), client_over(other.1)];
    let clients = clients.map(|client| client.build().expect("builds"));
    let listener = server.listen_any().expect("listens");
    let accept = join_all((0..20).map(|_| async {
        let attempt = listener.accept().await.expect("somebody wants");
        attempt.local_addr().port()
    }));
    let connect = join_all((1..=20).map(|port| {
        let client = &clients[port % 2];
        timeout(
            Duration::from_millis(500),
            client.connect(format!("198.51.100.7:{port}")).map(drop),
        )
    }));
    let (mut ports, _) = tokio::join!(accept, connect);
    ports.sort_unstable();
    assert_eq!(ports, (1..=20).collect::<Vec<u16>>());
}
