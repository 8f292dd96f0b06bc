//! The forms of an address, and names.

use std::net::{IpAddr, SocketAddr};

use super::net::{TcpListener, ToSocketAddrs, lookup_host};
use super::{World, address_of};
use crate::case::Seen;
use crate::{cases, seen};

cases!["names":
    a_text_with_a_port,
    an_owned_text,
    a_text_and_a_port,
    a_socket_address,
    an_ip_address_and_a_port,
    a_slice_of_addresses,
    a_reference,
    the_name_of_this_host,
    a_text_without_a_port,
    an_empty_text,
    a_port_that_is_no_number,
    a_port_that_is_too_large,
    an_address_that_is_none,
    lookup_of_an_address,
    lookup_of_a_list,
    lookup_of_a_text_without_a_port,
    binding_to_a_text,
];

async fn reached(at: &World, to: impl ToSocketAddrs) -> String {
    let connected = at.connect(to).await;
    crate::case::Said::said(&connected.map(|_| "connected"))
}

async fn a_text_with_a_port(at: &World) -> Seen {
    let listener = at.listener().await;
    seen![reached(at, &*address_of(&listener).to_string()).await]
}

async fn an_owned_text(at: &World) -> Seen {
    let listener = at.listener().await;
    seen![reached(at, address_of(&listener).to_string()).await]
}

async fn a_text_and_a_port(at: &World) -> Seen {
    let listener = at.listener().await;
    let (text, port) = (at.server.to_string(), address_of(&listener).port());
    seen![
        reached(at, (&*text, port)).await,
        reached(at, (text, port)).await
    ]
}

async fn a_socket_address(at: &World) -> Seen {
    let listener = at.listener().await;
    seen![reached(at, address_of(&listener)).await]
}

async fn an_ip_address_and_a_port(at: &World) -> Seen {
    let listener = at.listener().await;
    let port = address_of(&listener).port();
    let IpAddr::V4(v4) = at.server else {
        return seen!["not IPv4"];
    };
    seen![
        reached(at, (at.server, port)).await,
        reached(at, (v4, port)).await
    ]
}

async fn a_slice_of_addresses(at: &World) -> Seen {
    let listener = at.listener().await;
    seen![reached(at, &[address_of(&listener)][..]).await]
}

async fn a_reference(at: &World) -> Seen {
    let listener = at.listener().await;
    seen![reached(at, &address_of(&listener)).await]
}

async fn the_name_of_this_host(at: &World) -> Seen {
    let listener = at
        .on_client(TcpListener::bind("127.0.0.1:0"))
        .await
        .expect("binds");
    seen![reached(at, ("localhost", address_of(&listener).port())).await]
}

async fn a_text_without_a_port(at: &World) -> Seen {
    seen![reached(at, "127.0.0.1").await]
}

async fn an_empty_text(at: &World) -> Seen {
    seen![reached(at, "").await]
}

async fn a_port_that_is_no_number(at: &World) -> Seen {
    seen![reached(at, "127.0.0.1:http").await]
}

async fn a_port_that_is_too_large(at: &World) -> Seen {
    seen![reached(at, "127.0.0.1:65536").await]
}

async fn an_address_that_is_none(at: &World) -> Seen {
    seen![reached(at, "[::1:80").await]
}

async fn lookup_of_an_address(_: &World) -> Seen {
    let found: Vec<_> = lookup_host("192.0.2.1:80").await.expect("is one").collect();
    seen![found.len(), found[0].to_string()]
}

async fn lookup_of_a_list(_: &World) -> Seen {
    let list: [SocketAddr; 2] = [([192, 0, 2, 1], 1).into(), ([192, 0, 2, 2], 2).into()];
    let found: Vec<_> = lookup_host(&list[..]).await.expect("is one").collect();
    seen![found == list]
}

async fn lookup_of_a_text_without_a_port(_: &World) -> Seen {
    seen![lookup_host("192.0.2.1").await.map(drop)]
}

async fn binding_to_a_text(at: &World) -> Seen {
    let text = format!("{}:0", at.server);
    let listener = at.on_server(TcpListener::bind(text)).await.expect("binds");
    seen![address_of(&listener).ip() == at.server]
}
