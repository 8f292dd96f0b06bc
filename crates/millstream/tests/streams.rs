//! Reading and writing: the bytes that enter at one end come out at the other, with every method.

mod support;

use std::io::{self, IoSlice, IoSliceMut};

use bytes::{Bytes, BytesMut};
use millstream::{State, TcpStream};
use support::{connected, pattern, stacks};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(start_paused = true)]
async fn echo_and_half_close() {
    let (server, client) = stacks();
    let (_listener, mut there, mut here) = connected(&server, &client).await;
    let echo = tokio::spawn(async move {
        let (mut read, mut write) = there.split();
        let copied = tokio::io::copy(&mut read, &mut write).await?;
        // The peer has closed its side; ours is open.
        write.write_all(b" and more").await?;
        write.shutdown().await?;
        Ok::<_, io::Error>(copied)
    });
    here.write_all(b"to and fro").await.expect("writes");
    here.shutdown().await.expect("shuts down");
    let error = here.write_all(b"late").await.expect_err("was shut down");
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);

    let mut all = String::new();
    here.read_to_string(&mut all).await.expect("reads");
    assert_eq!(all, "to and fro and more");
    assert_eq!(echo.await.expect("no panic").expect("no error"), 10);
    assert_eq!(here.read(&mut [0; 8]).await.expect("again"), 0);
}

#[tokio::test(start_paused = true)]
async fn shutting_down_twice_is_no_error() {
    let (server, client) = stacks();
    let (_listener, _there, mut here) = connected(&server, &client).await;
    here.shutdown().await.expect("shuts down");
    here.shutdown().await.expect("again");
}

#[tokio::test(start_paused = true)]
async fn vectored_writes_and_reads() {
    let (server, client) = stacks();
    let (_listener, mut there, mut here) = connected(&server, &client).await;
    let small = [
        IoSlice::new(b"one"),
        IoSlice::new(b""),
        IoSlice::new(b"two"),
    ];
    assert_eq!(here.write_vectored(&small).await.expect("writes"), 6);
    let mut six = [0; 6];
    there.read_exact(&mut six).await.expect("reads");
    assert_eq!(&six, b"onetwo");

    let data = pattern(30_000);
    let large: Vec<_> = data.chunks(7_000).map(IoSlice::new).collect();
    let written = here.write_vectored(&large).await.expect("writes");
    assert_eq!(written, data.len());
    let mut read = Vec::new();
    while read.len() < written {
        there.readable().await.expect("readable");
        let (mut first, mut second) = ([0; 1000], [0; 333]);
        let mut bufs = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        let len = match there.try_read_vectored(&mut bufs) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            result => result.expect("reads"),
        };
        read.extend_from_slice(&first[..len.min(1000)]);
        read.extend_from_slice(&second[..len.saturating_sub(1000)]);
    }
    assert!(read == data, "the bytes differ");
}

#[tokio::test(start_paused = true)]
async fn peek_takes_nothing() {
    let (server, client) = stacks();
    let (_listener, mut there, mut here) = connected(&server, &client).await;
    here.write_all(b"grist").await.expect("writes");
    let mut buf = [0; 16];
    for _ in 0..2 {
        assert_eq!(there.peek(&mut buf).await.expect("peeks"), 5);
        assert_eq!(&buf[..5], b"grist");
    }
    assert_eq!(there.read(&mut buf).await.expect("reads"), 5);
    drop(here);
    assert_eq!(there.peek(&mut buf).await.expect("the end"), 0);
}

#[tokio::test(start_paused = true)]
async fn bytes_without_copies() {
    let (server, client) = stacks();
    let (_listener, there, here) = connected(&server, &client).await;
    // More than the send buffer holds: writing waits for the reader.
    let data = Bytes::from(pattern(5 << 20));
    let writer = tokio::spawn({
        let data = data.clone();
        async move {
            here.write_bytes(data).await?;
            Ok::<_, io::Error>(())
        }
    });
    let mut read = BytesMut::new();
    loop {
        let piece = there.read_bytes(100_000).await.expect("reads");
        if piece.is_empty() {
            break;
        }
        assert!(piece.len() <= 100_000);
        read.extend_from_slice(&piece);
    }
    assert!(read == data, "the bytes differ");
    writer.await.expect("no panic").expect("no error");
}

