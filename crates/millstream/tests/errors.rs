//! The failures of connections: each is distinguishable from the others.

mod support;

use std::io;
use std::time::Duration;

use millstream::State;
use support::{CLIENT, SERVER, Tap, client_over, connected, stacks, stacks_over};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn refused_at_once() {
    let (_server, client) = stacks();
    let began = Instant::now();
    let error = client.connect((SERVER, 5001)).await.expect_err("refused");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(began.elapsed(), Duration::ZERO);
    let number = cfg!(target_os = "linux").then_some(111);
    assert_eq!(error.raw_os_error(), number, "ECONNREFUSED");
    assert_eq!(client.sockets().len(), 0, "something is left");
}

/// RFC 9293 MUST-12.
#[tokio::test(start_paused = true)]
async fn a_reset_is_not_the_end_of_the_stream() {
    let (server, client) = stacks();
    let (_listener, mut there, here) = connected(&server, &client).await;
    here.set_zero_linger().expect("sets");
    drop(here);
    let error = there.read(&mut [0; 8]).await.expect_err("was reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let error = there.write(b"x").await.expect_err("was reset");
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(there.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_reset_reaches_a_writer_that_waits() {
    let (server, client) = stacks();
    let (_listener, there, here) = connected(&server, &client).await;
    let writer = tokio::spawn(async move {
        let mut there = there;
        loop {
            there.write_all(&[0; 65_536]).await?;
        }
        #[expect(unreachable_code, reason = "it tells the type of the block")]
        Ok::<(), io::Error>(())
    });
    here.readable().await.expect("readable");
    here.set_zero_linger().expect("sets");
    drop(here);
    let error = writer.await.expect("no panic").expect_err("was reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn take_error_takes_it() {
    let (server, client) = stacks();
    let (_listener, there, here) = connected(&server, &client).await;
    assert!(there.take_error().expect("asks").is_none());
    here.set_zero_linger().expect("sets");
    drop(here);
    there.readable().await.expect("readable");
    let error = there.take_error().expect("asks").expect("was reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(there.take_error().expect("asks").is_none(), "told twice");
}

#[tokio::test(start_paused = true)]
async fn a_lost_syn_is_sent_again() {
    let ((left, _), (right, watch)) = Tap::pair();
    let (server, client) = stacks_over(left, right);
    watch.lose.lock().expect("not poisoned").push(0);
    let real = std::time::Instant::now();
    let virtual_time = Instant::now();
    let (_listener, ..) = connected(&server, &client).await;
    let waited = virtual_time.elapsed();
    assert!((1000..1100).contains(&waited.as_millis()), "{waited:?}");
    assert!(
        real.elapsed() < Duration::from_millis(500),
        "waited for real"
    );
}

/// RFC 9293 MUST-22, MUST-23.
#[tokio::test(start_paused = true)]
async fn nobody_there_times_out_after_127_seconds() {
    let ((_left, _), (right, watch)) = Tap::pair();
    let client = client_over(right).build().expect("builds");
    let began = Instant::now();
    let error = client
        .connect((SERVER, 80))
        .await
        .expect_err("nobody is there");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(began.elapsed().as_secs(), 127);
    assert_eq!(watch.sent.load(std::sync::atomic::Ordering::Relaxed), 7);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_given_up_leaves_nothing() {
    let ((_left, _), (right, _)) = Tap::pair();
    let client = client_over(right).build().expect("builds");
    let attempt = client.connect((SERVER, 80));
    tokio::time::timeout(Duration::from_secs(2), attempt)
        .await
        .expect_err("nobody is there");
    assert_eq!(client.sockets().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_cut_link_times_a_writer_out() {
    let ((left, _), (right, watch)) = Tap::pair();
    let (server, client) = stacks_over(left, right);
    let (_listener, _there, mut here) = connected(&server, &client).await;
    here.set_user_timeout(Some(Duration::from_secs(10)))
        .expect("sets");
    watch.cut(true);
    let began = Instant::now();
    here.write_all(b"into the void").await.expect("is buffered");
    let error = here.read(&mut [0; 8]).await.expect_err("timed out");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    let waited = began.elapsed().as_secs();
    assert!((10..20).contains(&waited), "{waited} s");
}

/// RFC 9293 MUST-46.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_connected_to() {
    let (_left, right) = millstream::device::pair();
    let client = client_over(right)
        .route("10.0.0.0/24")
        .build()
        .expect("builds");
    for (addr, kind) in [
        // The stack itself, which has no listener there.
        ("0.0.0.0:80", io::ErrorKind::ConnectionRefused),
        ("[::]:80", io::ErrorKind::ConnectionRefused),
        ("127.0.0.1:80", io::ErrorKind::ConnectionRefused),
        ("127.9.9.9:80", io::ErrorKind::ConnectionRefused),
        ("[::1]:80", io::ErrorKind::ConnectionRefused),
        ("10.0.0.1:0", io::ErrorKind::ConnectionRefused),
        ("224.0.0.1:80", io::ErrorKind::NetworkUnreachable),
        ("10.0.0.255:80", io::ErrorKind::NetworkUnreachable),
        ("255.255.255.255:80", io::ErrorKind::NetworkUnreachable),
        ("[ff02::1]:80", io::ErrorKind::NetworkUnreachable),
        ("0.1.2.3:80", io::ErrorKind::InvalidInput),
        ("192.168.0.1:80", io::ErrorKind::NetworkUnreachable),
        ("[2001:db8::1]:80", io::ErrorKind::NetworkUnreachable),
    ] {
        let error = client.connect(addr).await.expect_err(addr);
        assert_eq!(error.kind(), kind, "{addr}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn invalid_addresses_cannot_be_bound() {
    let (server, _client) = stacks();
    let error = server.listen((CLIENT, 80)).await.expect_err("not ours");
    assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    let _listener = server.listen((SERVER, 80)).await.expect("listens");
    let error = server.listen((SERVER, 80)).await.expect_err("taken");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    let socket = server.socket_v4();
    let error = socket
        .bind("[::1]:80".parse().expect("parses"))
        .expect_err("other family");
    #[cfg(target_os = "linux")]
    assert_eq!(error.raw_os_error(), Some(97), "EAFNOSUPPORT");
    socket
        .bind("10.0.0.1:81".parse().expect("parses"))
        .expect("binds");
    let again = socket.bind("10.0.0.1:82".parse().expect("parses"));
    assert_eq!(
        again.expect_err("bound").kind(),
        io::ErrorKind::InvalidInput
    );
    let impossible = socket.set_options(|options| options.hop_limit = 0);
    assert_eq!(
        impossible.expect_err("refused").kind(),
        io::ErrorKind::InvalidInput
    );
    assert_eq!(socket.options().hop_limit, 64);
}
