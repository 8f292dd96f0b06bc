//! UDP sockets of stacks in memory: waiting, cancelling, batches, the end of the stack, and what is
//! not read.

mod support;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use millstream::device::{PairConfig, pair};
use millstream::{DropReason, Stack, StackClosed, UdpOptions, UdpSend, UdpSocket};
use support::{Tap, client_over, pattern, server_over, settle, stacks, stacks_over};
use tokio::time::{Instant, timeout};

const TO: &str = "10.0.0.1:7";

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// A socket on the server's port 7 and one of the client that is connected to it.
async fn sockets(server: &Stack, client: &Stack) -> (UdpSocket, UdpSocket) {
    let here = server.bind_udp(TO).await.expect("binds");
    let there = client.bind_udp("10.0.0.2:0").await.expect("binds");
    there.connect(TO).await.expect("connects");
    (here, there)
}

#[tokio::test(start_paused = true)]
async fn an_answer_takes_no_time_on_a_paused_clock() {
    let (server, client) = stacks();
    let (here, there) = sockets(&server, &client).await;
    let begin = Instant::now();
    tokio::spawn(async move {
        let mut buf = [0; 2000];
        loop {
            let (len, from) = here.recv_from(&mut buf).await.expect("receives");
            here.send_to(&buf[..len], from).await.expect("answers");
        }
    });
    let mut buf = vec![0; 70_000];
    for len in [0, 5, 1472, 1473, 2000] {
        let data = pattern(len);
        assert_eq!(there.send(&data).await.expect("sends"), len);
        let got = there.recv(&mut buf).await.expect("receives");
        assert_eq!(buf[..got], data);
    }
    assert_eq!(begin.elapsed(), Duration::ZERO);
    let nothing = timeout(Duration::from_secs(3600), there.recv(&mut buf)).await;
    assert!(nothing.is_err());
}

#[tokio::test]
async fn the_current_stack_binds() {
    let (server, _client) = stacks();
    let socket = server
        .scope(UdpSocket::bind("0.0.0.0:0"))
        .await
        .expect("binds");
    assert_ne!(socket.local_addr().expect("an address").port(), 0);
    assert!(UdpSocket::bind("0.0.0.0:0").await.is_err(), "there is none");
}

/// A receive that is given up loses nothing.
#[tokio::test(start_paused = true)]
async fn a_dropped_receive_leaves_the_datagram() {
    let (server, client) = stacks();
    let (here, there) = sockets(&server, &client).await;
    let mut buf = [0; 16];
    for _ in 0..10 {
        let given_up = timeout(Duration::from_millis(1), here.recv(&mut buf)).await;
        assert!(given_up.is_err());
    }
    {
        let mut waits = Box::pin(here.recv(&mut buf));
        assert!(futures::poll!(&mut waits).is_pending());
        there.send(b"x").await.expect("sends");
        settle().await;
        // Woken, and dropped before it is polled.
    }
    let got = here.recv(&mut buf).await.expect("receives");
    assert_eq!(buf[..got], *b"x");
}

#[tokio::test(start_paused = true)]
async fn any_number_of_tasks_receive_from_one_socket() {
    let (server, client) = stacks();
    let (here, there) = sockets(&server, &client).await;
    let here = Arc::new(here);
    let tasks = (0..20).map(|_| {
        let here = Arc::clone(&here);
        tokio::spawn(async move {
            let mut buf = [0; 16];
            here.recv(&mut buf).await.expect("receives");
            buf[0]
        })
    });
    let tasks: Vec<_> = tasks.collect();
    settle().await;
    for number in 0..20 {
        there.send(&[number]).await.expect("sends");
        if number % 3 == 0 {
            settle().await;
        }
    }
    let mut got: Vec<_> = join_all(tasks)
        .await
        .into_iter()
        .map(|task| task.expect("ends"))
        .collect();
    got.sort_unstable();
    assert_eq!(got, (0..20).collect::<Vec<_>>());
}

/// A full device makes the sender wait, and wakes it.
#[tokio::test(start_paused = true)]
async fn a_sender_waits_for_a_full_device() {
    let link = PairConfig {
        capacity: 4,
        ..PairConfig::default()
    };
    let (left, right) = link.build();
    let server = server_over(left).build().expect("a stack");
    let client = client_over(right).build().expect("a stack");
    let options = UdpOptions::default().send_buffer(4000);
    let here = server.bind_udp(TO).await.expect("binds");
    let there = client
        .bind_udp_with(addr("10.0.0.2:9"), options)
        .expect("binds");
    let sender = tokio::spawn(async move {
        for number in 0..500u32 {
            there
                .send_to(&number.to_be_bytes(), TO)
                .await
                .expect("sends");
        }
    });
    let mut buf = [0; 16];
    for number in 0..500u32 {
        assert_eq!(here.recv(&mut buf).await.expect("receives"), 4);
        assert_eq!(buf[..4], number.to_be_bytes(), "in order, and none is lost");
    }
    sender.await.expect("ends");
}

