//! Opening connections.

use std::io::Error;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::Poll;

use futures::poll;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::net::{TcpListener, TcpSocket, TcpStream};
use super::{World, address_of};
use crate::case::Seen;
use crate::{cases, seen};

cases!["connecting":
    both_ends_know_both_addresses,
    the_result_of_a_new_connection_has_no_error,
    the_first_poll_waits,
    nobody_listens,
    nobody_listens_at_a_v6_address,
    the_listener_is_gone,
    to_port_zero,
    to_port_zero_of_a_v6_address,
    to_the_broadcast_address,
    to_a_multicast_address,
    to_the_unspecified_v4_address_is_this_host,
    to_the_unspecified_v6_address_is_this_host,
    to_any_loopback_address,
    to_a_v6_address,
    to_a_v4_address_mapped_to_v6,
    the_first_address_that_answers,
    the_last_error_of_a_list_is_told,
    an_unreachable_address_after_one_that_refuses,
    no_address_at_all,
    an_attempt_dropped_after_the_handshake_is_closed,
    from_a_bound_port,
    from_a_port_that_bind_chose,
    from_a_bound_address_without_a_port,
    the_same_four_tuple_again,
    the_port_of_a_connection_that_does_not_share,
    one_local_port_to_two_listeners,
    to_itself,
    a_v4_socket_to_a_v6_address,
    a_v6_socket_to_a_v4_address,
    a_v6_socket_to_a_mapped_address,
    attempts_at_once_have_ports_of_their_own,
    a_connection_is_usable_before_it_is_accepted,
    many_connections_to_one_listener,
    options_of_the_socket_are_the_connections,
];

async fn both_ends_know_both_addresses(at: &World) -> Seen {
    let (listener, here, there) = at.ends().await;
    let here_is = here.local_addr().expect("has one");
    seen![
        here_is.ip() == at.client,
        here_is.port() != 0,
        here.peer_addr().expect("has one") == address_of(&listener),
        there.local_addr().expect("has one") == address_of(&listener),
        there.peer_addr().expect("has one") == here_is,
    ]
}

async fn the_result_of_a_new_connection_has_no_error(at: &World) -> Seen {
    let (here, there) = at.pair().await;
    seen![here.take_error(), there.take_error()]
}

async fn the_first_poll_waits(at: &World) -> Seen {
    let listener = at.listener().await;
    let (address, refused) = (address_of(&listener), at.unused_address().await);
    let waits = async |address| poll!(Box::pin(at.connect(address))).map(|made| made.map(drop));
    seen![waits(address).await, waits(refused).await]
}

async fn nobody_listens(at: &World) -> Seen {
    let address = at.unused_address().await;
    seen![at.connect(address).await.map(drop)]
}

async fn nobody_listens_at_a_v6_address(at: &World) -> Seen {
    let address = SocketAddr::new(at.server_v6, at.unused_address().await.port());
    seen![at.connect(address).await.map(drop)]
}

async fn the_listener_is_gone(at: &World) -> Seen {
    let listener = at.listener().await;
    let address = address_of(&listener);
    let before = at.connect(address).await.map(drop);
    drop(listener);
    seen![before, at.connect(address).await.map(drop)]
}

async fn to_port_zero(at: &World) -> Seen {
    seen![at.connect((at.server, 0)).await.map(drop)]
}

async fn to_port_zero_of_a_v6_address(at: &World) -> Seen {
    seen![at.connect((at.server_v6, 0)).await.map(drop)]
}

async fn to_the_broadcast_address(at: &World) -> Seen {
    seen![at.connect((Ipv4Addr::BROADCAST, 7)).await.map(drop)]
}

async fn to_a_multicast_address(at: &World) -> Seen {
    seen![at.connect((Ipv4Addr::new(224, 0, 0, 1), 7)).await.map(drop)]
}

async fn to_the_unspecified_v4_address_is_this_host(at: &World) -> Seen {
    let listener = at
        .on_client(TcpListener::bind("0.0.0.0:0"))
        .await
        .expect("binds");
    let port = address_of(&listener).port();
    let stream = at
        .connect((Ipv4Addr::UNSPECIFIED, port))
        .await
        .expect("connects");
    let peer = stream.peer_addr().expect("has one");
    seen![peer.ip().to_string(), peer.port() == port]
}

async fn to_the_unspecified_v6_address_is_this_host(at: &World) -> Seen {
    let listener = at
        .on_client(TcpListener::bind("[::]:0"))
        .await
        .expect("binds");
    let port = address_of(&listener).port();
    let stream = at
        .connect((Ipv6Addr::UNSPECIFIED, port))
        .await
        .expect("connects");
    let peer = stream.peer_addr().expect("has one");
    seen![peer.ip().to_string(), peer.port() == port]
}

