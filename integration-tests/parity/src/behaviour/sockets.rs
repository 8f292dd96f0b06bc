//! `TcpSocket`: before it listens or connects.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::net::TcpSocket;
use super::{World, address_of};
use crate::case::Seen;
use crate::{cases, seen};

cases!["sockets":
    a_new_socket_has_no_address,
    a_new_v6_socket_has_no_address,
    a_new_socket_has_no_error,
    the_defaults,
    binding_twice,
    binding_a_v4_socket_to_a_v6_address,
    binding_a_v6_socket_to_a_v4_address,
    binding_a_v6_socket_to_a_mapped_address,
    binding_to_an_address_of_another_host,
    binding_to_a_v6_address_of_another_host,
    binding_to_a_multicast_address,
    binding_to_the_broadcast_address,
    binding_to_any_loopback_address,
    a_bound_address_is_taken,
    a_bound_address_is_free_after_the_drop,
    a_bound_address_can_be_shared_by_two,
    a_bound_address_cannot_be_shared_by_one,
    a_bound_address_cannot_be_shared_with_a_listener,
    binding_any_beside_an_address,
    binding_both_families_of_any,
    listening_without_an_address,
    listening_on_v6_without_an_address,
    listening_with_a_backlog_of_zero,
    two_that_share_an_address_listen,
    reusing_addresses,
    sharing_ports,
    keepalive,
    nodelay,
    no_linger,
    zero_linger,
    whole_seconds_of_linger,
    a_fraction_of_a_second_of_linger,
    a_very_long_linger,
    the_send_buffer_is_doubled,
    the_receive_buffer_is_doubled,
    the_smallest_send_buffer,
    the_smallest_receive_buffer,
    the_type_of_service,
    the_low_bits_of_the_type_of_service,
    a_type_of_service_of_more_than_a_byte,
    the_traffic_class,
    no_device,
    a_device_that_does_not_exist,
    binding_to_a_v6_multicast_address,
    half_a_second_of_linger,
    two_sockets_that_share_a_port_listen,
    a_port_is_shared_only_if_all_agree,
];

async fn v6(at: &World) -> TcpSocket {
    at.on_server(async { TcpSocket::new_v6() })
        .await
        .expect("is made")
}

async fn a_new_socket_has_no_address(at: &World) -> Seen {
    let socket = at.socket().await;
    seen![socket.local_addr().map(|address| address.to_string())]
}

async fn a_new_v6_socket_has_no_address(at: &World) -> Seen {
    let socket = v6(at).await;
    seen![socket.local_addr().map(|address| address.to_string())]
}

async fn a_new_socket_has_no_error(at: &World) -> Seen {
    seen![at.socket().await.take_error()]
}

async fn the_defaults(at: &World) -> Seen {
    let socket = at.socket().await;
    seen![
        socket.reuseaddr(),
        socket.reuseport(),
        socket.keepalive(),
        socket.nodelay(),
        socket.linger(),
        socket.tos_v4(),
    ]
}

async fn binding_twice(at: &World) -> Seen {
    let socket = at.socket().await;
    let any = (Ipv4Addr::UNSPECIFIED, 0).into();
    seen![socket.bind(any), socket.bind(any)]
}

async fn binding_a_v4_socket_to_a_v6_address(at: &World) -> Seen {
    seen![at.socket().await.bind((Ipv6Addr::LOCALHOST, 0).into())]
}

async fn binding_a_v6_socket_to_a_v4_address(at: &World) -> Seen {
    seen![v6(at).await.bind((Ipv4Addr::LOCALHOST, 0).into())]
}

async fn binding_a_v6_socket_to_a_mapped_address(at: &World) -> Seen {
    let socket = v6(at).await;
    let address = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
    let bound = socket.bind((address, 0).into());
    seen![bound, socket.local_addr().map(|own| own.ip().to_string())]
}

async fn binding_to_an_address_of_another_host(at: &World) -> Seen {
    seen![
        at.socket()
            .await
            .bind((Ipv4Addr::new(192, 0, 2, 1), 0).into())
    ]
}

async fn binding_to_a_v6_address_of_another_host(at: &World) -> Seen {
    let other: Ipv6Addr = "2001:db8::1".parse().expect("an address");
    seen![v6(at).await.bind((other, 0).into())]
}

async fn binding_to_a_multicast_address(at: &World) -> Seen {
    seen![
        at.socket()
            .await
            .bind((Ipv4Addr::new(224, 0, 0, 1), 0).into())
    ]
}

async fn binding_to_the_broadcast_address(at: &World) -> Seen {
    seen![at.socket().await.bind((Ipv4Addr::BROADCAST, 0).into())]
}

