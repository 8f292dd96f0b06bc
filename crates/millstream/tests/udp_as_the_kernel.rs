//! The same steps on `tokio::net::UdpSocket` over the kernel's loopback and on the loopback of a
//! stack: both give the same results.

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use millstream::Stack;
use millstream::device::{Pair, pair};
use tokio::io::{Interest, ReadBuf, Ready};
use tokio::time::timeout;

/// A stack, and the other end of its link, which must live as long.
fn stack() -> (Stack, Pair) {
    let (device, peer) = pair();
    // An address of a network that the kernel has not either, so that both refuse it.
    let builder = Stack::builder().device(device).address("192.0.2.1/32");
    let builder = builder.address("2001:db8::1/128");
    (builder.build().expect("a stack"), peer)
}

/// A result without values that differ from run to run.
fn told<T: std::fmt::Debug>(result: &io::Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("{:?} {:?}", error.kind(), error.raw_os_error()),
    }
}

/// The kind alone: some errors have a number in the kernel and a reason here.
fn kind<T>(result: &io::Result<T>) -> String {
    format!("{:?}", result.as_ref().err().map(io::Error::kind))
}

/// Runs the body once with the kernel's sockets and once with a stack's. The body returns its
/// observations as a `Vec<String>`.
macro_rules! as_the_kernel {
    ($($(#[$attribute:meta])* async fn $name:ident() $body:block)*) => {$(
        $(#[$attribute])*
        #[tokio::test]
        async fn $name() {
            async fn kernels() -> Vec<String> {
                use tokio::net::UdpSocket;
                $body
            }
            async fn ours() -> Vec<String> {
                use millstream::UdpSocket;
                $body
            }
            let limit = Duration::from_secs(10);
            let kernels = timeout(limit, kernels()).await.expect("the kernel's ends");
            let (stack, _peer) = stack();
            let ours = timeout(limit, stack.scope(ours())).await.expect("ours ends");
            assert!(!ours.is_empty());
            assert_eq!(ours, kernels);
        }
    )*};
}

as_the_kernel! {
    async fn datagrams_keep_their_bounds() {
        let one = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
        let other = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
        let (from, to) = (one.local_addr().expect("one"), other.local_addr().expect("other"));
        let mut seen = Vec::new();
        for len in [0, 1, 1000, 9000, 65_507] {
            let data: Vec<u8> = (0..len).map(|i| i as u8).collect();
            seen.push(told(&one.send_to(&data, to).await));
            let mut buf = vec![0; 66_000];
            let (got, sender) = other.recv_from(&mut buf).await.expect("receives");
            assert!(buf[..got] == data && sender == from);
            seen.push(got.to_string());
        }
        seen.push(told(&one.send_to(&[0; 65_508], to).await));
        // What does not fit is lost.
        one.send_to(b"0123456789", to).await.expect("sends");
        one.send_to(b"next", to).await.expect("sends");
        let mut buf = [0; 4];
        seen.push(told(&other.recv(&mut buf).await));
        seen.push(format!("{buf:?}"));
        seen.push(told(&other.recv(&mut buf).await));
        seen.push(format!("{buf:?}"));
        seen
    }

    async fn all_ways_to_receive() {
        let one = UdpSocket::bind("[::1]:0").await.expect("binds");
        let other = UdpSocket::bind("[::1]:0").await.expect("binds");
        let to = other.local_addr().expect("other");
        let mut seen = Vec::new();
        let mut buf = [0; 8];
        seen.push(told(&other.try_recv(&mut buf)));
        seen.push(told(&other.try_recv_from(&mut buf)));
        seen.push(told(&other.try_peek(&mut buf)));
        seen.push(told(&other.try_peek_from(&mut buf)));
        seen.push(told(&other.try_peek_sender()));
        for number in 0..6u8 {
            one.send_to(&[number; 5], to).await.expect("sends");
        }
        seen.push(told(&other.peek(&mut buf).await));
        assert!(other.peek_sender().await.expect("a sender") == one.local_addr().expect("one"));
        seen.push(told(&other.peek_from(&mut buf[..2]).await.map(|peeked| peeked.0)));
        let mut grown = Vec::new();
        seen.push(told(&other.recv_buf(&mut grown).await));
        seen.push(told(&other.recv_buf_from(&mut grown).await.map(|got| got.0)));
        other.readable().await.expect("readable");
        seen.push(told(&other.try_recv_buf(&mut grown)));
        seen.push(told(&other.try_recv_buf_from(&mut grown).map(|got| got.0)));
        seen.push(format!("{grown:?}"));
        let mut space = ReadBuf::new(&mut buf);
        let peeked = poll_fn(|cx| other.poll_peek(cx, &mut space)).await;
        seen.push(told(&peeked));
        space.clear();
        let sender = poll_fn(|cx| other.poll_recv_from(cx, &mut space)).await;
        assert!(sender.expect("a sender") == one.local_addr().expect("one"));
        seen.push(format!("{:?}", space.filled()));
        space.clear();
        let received = poll_fn(|cx| other.poll_recv(cx, &mut space)).await;
        seen.push(told(&received));
        seen.push(format!("{:?}", space.filled()));
        seen
    }

    async fn all_ways_to_send() {
        let one = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
        let other = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
        let to = other.local_addr().expect("other");
        let mut seen = Vec::new();
        seen.push(told(&one.send(b"nowhere").await));
        seen.push(told(&one.peer_addr()));
        one.writable().await.expect("writable");
        seen.push(told(&one.try_send_to(b"a", to)));
        seen.push(told(&poll_fn(|cx| one.poll_send_to(cx, b"b", to)).await));
        seen.push(told(&one.connect(to).await));
        assert!(one.peer_addr().expect("a peer") == to);
        seen.push(told(&one.send(b"c").await));
        seen.push(told(&one.try_send(b"d")));
        seen.push(told(&poll_fn(|cx| one.poll_send(cx, b"e")).await));
        let nobody: &[SocketAddr] = &[];
        seen.push(told(&one.send_to(b"x", nobody).await));
        let mut got = Vec::new();
        while got.len() < 5 {
            other.recv_buf(&mut got).await.expect("receives");
        }
        seen.push(format!("{got:?}"));
        seen
    }

    async fn a_connected_socket_hears_its_peer_alone() {
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
        let one = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
        let other = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
        let to = server.local_addr().expect("server");
        server.connect(one.local_addr().expect("one")).await.expect("connects");
        other.send_to(b"other", to).await.expect("sends");
        one.send_to(b"one", to).await.expect("sends");
        let mut buf = [0; 16];
        let first = told(&server.recv(&mut buf).await);
        server.connect(other.local_addr().expect("other")).await.expect("connects again");
        one.send_to(b"one", to).await.expect("sends");
        other.send_to(b"other", to).await.expect("sends");
        vec![first, told(&server.recv(&mut buf).await), told(&server.try_recv(&mut buf))]
    }

    async fn a_port_without_socket_refuses() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
        let gone = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
        let to = gone.local_addr().expect("gone");
        drop(gone);
        let mut seen = Vec::new();
        let mut buf = [0; 16];
        socket.connect(to).await.expect("connects");
        seen.push(told(&socket.send(b"x").await));
        seen.push(told(&socket.recv(&mut buf).await));
        seen.push(told(&socket.try_recv(&mut buf)));
        seen.push(told(&socket.send(b"x").await));
        tokio::time::sleep(Duration::from_millis(20)).await;
        seen.push(told(&socket.send(b"x").await));
        seen.push(told(&socket.send(b"x").await));
        tokio::time::sleep(Duration::from_millis(20)).await;
        let error = socket.take_error().expect("works");
        seen.push(format!("{:?}", error.map(|error| error.kind())));
        seen.push(told(&socket.take_error()));
        seen
    }

    async fn errors_of_binding_and_of_destinations() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
        let own = socket.local_addr().expect("one");
        let mut seen = vec![told(&UdpSocket::bind(own).await.map(drop))];
        seen.push(told(&UdpSocket::bind("198.51.100.1:0").await.map(drop)));
        let socket = UdpSocket::bind("0.0.0.0:0").await.expect("binds");
        seen.push(told(&socket.send_to(b"x", "255.255.255.255:9").await));
        seen.push(told(&socket.connect("255.255.255.255:9").await));
        seen.push(kind(&socket.send_to(b"x", "127.0.0.1:0").await));
        seen.push(told(&socket.set_broadcast(true)));
        seen.push(told(&socket.broadcast()));
        seen
    }

    async fn one_port_for_each_family_or_for_both() {
        let mut seen = Vec::new();
        let six = UdpSocket::bind("[::]:0").await.expect("binds");
        let port = six.local_addr().expect("one").port();
        seen.push(told(&UdpSocket::bind(("0.0.0.0", port)).await.map(drop)));
        seen.push(told(&UdpSocket::bind(("127.0.0.1", port)).await.map(drop)));
        let four = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), port));
        four.send_to(b"x", ("127.0.0.1", port)).await.expect("sends");
        let mut buf = [0; 4];
        let (_, sender) = six.recv_from(&mut buf).await.expect("receives");
        seen.push(sender.ip().to_string());
        seen.push(told(&six.send_to(b"yy", sender).await));
        seen.push(told(&four.recv(&mut buf).await));
        seen.push(kind(&four.send_to(b"x", to).await));
        drop(six);
        seen.push(kind(&UdpSocket::bind(("0.0.0.0", port)).await.map(drop)));
        seen
    }

    async fn options_and_groups() {
        let socket = UdpSocket::bind("0.0.0.0:0").await.expect("binds");
        let mut seen = Vec::new();
        for on in [false, true] {
            seen.push(told(&socket.multicast_loop_v4()));
            seen.push(told(&socket.set_multicast_loop_v4(on)));
            seen.push(told(&socket.multicast_loop_v4()));
        }
        seen.push(told(&socket.ttl()));
        seen.push(told(&socket.set_ttl(9)));
        seen.push(told(&socket.ttl()));
        seen.push(kind(&socket.set_ttl(0)));
        seen.push(kind(&socket.set_ttl(256)));
        seen.push(told(&socket.multicast_ttl_v4()));
        seen.push(told(&socket.set_multicast_ttl_v4(0)));
        seen.push(told(&socket.multicast_ttl_v4()));
        seen.push(kind(&socket.set_multicast_ttl_v4(256)));
        seen.push(told(&socket.tos_v4()));
        seen.push(told(&socket.set_tos_v4(0xB9)));
        seen.push(told(&socket.tos_v4()));
        let (group, own) = (Ipv4Addr::new(239, 7, 7, 7), Ipv4Addr::LOCALHOST);
        seen.push(kind(&socket.join_multicast_v4(own, Ipv4Addr::UNSPECIFIED)));
        seen.push(told(&socket.join_multicast_v4(group, Ipv4Addr::new(198, 51, 100, 1))));
        seen.push(told(&socket.leave_multicast_v4(group, Ipv4Addr::UNSPECIFIED)));
        let socket = UdpSocket::bind("[::]:0").await.expect("binds");
        seen.push(told(&socket.join_multicast_v6(&Ipv6Addr::LOCALHOST, 0).map_err(|e| e.kind())
            .map_err(io::Error::from)));
        seen
    }

    async fn readiness_is_tokios() {
        let one = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
        let other = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
        let to = other.local_addr().expect("other");
        let mut seen = Vec::new();
        let ready = other.ready(Interest::READABLE | Interest::WRITABLE).await.expect("ready");
        seen.push(format!("{} {}", ready.is_readable(), ready.is_writable()));
        seen.push(told(&other.try_io(Interest::READABLE, || Ok(1))));
        one.send_to(b"x", to).await.expect("sends");
        seen.push(told(&other.ready(Interest::READABLE).await.map(Ready::is_readable)));
        let blocked: io::Result<()> =
            other.try_io(Interest::READABLE, || Err(io::ErrorKind::WouldBlock.into()));
        seen.push(told(&blocked));
        seen.push(told(&other.try_io(Interest::READABLE, || Ok(1))));
        let waits = timeout(Duration::from_millis(20), other.readable()).await;
        seen.push(waits.is_err().to_string());
        one.send_to(b"yy", to).await.expect("sends");
        seen.push(told(&other.async_io(Interest::READABLE, || Ok(2)).await));
        seen.push(told(&poll_fn(|cx| other.poll_recv_ready(cx)).await));
        seen.push(told(&poll_fn(|cx| other.poll_send_ready(cx)).await));
        let mut buf = [0; 4];
        seen.push(told(&other.recv(&mut buf).await));
        seen.push(told(&other.recv(&mut buf).await));
        seen.push(told(&other.try_recv(&mut buf)));
        seen
    }
}