#[tokio::test(start_paused = true)]
async fn a_written_piece_is_advanced_by_what_was_taken() {
    let (server, client) = stacks();
    let (_listener, _there, here) = connected(&server, &client).await;
    let mut data = Bytes::from(pattern(8 << 20));
    let mut taken = 0;
    let error = loop {
        match here.try_write_bytes(&mut data) {
            Ok(len) => taken += len,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert!(taken > 0);
    assert_eq!(taken + data.len(), 8 << 20);
    assert_eq!(here.try_write_bytes(&mut Bytes::new()).expect("nothing"), 0);
}

#[tokio::test(start_paused = true)]
async fn owned_halves_in_two_tasks_and_reunited() {
    let (server, client) = stacks();
    let (_listener, there, here) = connected(&server, &client).await;
    let echo = tokio::spawn(async move {
        let (mut read, mut write) = there.into_split();
        tokio::io::copy(&mut read, &mut write).await
        // The write half is dropped, which sends a FIN.
    });
    let data = pattern(1 << 20);
    let (mut read, mut write) = here.into_split();
    let writer = tokio::spawn({
        let data = data.clone();
        async move {
            write.write_all(&data).await.expect("writes");
            write.shutdown().await.expect("shuts down");
            write
        }
    });
    let mut all = Vec::new();
    read.read_to_end(&mut all).await.expect("reads");
    assert!(all == data, "the bytes differ");
    echo.await.expect("no panic").expect("no error");
    let write = writer.await.expect("no panic");
    let here = read.reunite(write).expect("of one stream");
    assert_eq!(
        here.local_addr().expect("has one").ip().to_string(),
        support::CLIENT
    );
}

#[tokio::test(start_paused = true)]
async fn halves_of_two_streams_do_not_reunite() {
    let (server, client) = stacks();
    let (_listener, there, here) = connected(&server, &client).await;
    let (read, other_write) = there.into_split();
    let (other_read, write) = here.into_split();
    let error = read.reunite(write).expect_err("of two streams");
    // Nothing is lost: each half is returned to its counterpart.
    error.0.reunite(other_write).expect("of one stream");
    other_read.reunite(error.1).expect("of one stream");
}

#[tokio::test(start_paused = true)]
async fn a_write_half_that_is_forgotten_sends_no_fin() {
    let (server, client) = stacks();
    let (_listener, mut there, here) = connected(&server, &client).await;
    let (mut read, write) = here.into_split();
    write.forget();
    there.write_all(b"still").await.expect("writes");
    let mut buf = [0; 5];
    read.read_exact(&mut buf).await.expect("reads");
    assert_eq!(there.state(), State::Established);
    drop(read);
    assert_eq!(there.read(&mut buf).await.expect("the end"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_one_to_itself() {
    let (server, _client) = stacks();
    let listener = server.listen("10.0.0.1:7").await.expect("listens");
    let (connected, accepted) = tokio::join!(server.connect("10.0.0.1:7"), listener.accept());
    let (mut here, (mut there, _)) = (connected.expect("connects"), accepted.expect("accepts"));
    here.write_all(b"loop").await.expect("writes");
    let mut buf = [0; 4];
    there.read_exact(&mut buf).await.expect("reads");
    assert_eq!(&buf, b"loop");
}

#[tokio::test(start_paused = true)]
async fn ipv6_as_well() {
    let (left, right) = millstream::device::pair();
    let build = |device, addr: &str| {
        millstream::Stack::builder()
            .device(device)
            .address(addr)
            .build()
            .expect("builds")
    };
    let (server, client) = (build(left, "fd00::1/64"), build(right, "fd00::2/64"));
    let listener = server.listen("[::]:7").await.expect("listens");
    let (connected, accepted) = tokio::join!(client.connect("[fd00::1]:7"), listener.accept());
    let (mut here, (mut there, peer)) = (connected.expect("connects"), accepted.expect("accepts"));
    assert_eq!(peer, here.local_addr().expect("has an address"));
    here.write_all(b"six").await.expect("writes");
    let mut buf = [0; 3];
    there.read_exact(&mut buf).await.expect("reads");
    assert_eq!(&buf, b"six");
}

#[tokio::test(start_paused = true)]
async fn options_are_kept_and_told() {
    use millstream::Keepalive;
    use std::time::Duration;

    let (server, client) = stacks();
    let (_listener, _there, here) = connected(&server, &client).await;
    here.set_nodelay(true).expect("sets");
    assert!(here.nodelay().expect("tells"));
    here.set_linger(Some(Duration::from_secs(3))).expect("sets");
    assert_eq!(here.linger().expect("tells"), Some(Duration::from_secs(3)));
    here.set_ttl(9).expect("sets");
    assert_eq!(here.ttl().expect("tells"), 9);
    for ttl in [0, 256] {
        let error = here.set_ttl(ttl).expect_err("out of range");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
    let keepalive = Keepalive::default().count(2);
    here.set_keepalive(Some(keepalive)).expect("sets");
    assert_eq!(here.keepalive().expect("tells"), Some(keepalive));
    let at_once = keepalive.idle(Duration::ZERO);
    let error = here.set_keepalive(Some(at_once)).expect_err("refused");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert_eq!(here.keepalive().expect("tells"), Some(keepalive));
    let error = here
        .set_user_timeout(Some(Duration::ZERO))
        .expect_err("refused");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    here.set_user_timeout(Some(Duration::from_secs(5)))
        .expect("sets");
    assert_eq!(
        here.user_timeout().expect("tells"),
        Some(Duration::from_secs(5))
    );
    here.set_tos(0xb9).expect("sets");
    assert_eq!(
        here.tos().expect("tells"),
        0xb8,
        "the ECN bits are not ours"
    );
    let name = here.congestion().expect("tells");
    here.set_congestion(name).expect("sets");
    let error = here.set_congestion("no such").expect_err("unknown");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    let info = here.info().expect("tells");
    assert_eq!(info.state, State::Established);
    assert_eq!(info.snd_mss, 1448, "1500 less headers and timestamps");
}

/// A server that connects often holds many of these: they must not contain a whole socket.
#[tokio::test]
async fn a_future_that_connects_is_small() {
    let (_server, client) = stacks();
    let addr: std::net::SocketAddr = "10.0.0.1:7".parse().expect("parses");
    let of_stack = size_of_val(&client.connect(addr));
    let of_current = size_of_val(&TcpStream::connect(addr));
    assert!(of_stack <= 700, "{of_stack} bytes");
    assert!(of_current <= 800, "{of_current} bytes");
}