async fn binding_to_any_loopback_address(at: &World) -> Seen {
    seen![
        at.socket()
            .await
            .bind((Ipv4Addr::new(127, 9, 8, 7), 0).into())
    ]
}

async fn a_bound_address_is_taken(at: &World) -> Seen {
    let (one, other) = (at.socket().await, at.socket().await);
    one.bind((at.client, 0).into()).expect("binds");
    seen![other.bind(one.local_addr().expect("has one"))]
}

async fn a_bound_address_is_free_after_the_drop(at: &World) -> Seen {
    let (one, other) = (at.socket().await, at.socket().await);
    one.bind((at.client, 0).into()).expect("binds");
    let address = one.local_addr().expect("has one");
    drop(one);
    seen![other.bind(address)]
}

async fn shared(at: &World, reuse: [bool; 2]) -> (TcpSocket, TcpSocket, std::io::Result<()>) {
    let (one, other) = (at.server_socket().await, at.server_socket().await);
    one.set_reuseaddr(reuse[0]).expect("sets");
    other.set_reuseaddr(reuse[1]).expect("sets");
    one.bind((at.server, 0).into()).expect("binds");
    let second = other.bind(one.local_addr().expect("has one"));
    (one, other, second)
}

async fn a_bound_address_can_be_shared_by_two(at: &World) -> Seen {
    seen![shared(at, [true, true]).await.2]
}

async fn a_bound_address_cannot_be_shared_by_one(at: &World) -> Seen {
    seen![
        shared(at, [true, false]).await.2,
        shared(at, [false, true]).await.2
    ]
}

async fn a_bound_address_cannot_be_shared_with_a_listener(at: &World) -> Seen {
    let listener = at.listener().await;
    let socket = at.server_socket().await;
    socket.set_reuseaddr(true).expect("sets");
    seen![socket.bind(address_of(&listener))]
}

async fn binding_any_beside_an_address(at: &World) -> Seen {
    let (one, other) = (at.socket().await, at.socket().await);
    one.bind((at.client, 0).into()).expect("binds");
    let port = one.local_addr().expect("has one").port();
    seen![other.bind((Ipv4Addr::UNSPECIFIED, port).into())]
}

async fn binding_both_families_of_any(at: &World) -> Seen {
    let (one, other) = (v6(at).await, at.server_socket().await);
    one.bind((Ipv6Addr::UNSPECIFIED, 0).into()).expect("binds");
    let port = one.local_addr().expect("has one").port();
    seen![other.bind((Ipv4Addr::UNSPECIFIED, port).into())]
}

async fn listening_without_an_address(at: &World) -> Seen {
    let listener = at.server_socket().await.listen(8).expect("listens");
    let address = address_of(&listener);
    let here = at.connect((at.server, address.port())).await;
    seen![
        address.ip().to_string(),
        address.port() != 0,
        here.map(drop)
    ]
}

async fn listening_on_v6_without_an_address(at: &World) -> Seen {
    let listener = v6(at).await.listen(8).expect("listens");
    let address = address_of(&listener);
    let here = at.connect((at.server, address.port())).await;
    seen![address.ip().to_string(), here.map(drop)]
}

async fn listening_with_a_backlog_of_zero(at: &World) -> Seen {
    let listener = at.server_socket().await.listen(0).expect("listens");
    let here = at.connect((at.server, address_of(&listener).port())).await;
    seen![here.map(drop), listener.accept().await.map(drop)]
}

async fn two_that_share_an_address_listen(at: &World) -> Seen {
    let (one, other, bound) = shared(at, [true, true]).await;
    let first = one.listen(8);
    seen![
        bound,
        first
            .as_ref()
            .map(drop)
            .map_err(|_| std::io::ErrorKind::Other.into()),
        other.listen(8).map(drop)
    ]
}

async fn reusing_addresses(at: &World) -> Seen {
    let socket = at.socket().await;
    seen![socket.set_reuseaddr(true), socket.reuseaddr()]
}

async fn sharing_ports(at: &World) -> Seen {
    let socket = at.socket().await;
    seen![socket.set_reuseport(true), socket.reuseport()]
}

async fn keepalive(at: &World) -> Seen {
    let socket = at.socket().await;
    let on = (socket.set_keepalive(true), socket.keepalive());
    seen![on.0, on.1, socket.set_keepalive(false), socket.keepalive()]
}

async fn nodelay(at: &World) -> Seen {
    let socket = at.socket().await;
    let on = (socket.set_nodelay(true), socket.nodelay());
    seen![on.0, on.1, socket.set_nodelay(false), socket.nodelay()]
}

