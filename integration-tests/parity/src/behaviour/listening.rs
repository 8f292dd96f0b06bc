//! Listening and accepting.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::task::Poll;

use futures::{StreamExt, poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::net::{TcpListener, TcpStream};
use super::{World, address_of, counting, stream_of};
use crate::case::Seen;
use crate::{cases, seen};

cases!["listening":
    port_zero_means_a_free_port,
    two_listeners_have_two_ports,
    the_address_is_the_bound_one,
    an_address_of_another_host,
    a_multicast_address,
    the_broadcast_address,
    an_address_that_is_taken,
    an_address_taken_by_a_listener_on_any,
    a_v6_listener_takes_the_v4_port_too,
    an_address_that_is_free_again,
    an_address_with_a_connection_left,
    an_address_with_a_connection_in_time_wait,
    a_list_of_which_the_first_is_taken,
    a_list_of_addresses_that_are_all_taken,
    no_address_at_all,
    accept_waits_for_a_connection,
    connections_are_accepted_in_order,
    an_accept_that_is_dropped_loses_nothing,
    an_accepted_connection_of_a_peer_that_has_closed,
    an_accepted_connection_that_was_reset,
    dropping_the_listener_resets_who_waits,
    dropping_the_listener_keeps_what_was_accepted,
    two_tasks_that_accept_get_one_each,
    poll_accept_gives_a_connection,
    poll_accept_wakes_the_last_task,
    a_full_backlog_holds_one_more_than_it_says,
    a_place_in_the_backlog_becomes_free,
    a_v6_listener_accepts_v4,
    a_listener_on_any_sees_the_address_that_was_meant,
    the_time_to_live,
    the_time_to_live_is_inherited,
    a_time_to_live_out_of_range,
    as_a_stream,
    as_a_stream_that_is_polled_before_a_connection_comes,
];

async fn port_zero_means_a_free_port(at: &World) -> Seen {
    seen![address_of(&at.listener().await).port() != 0]
}

async fn two_listeners_have_two_ports(at: &World) -> Seen {
    let (one, other) = (at.listener().await, at.listener().await);
    seen![address_of(&one).port() == address_of(&other).port()]
}

async fn the_address_is_the_bound_one(at: &World) -> Seen {
    let address = at.unused_address().await;
    let listener = bind(at, address).await.expect("binds");
    seen![address_of(&listener) == address]
}

async fn an_address_of_another_host(at: &World) -> Seen {
    seen![
        bind(at, (Ipv4Addr::new(192, 0, 2, 1), 0).into())
            .await
            .map(drop)
    ]
}

async fn a_multicast_address(at: &World) -> Seen {
    seen![
        bind(at, (Ipv4Addr::new(224, 0, 0, 1), 0).into())
            .await
            .map(drop)
    ]
}

async fn the_broadcast_address(at: &World) -> Seen {
    seen![bind(at, (Ipv4Addr::BROADCAST, 0).into()).await.map(drop)]
}

async fn an_address_that_is_taken(at: &World) -> Seen {
    let listener = at.listener().await;
    seen![bind(at, address_of(&listener)).await.map(drop)]
}

async fn an_address_taken_by_a_listener_on_any(at: &World) -> Seen {
    let any = bind(at, (Ipv4Addr::UNSPECIFIED, 0).into())
        .await
        .expect("binds");
    let address = SocketAddr::new(at.server, address_of(&any).port());
    seen![bind(at, address).await.map(drop)]
}

async fn a_v6_listener_takes_the_v4_port_too(at: &World) -> Seen {
    let any = at
        .on_server(TcpListener::bind("[::]:0"))
        .await
        .expect("binds");
    let address = SocketAddr::new(at.server, address_of(&any).port());
    seen![bind(at, address).await.map(drop)]
}

async fn an_address_that_is_free_again(at: &World) -> Seen {
    let address = at.unused_address().await;
    seen![
        bind(at, address).await.map(drop),
        bind(at, address).await.map(drop)
    ]
}

async fn an_address_with_a_connection_left(at: &World) -> Seen {
    let (listener, _here, _there) = at.ends().await;
    let address = address_of(&listener);
    drop(listener);
    seen![bind(at, address).await.map(drop)]
}

async fn an_address_with_a_connection_in_time_wait(at: &World) -> Seen {
    let (listener, mut here, there) = at.ends().await;
    let address = address_of(&listener);
    drop((listener, there));
    here.read_to_end(&mut Vec::new()).await.expect("reads");
    drop(here);
    at.settle().await;
    seen![bind(at, address).await.map(drop)]
}

async fn a_list_of_which_the_first_is_taken(at: &World) -> Seen {
    let listener = at.listener().await;
    let free = at.unused_address().await;
    let list = [address_of(&listener), free];
    let second = at
        .on_server(TcpListener::bind(&list[..]))
        .await
        .expect("binds");
    seen![address_of(&second) == free]
}

async fn a_list_of_addresses_that_are_all_taken(at: &World) -> Seen {
    let listener = at.listener().await;
    let list = [
        address_of(&listener),
        (Ipv4Addr::new(192, 0, 2, 1), 0).into(),
    ];
    seen![at.on_server(TcpListener::bind(&list[..])).await.map(drop)]
}

async fn no_address_at_all(at: &World) -> Seen {
    seen![at.on_server(TcpListener::bind(&[][..])).await.map(drop)]
}

async fn accept_waits_for_a_connection(at: &World) -> Seen {
    let listener = at.listener().await;
    let before = at
        .now(listener.accept())
        .await
        .map(|accepted| accepted.map(drop));
    let _here = at.connect(address_of(&listener)).await.expect("connects");
    seen![
        before,
        at.now(listener.accept())
            .await
            .map(|accepted| accepted.map(drop))
    ]
}

async fn connections_are_accepted_in_order(at: &World) -> Seen {
    let listener = at.listener().await;
    let mut peers = Vec::new();
    for _ in 0..5 {
        let stream = at.connect(address_of(&listener)).await.expect("connects");
        at.settle().await;
        peers.push((stream.local_addr().expect("has one"), stream));
    }
    let mut in_order = 0;
    for (peer, _) in &peers {
        let (_, from) = listener.accept().await.expect("accepts");
        in_order += usize::from(from == *peer);
    }
    seen![in_order]
}

async fn an_accept_that_is_dropped_loses_nothing(at: &World) -> Seen {
    let listener = at.listener().await;
    let mut first = Box::pin(listener.accept());
    let waits = poll!(&mut first).is_pending();
    let _here = at.connect(address_of(&listener)).await.expect("connects");
    at.settle().await;
    drop(first);
    seen![waits, listener.accept().await.map(drop)]
}

async fn an_accepted_connection_of_a_peer_that_has_closed(at: &World) -> Seen {
    let listener = at.listener().await;
    let here = at.connect(address_of(&listener)).await.expect("connects");
    let peer = here.local_addr().expect("has one");
    drop(here);
    at.settle().await;
    let (mut there, from) = listener.accept().await.expect("accepts");
    seen![
        from == peer,
        there.peer_addr().map(|address| address == peer),
        there.read(&mut [0; 1]).await,
    ]
}

async fn an_accepted_connection_that_was_reset(at: &World) -> Seen {
    let listener = at.listener().await;
    let here = at.connect(address_of(&listener)).await.expect("connects");
    here.set_zero_linger().expect("sets");
    drop(here);
    at.settle().await;
    let (mut there, _) = listener.accept().await.expect("accepts");
    seen![
        there.peer_addr().map(drop),
        there.read(&mut [0; 1]).await,
        there.read(&mut [0; 1]).await,
    ]
}

async fn dropping_the_listener_resets_who_waits(at: &World) -> Seen {
    let listener = at.listener().await;
    let mut here = at.connect(address_of(&listener)).await.expect("connects");
    at.settle().await;
    drop(listener);
    seen![here.read(&mut [0; 1]).await, here.write(b"x").await]
}

async fn dropping_the_listener_keeps_what_was_accepted(at: &World) -> Seen {
    let (listener, mut here, mut there) = at.ends().await;
    drop(listener);
    at.settle().await;
    here.write_all(b"still").await.expect("writes");
    seen![there.read(&mut [0; 8]).await, there.write(b"here").await]
}

async fn two_tasks_that_accept_get_one_each(at: &World) -> Seen {
    let listener = at.listener().await;
    let address = address_of(&listener);
    let (mut one, mut other) = (pin!(listener.accept()), pin!(listener.accept()));
    let before = (poll!(&mut one).is_pending(), poll!(&mut other).is_pending());
    let _open = [at.connect(address).await, at.connect(address).await];
    let (one, other) = tokio::join!(one, other);
    seen![before.0 && before.1, one.map(drop), other.map(drop)]
}

async fn poll_accept_gives_a_connection(at: &World) -> Seen {
    let listener = at.listener().await;
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let before = listener.poll_accept(&mut cx).is_pending();
    let here = at.connect(address_of(&listener)).await.expect("connects");
    at.settle().await;
    let accepted = listener.poll_accept(&mut cx);
    let from = accepted.map(|accepted| accepted.expect("accepts").1);
    seen![
        before,
        from == Poll::Ready(here.local_addr().expect("has one"))
    ]
}

async fn poll_accept_wakes_the_last_task(at: &World) -> Seen {
    let listener = at.listener().await;
    let (early, early_wakes) = counting();
    let (late, late_wakes) = counting();
    for waker in [&early, &late] {
        let waits = listener.poll_accept(&mut std::task::Context::from_waker(waker));
        assert!(waits.is_pending());
    }
    let _here = at.connect(address_of(&listener)).await.expect("connects");
    at.settle().await;
    seen![early_wakes.count() > 0, late_wakes.count() > 0]
}

async fn a_full_backlog_holds_one_more_than_it_says(at: &World) -> Seen {
    let (listener, open) = filled(at, 2).await;
    let mut accepted = 0;
    while at.now(listener.accept()).await.is_ready() {
        accepted += 1;
    }
    drop(open);
    seen![accepted]
}

async fn a_place_in_the_backlog_becomes_free(at: &World) -> Seen {
    let (listener, _open) = filled(at, 1).await;
    let (first, _) = listener.accept().await.expect("accepts");
    drop(first);
    // One that was turned away tries again, or a new one takes the place.
    let _more = at.now(at.connect(address_of(&listener))).await;
    seen![listener.accept().await.map(drop)]
}

async fn a_v6_listener_accepts_v4(at: &World) -> Seen {
    let listener = at
        .on_server(TcpListener::bind("[::]:0"))
        .await
        .expect("binds");
    let here = at
        .connect((at.server, address_of(&listener).port()))
        .await
        .expect("connects");
    let (there, from) = listener.accept().await.expect("accepts");
    let local = there.local_addr().expect("has one");
    seen![
        from.is_ipv6(),
        from.ip().to_canonical() == at.client,
        local.ip().to_canonical() == at.server,
        local.is_ipv6(),
        here.peer_addr().expect("has one").is_ipv4(),
    ]
}

async fn a_listener_on_any_sees_the_address_that_was_meant(at: &World) -> Seen {
    let listener = bind(at, (Ipv4Addr::UNSPECIFIED, 0).into())
        .await
        .expect("binds");
    let own = address_of(&listener);
    let _here = at.connect((at.server, own.port())).await.expect("connects");
    let (there, _) = listener.accept().await.expect("accepts");
    seen![
        own.ip().to_string(),
        there.local_addr().expect("has one").ip() == at.server
    ]
}

async fn the_time_to_live(at: &World) -> Seen {
    let listener = at.listener().await;
    seen![listener.ttl(), listener.set_ttl(17), listener.ttl()]
}

async fn the_time_to_live_is_inherited(at: &World) -> Seen {
    let listener = at.listener().await;
    listener.set_ttl(17).expect("sets");
    let _here = at.connect(address_of(&listener)).await.expect("connects");
    let (there, _) = listener.accept().await.expect("accepts");
    seen![there.ttl()]
}

async fn a_time_to_live_out_of_range(at: &World) -> Seen {
    let listener = at.listener().await;
    seen![
        listener.set_ttl(0),
        listener.set_ttl(256),
        listener.set_ttl(1000),
        listener.ttl()
    ]
}

async fn as_a_stream(at: &World) -> Seen {
    let listener = at.listener().await;
    let address = address_of(&listener);
    let mut stream = stream_of(listener);
    let mut here = at.connect(address).await.expect("connects");
    here.write_all(b"hi").await.expect("writes");
    let mut there = stream.next().await.expect("does not end").expect("accepts");
    let same: &TcpListener = stream.as_ref();
    seen![
        there.read(&mut [0; 8]).await,
        address_of(same) == address,
        address_of(&stream.into_inner()) == address,
    ]
}

async fn as_a_stream_that_is_polled_before_a_connection_comes(at: &World) -> Seen {
    let listener = at.listener().await;
    let address = address_of(&listener);
    let mut stream = stream_of(listener);
    let waits = poll!(stream.next()).is_pending();
    let _here = at.connect(address).await.expect("connects");
    seen![waits, stream.next().await.expect("does not end").map(drop)]
}

async fn bind(at: &World, address: SocketAddr) -> std::io::Result<TcpListener> {
    at.on_server(TcpListener::bind(address)).await
}

/// A listener of that backlog, and more attempts than it has room for.
async fn filled(at: &World, backlog: u32) -> (TcpListener, Vec<std::io::Result<TcpStream>>) {
    let socket = at.server_socket().await;
    socket.bind((at.server, 0).into()).expect("binds");
    let listener = socket.listen(backlog).expect("listens");
    let mut open = Vec::new();
    for _ in 0..backlog + 4 {
        if let Poll::Ready(stream) = at.now(at.connect(address_of(&listener))).await {
            open.push(stream);
        }
    }
    (listener, open)
}