async fn to_any_loopback_address(at: &World) -> Seen {
    let listener = at
        .on_client(TcpListener::bind("0.0.0.0:0"))
        .await
        .expect("binds");
    let port = address_of(&listener).port();
    let stream = at
        .connect((Ipv4Addr::new(127, 9, 8, 7), port))
        .await
        .expect("connects");
    let (_, from) = listener.accept().await.expect("accepts");
    seen![
        stream.peer_addr().expect("has one").ip().to_string(),
        from == stream.local_addr().expect("has one"),
    ]
}

async fn to_a_v6_address(at: &World) -> Seen {
    let address = SocketAddr::new(at.server_v6, 0);
    let listener = at
        .on_server(TcpListener::bind(address))
        .await
        .expect("binds");
    let stream = at.connect(address_of(&listener)).await.expect("connects");
    let (there, _) = listener.accept().await.expect("accepts");
    seen![
        stream.peer_addr().expect("has one") == address_of(&listener),
        there.local_addr().expect("has one").is_ipv6(),
    ]
}

async fn to_a_v4_address_mapped_to_v6(at: &World) -> Seen {
    let listener = at.listener().await;
    let address = mapped(address_of(&listener));
    let stream = at.connect(address).await.expect("connects");
    let (_, from) = listener.accept().await.expect("accepts");
    seen![
        stream.peer_addr().expect("has one") == address,
        stream.local_addr().expect("has one").is_ipv6(),
        from.is_ipv4(),
    ]
}

async fn the_first_address_that_answers(at: &World) -> Seen {
    let (first, second) = (at.listener().await, at.listener().await);
    let refused = at.unused_address().await;
    let list = [refused, address_of(&first), address_of(&second)];
    let stream = at.connect(&list[..]).await.expect("connects");
    seen![stream.peer_addr().expect("has one") == address_of(&first)]
}

async fn the_last_error_of_a_list_is_told(at: &World) -> Seen {
    let list = [(Ipv4Addr::BROADCAST, 7).into(), at.unused_address().await];
    seen![at.connect(&list[..]).await.map(drop)]
}

async fn an_unreachable_address_after_one_that_refuses(at: &World) -> Seen {
    let list = [at.unused_address().await, (Ipv4Addr::BROADCAST, 7).into()];
    seen![at.connect(&list[..]).await.map(drop)]
}

async fn no_address_at_all(at: &World) -> Seen {
    seen![at.connect(&[][..]).await.map(drop)]
}

async fn an_attempt_dropped_after_the_handshake_is_closed(at: &World) -> Seen {
    let listener = at.listener().await;
    let address = address_of(&listener);
    let mut attempt = Box::pin(at.connect(address));
    let first = poll!(&mut attempt);
    at.settle().await;
    drop((first, attempt));
    let (mut there, _) = listener.accept().await.expect("accepts");
    seen![there.read(&mut [0; 1]).await]
}

async fn from_a_bound_port(at: &World) -> Seen {
    let listener = at.listener().await;
    // A port that was free a moment ago.
    let port = {
        let socket = at.socket().await;
        socket.bind((at.client, 0).into()).expect("binds");
        socket.local_addr().expect("has one").port()
    };
    let socket = at.socket().await;
    socket.bind((at.client, port).into()).expect("binds");
    let stream = socket
        .connect(address_of(&listener))
        .await
        .expect("connects");
    let (_, from) = listener.accept().await.expect("accepts");
    seen![
        stream.local_addr().expect("has one").port() == port,
        from.port() == port
    ]
}

async fn from_a_port_that_bind_chose(at: &World) -> Seen {
    let listener = at.listener().await;
    let socket = at.socket().await;
    socket.bind((at.client, 0).into()).expect("binds");
    let bound = socket.local_addr().expect("has one");
    let stream = socket
        .connect(address_of(&listener))
        .await
        .expect("connects");
    seen![
        bound.port() != 0,
        stream.local_addr().expect("has one") == bound
    ]
}

async fn from_a_bound_address_without_a_port(at: &World) -> Seen {
    let listener = at.listener().await;
    let socket = at.socket().await;
    socket
        .bind((Ipv4Addr::UNSPECIFIED, 0).into())
        .expect("binds");
    let bound = socket.local_addr().expect("has one");
    let stream = socket
        .connect(address_of(&listener))
        .await
        .expect("connects");
    let local = stream.local_addr().expect("has one");
    seen![
        bound.ip().to_string(),
        local.ip() == at.client,
        local.port() == bound.port()
    ]
}