#[allow(deprecated, reason = "tokio deprecates lingering, millstream does not")]
async fn lingering(at: &World, time: Option<Duration>) -> Seen {
    let socket = at.socket().await;
    seen![socket.set_linger(time), socket.linger()]
}

async fn no_linger(at: &World) -> Seen {
    lingering(at, None).await
}

async fn zero_linger(at: &World) -> Seen {
    let socket = at.socket().await;
    seen![socket.set_zero_linger(), socket.linger()]
}

async fn whole_seconds_of_linger(at: &World) -> Seen {
    lingering(at, Some(Duration::from_secs(7))).await
}

async fn a_fraction_of_a_second_of_linger(at: &World) -> Seen {
    lingering(at, Some(Duration::from_millis(2900))).await
}

async fn a_very_long_linger(at: &World) -> Seen {
    lingering(at, Some(Duration::from_secs(100_000))).await
}

async fn the_send_buffer_is_doubled(at: &World) -> Seen {
    let socket = at.socket().await;
    seen![
        socket.set_send_buffer_size(20_000),
        socket.send_buffer_size()
    ]
}

async fn the_receive_buffer_is_doubled(at: &World) -> Seen {
    let socket = at.socket().await;
    seen![
        socket.set_recv_buffer_size(20_000),
        socket.recv_buffer_size()
    ]
}

async fn the_smallest_send_buffer(at: &World) -> Seen {
    let socket = at.socket().await;
    seen![socket.set_send_buffer_size(0), socket.send_buffer_size()]
}

async fn the_smallest_receive_buffer(at: &World) -> Seen {
    let socket = at.socket().await;
    seen![socket.set_recv_buffer_size(0), socket.recv_buffer_size()]
}

async fn the_type_of_service(at: &World) -> Seen {
    let socket = at.socket().await;
    seen![socket.set_tos_v4(0x68), socket.tos_v4()]
}

async fn the_low_bits_of_the_type_of_service(at: &World) -> Seen {
    let socket = at.socket().await;
    seen![socket.set_tos_v4(0x6b), socket.tos_v4()]
}

async fn a_type_of_service_of_more_than_a_byte(at: &World) -> Seen {
    let socket = at.socket().await;
    seen![socket.set_tos_v4(0x168), socket.tos_v4()]
}

async fn the_traffic_class(at: &World) -> Seen {
    let socket = v6(at).await;
    seen![socket.set_tclass_v6(0x68), socket.tclass_v6()]
}

async fn no_device(at: &World) -> Seen {
    let socket = at.socket().await;
    seen![
        socket.device().map(|device| device.is_none()),
        socket.bind_device(None),
        socket.device().map(|device| device.is_none()),
    ]
}

async fn a_device_that_does_not_exist(at: &World) -> Seen {
    seen![at.socket().await.bind_device(Some(b"nowhere0"))]
}

async fn binding_to_a_v6_multicast_address(at: &World) -> Seen {
    let all_nodes: Ipv6Addr = "ff02::1".parse().expect("an address");
    seen![v6(at).await.bind((all_nodes, 0).into())]
}

async fn half_a_second_of_linger(at: &World) -> Seen {
    lingering(at, Some(Duration::from_millis(500))).await
}

async fn two_sockets_that_share_a_port_listen(at: &World) -> Seen {
    let (one, other) = (at.server_socket().await, at.server_socket().await);
    one.set_reuseport(true).expect("sets");
    other.set_reuseport(true).expect("sets");
    one.bind((at.server, 0).into()).expect("binds");
    let address = one.local_addr().expect("has one");
    let bound = other.bind(address);
    let listeners = (one.listen(64), other.listen(64));
    let (Ok(one), Ok(other)) = listeners else {
        return seen![bound, listeners.0.map(drop), listeners.1.map(drop)];
    };
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(at.connect(address).await.expect("connects"));
    }
    let mut accepted = [0, 0];
    for (count, listener) in accepted.iter_mut().zip([&one, &other]) {
        while at.now(listener.accept()).await.is_ready() {
            *count += 1;
        }
    }
    seen![
        bound,
        accepted[0] + accepted[1],
        accepted[0] > 0,
        accepted[1] > 0
    ]
}

async fn a_port_is_shared_only_if_all_agree(at: &World) -> Seen {
    let (one, other) = (at.server_socket().await, at.server_socket().await);
    other.set_reuseport(true).expect("sets");
    one.bind((at.server, 0).into()).expect("binds");
    seen![other.bind(one.local_addr().expect("has one"))]
}