#[tokio::test(start_paused = true)]
async fn a_full_buffer_would_block() {
    let link = PairConfig {
        capacity: 1,
        ..PairConfig::default()
    };
    let (left, _right) = link.build();
    let client = client_over(left).build().expect("a stack");
    let options = UdpOptions::default().send_buffer(4000);
    let there = client
        .bind_udp_with(addr("10.0.0.2:9"), options)
        .expect("binds");
    let full = (0..100).find_map(|_| there.try_send_to(&[0; 1000], addr(TO)).err());
    assert_eq!(full.expect("it fills").kind(), io::ErrorKind::WouldBlock);
    let waits = timeout(Duration::from_secs(1), there.send_to(b"x", TO)).await;
    assert!(waits.is_err());
    assert!(
        timeout(Duration::from_secs(1), there.writable())
            .await
            .is_err()
    );
    client.shutdown().await;
    there
        .writable()
        .await
        .expect("the end is something to report");
    let error = there.send_to(b"x", TO).await.expect_err("it has ended");
    assert_eq!(error.kind(), io::ErrorKind::NetworkDown);
}

#[tokio::test(start_paused = true)]
async fn what_arrived_before_the_end_can_be_read() {
    let ((left, watch), (right, _)) = Tap::pair();
    let (server, client) = stacks_over(left, right);
    let (here, there) = sockets(&server, &client).await;
    there.send(b"last").await.expect("sends");
    settle().await;
    let waits = tokio::spawn(async move {
        let mut buf = [0; 16];
        let first = here.recv(&mut buf).await.map(|len| buf[..len].to_vec());
        (first, here.recv(&mut buf).await)
    });
    client.shutdown().await;
    drop((there, client));
    let (first, second) = waits.await.expect("ends");
    assert_eq!(first.expect("it had arrived"), b"last");
    let error = second.expect_err("the device has ended");
    let reason = error.get_ref().and_then(|reason| reason.downcast_ref());
    assert!(matches!(reason, Some(StackClosed::Device(_))), "{error:?}");
    drop(server);
    settle().await;
    assert!(watch.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn a_socket_keeps_its_stack_alive_and_no_longer() {
    let ((left, watch), (right, _)) = Tap::pair();
    let (server, client) = stacks_over(left, right);
    let (here, there) = sockets(&server, &client).await;
    drop(server);
    settle().await;
    there.send(b"x").await.expect("sends");
    assert_eq!(here.recv(&mut [0; 4]).await.expect("receives"), 1);
    assert!(!watch.is_dropped());
    drop(here);
    settle().await;
    assert!(watch.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn segments_and_coalesced_datagrams() {
    let (server, client) = stacks();
    let (here, there) = sockets(&server, &client).await;
    let data = pattern(60_000);
    let sent = there
        .send_segmented(&data, 1200, None)
        .await
        .expect("sends");
    assert_eq!(sent, data.len());
    settle().await;
    let mut buf = vec![0; 20_000];
    let (mut got, mut calls) = (Vec::new(), 0);
    while got.len() < data.len() {
        let part = here.recv_coalesced(&mut buf).await.expect("receives");
        assert_eq!(
            (part.segment_size, part.from),
            (1200, there.local_addr().expect("one"))
        );
        calls += 1;
        got.extend_from_slice(&buf[..part.len]);
    }
    assert_eq!((got == data, calls), (true, 4), "16 at once");
    // Datagrams that differ are not put together.
    for payload in [&b"abc"[..], b"de", b"fgh", b"", b"ijkl", b"mnopq"] {
        there.send(payload).await.expect("sends");
    }
    there
        .send_datagram(&UdpSend::new("rstuv".into()).tos(Some(1)))
        .await
        .expect("sends");
    settle().await;
    let mut parts = Vec::new();
    while let Ok(part) = here.try_recv_coalesced(&mut buf) {
        parts.push((part.len, part.segment_size, part.tos));
    }
    assert_eq!(
        parts,
        [
            (5, 3, 0),
            (3, 3, 0),
            (0, 0, 0),
            (4, 4, 0),
            (5, 5, 0),
            (5, 5, 1)
        ]
    );
    let error = there
        .send_segmented(&data, 1473, None)
        .await
        .expect_err("too large");
    let too_large = rustix::io::Errno::MSGSIZE.raw_os_error();
    assert_eq!(error.raw_os_error(), Some(too_large));
}

#[tokio::test(start_paused = true)]
async fn a_datagram_without_copies_says_where_it_was_sent() {
    let (left, right) = pair();
    let server = server_over(left)
        .address("10.0.0.77/24")
        .build()
        .expect("a stack");
    let client = client_over(right).build().expect("a stack");
    let here = server.bind_udp("0.0.0.0:7").await.expect("binds");
    let there = client.bind_udp("0.0.0.0:9").await.expect("binds");
    let ask = UdpSend::new(Bytes::from_static(b"who?")).to(Some(addr("10.0.0.77:7")));
    there.send_datagram(&ask).await.expect("sends");
    let got = here.recv_datagram().await.expect("receives");
    assert_eq!(
        (&got.payload[..], got.to.to_string()),
        (&b"who?"[..], "10.0.0.77".to_owned())
    );
    let answer = UdpSend::new(got.payload)
        .to(Some(got.from))
        .from(Some(got.to));
    here.send_datagram(&answer).await.expect("sends");
    assert_eq!(
        there.recv_datagram().await.expect("receives").from,
        addr("10.0.0.77:7")
    );
}

/// Nobody reads: what is kept is bounded, the rest is counted.
#[tokio::test(start_paused = true)]
async fn a_flood_that_nobody_reads_is_dropped() {
    let (server, client) = stacks();
    let (here, there) = sockets(&server, &client).await;
    for _ in 0..5000 {
        there.send(&[7; 1000]).await.expect("sends");
    }
    settle().await;
    let mut buf = [0; 2000];
    let mut kept = 0;
    while here.try_recv(&mut buf).is_ok() {
        kept += 1;
    }
    let dropped = server.counters().dropped(DropReason::UdpQueueFull);
    assert_eq!(kept + dropped, 5000);
    assert!((100..=212).contains(&kept), "{kept}");
}

#[tokio::test(start_paused = true)]
async fn members_of_a_group_receive() {
    let (server, client) = stacks();
    let group = "239.1.2.3".parse().expect("a group");
    let here = server.bind_udp("0.0.0.0:5353").await.expect("binds");
    let there = client.bind_udp("0.0.0.0:0").await.expect("binds");
    here.join_multicast_v4(group, "10.0.0.1".parse().expect("an address"))
        .expect("joins");
    there
        .send_to(b"hello", "239.1.2.3:5353")
        .await
        .expect("sends");
    let mut buf = [0; 16];
    assert_eq!(here.recv(&mut buf).await.expect("receives"), 5);
    here.leave_multicast_v4(group, [0; 4].into())
        .expect("leaves");
    there
        .send_to(b"hello", "239.1.2.3:5353")
        .await
        .expect("sends");
    settle().await;
    assert!(here.try_recv(&mut buf).is_err());
}

/// Each socket is in one of the shards, wherever its datagrams arrive.
#[tokio::test(start_paused = true)]
async fn sockets_of_several_shards() {
    let (queues, links): (Vec<_>, Vec<_>) = (0..3).map(|_| pair()).unzip();
    let server = Stack::builder()
        .devices(queues)
        .address("10.0.0.1/24")
        .build()
        .expect("a stack");
    // Each client is behind one of the queues, so that most datagrams arrive at another shard.
    let clients: Vec<_> = links
        .into_iter()
        .map(|link| {
            Stack::builder()
                .device(link)
                .address("10.0.0.2/24")
                .build()
                .expect("a stack")
        })
        .collect();
    let mut got = 0;
    for port in 1..=12 {
        let here = server.bind_udp(("10.0.0.1", port)).await.expect("binds");
        for client in &clients {
            let there = client.bind_udp("10.0.0.2:0").await.expect("binds");
            there
                .send_to(b"x", ("10.0.0.1", port))
                .await
                .expect("sends");
            let mut buf = [0; 4];
            assert_eq!(here.recv(&mut buf).await.expect("receives"), 1);
            got += 1;
        }
    }
    assert_eq!(got, 36);
    let ports: Vec<_> = join_all((0..30).map(|_| server.bind_udp("0.0.0.0:0")))
        .await
        .into_iter()
        .map(|socket| socket.expect("binds").local_addr().expect("one").port())
        .collect();
    assert!(ports.iter().all(|port| *port >= 32_768));
}