async fn the_same_four_tuple_again(at: &World) -> Seen {
    let listener = at.listener().await;
    let mut local = SocketAddr::new(at.client, 0);
    let (mut seen, mut open) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let socket = at.socket().await;
        socket.set_reuseaddr(true).expect("sets");
        seen.extend(seen![socket.bind(local)]);
        local = socket.local_addr().expect("has one");
        let stream = socket.connect(address_of(&listener)).await;
        seen.extend(seen![stream.as_ref().map(drop).map_err(|error| {
            error
                .raw_os_error()
                .map_or(error.kind().into(), Error::from_raw_os_error)
        })]);
        open.push(stream);
    }
    seen
}

async fn the_port_of_a_connection_that_does_not_share(at: &World) -> Seen {
    let (here, _) = at.pair().await;
    let socket = at.socket().await;
    socket.set_reuseaddr(true).expect("sets");
    seen![socket.bind(here.local_addr().expect("has one"))]
}

async fn one_local_port_to_two_listeners(at: &World) -> Seen {
    let listeners = [at.listener().await, at.listener().await];
    let mut local = SocketAddr::new(at.client, 0);
    let (mut seen, mut open) = (Vec::new(), Vec::new());
    for listener in &listeners {
        let socket = at.socket().await;
        socket.set_reuseaddr(true).expect("sets");
        seen.extend(seen![socket.bind(local)]);
        let stream = socket
            .connect(address_of(listener))
            .await
            .expect("connects");
        seen.extend(seen![
            local.port() == 0 || stream.local_addr().expect("has one") == local
        ]);
        local = stream.local_addr().expect("has one");
        open.push(stream);
    }
    seen
}

async fn to_itself(at: &World) -> Seen {
    let socket = at.socket().await;
    socket.bind((at.client, 0).into()).expect("binds");
    let address = socket.local_addr().expect("has one");
    let mut stream = socket.connect(address).await.expect("connects");
    stream.write_all(b"self").await.expect("writes");
    let mut heard = [0; 4];
    stream.read_exact(&mut heard).await.expect("reads");
    seen![
        stream.peer_addr().expect("has one") == address,
        &heard == b"self"
    ]
}

async fn a_v4_socket_to_a_v6_address(at: &World) -> Seen {
    let socket = at.socket().await;
    seen![socket.connect((at.server_v6, 7).into()).await.map(drop)]
}

async fn a_v6_socket_to_a_v4_address(at: &World) -> Seen {
    let socket = at
        .on_client(async { TcpSocket::new_v6() })
        .await
        .expect("is made");
    seen![socket.connect((at.server, 7).into()).await.map(drop)]
}

async fn a_v6_socket_to_a_mapped_address(at: &World) -> Seen {
    let listener = at.listener().await;
    let socket = at
        .on_client(async { TcpSocket::new_v6() })
        .await
        .expect("is made");
    let stream = socket.connect(mapped(address_of(&listener))).await;
    seen![stream.map(|stream| stream.peer_addr().expect("has one").is_ipv6())]
}

async fn attempts_at_once_have_ports_of_their_own(at: &World) -> Seen {
    let listener = at.listener().await;
    let address = address_of(&listener);
    let (one, other) = tokio::join!(at.connect(address), at.connect(address));
    let port = |stream: &std::io::Result<TcpStream>| {
        let stream = stream.as_ref().expect("connects");
        stream.local_addr().expect("has one").port()
    };
    seen![port(&one) != port(&other)]
}

async fn a_connection_is_usable_before_it_is_accepted(at: &World) -> Seen {
    let listener = at.listener().await;
    let mut here = at.connect(address_of(&listener)).await.expect("connects");
    here.write_all(b"early").await.expect("writes");
    here.shutdown().await.expect("shuts down");
    let (mut there, _) = listener.accept().await.expect("accepts");
    let mut text = String::new();
    there.read_to_string(&mut text).await.expect("reads");
    seen![text]
}

async fn many_connections_to_one_listener(at: &World) -> Seen {
    let listener = at.listener().await;
    let address = address_of(&listener);
    let (mut open, mut equal) = (Vec::new(), 0);
    for _ in 0..100 {
        let here = at.connect(address).await.expect("connects");
        let (there, from) = listener.accept().await.expect("accepts");
        equal += usize::from(from == here.local_addr().expect("has one"));
        open.push((here, there));
    }
    seen![equal]
}

async fn options_of_the_socket_are_the_connections(at: &World) -> Seen {
    let listener = at.listener().await;
    let socket = at.socket().await;
    socket.set_nodelay(true).expect("sets");
    socket.set_zero_linger().expect("sets");
    let Poll::Ready(stream) = at.now(socket.connect(address_of(&listener))).await else {
        return seen!["is not connected"];
    };
    let stream = stream.expect("connects");
    seen![stream.nodelay(), stream.linger()]
}

fn mapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
        v6 @ SocketAddr::V6(_) => v6,
    }
}
