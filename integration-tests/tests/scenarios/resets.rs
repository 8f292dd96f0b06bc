//! S3 and S4: resets and half-open connections.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::task::Poll;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use millstream::Keepalive;
use millstream::State::{Closed, SynSent};
use millstream_testbed::segments::{Brief, Narrator};
use millstream_wire::tcp::Flags;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use crate::world::{
    CLIENT_OPENS, FAR, Host, NEAR, SERVER_OPENS, SYN, TS, World, deliver, handshake, path, port,
    read_error,
};

/// The answer to each attempt to connect to a port without a listener.
#[tokio::test(start_paused = true)]
async fn s3_refused() -> Result<()> {
    let world = World::new("client", "server")?;
    let (client, server) = (port(NEAR, 61383), port(FAR, 5001));
    let began = Instant::now();
    for _ in 0..3 {
        let error = world
            .near
            .socket(client, false)?
            .connect(server)
            .await
            .err();
        let kind = error.map(|error| error.kind());
        ensure!(kind == Some(ErrorKind::ConnectionRefused), "{kind:?}");
    }
    ensure!(
        began.elapsed() < Duration::from_millis(1),
        "after {:?}",
        began.elapsed()
    );
    let attempts = [Closed, SynSent, Closed, SynSent, Closed, SynSent, Closed];
    world.near.history.expect(client, server, &attempts).await?;
    let attempt = [
        format!("client > server S 0:0(0) {SYN}"),
        "server > client R. 0:0(0) ack 1 win 0".to_owned(),
    ];
    world.expect_segments(&[&attempt[..], &attempt, &attempt].concat())
}

/// Thirteen bytes, acknowledged, then a linger time of zero: a reset, which the peer's application
/// gets as an error.
#[tokio::test(start_paused = true)]
async fn s3_abortive_release() -> Result<()> {
    let world = World::new("bsd1", "svr4")?;
    let (client, server) = (port(NEAR, 1099), port(FAR, 8888));
    let (mut near, mut far) = world.connect(1099, 8888).await?;
    deliver(&mut near, &mut far).await?;
    // The acknowledgment is in flight by then.
    tokio::time::sleep(Duration::from_secs(5)).await;
    near.set_zero_linger()?;
    drop(near);
    let kind = read_error(&mut far).await;
    ensure!(kind == Some(ErrorKind::ConnectionReset), "{kind:?}");
    world
        .near
        .history
        .expect(client, server, &path(&[CLIENT_OPENS, &[Closed]]))
        .await?;
    world
        .far
        .history
        .expect(server, client, &path(&[SERVER_OPENS, &[Closed]]))
        .await?;
    let life = [
        format!("bsd1 > svr4 P. 1:14(13) ack 1 {TS}"),
        format!("svr4 > bsd1 . 1:1(0) ack 14 {TS}"),
        format!("bsd1 > svr4 R. 14:14(0) ack 1 win 0 {TS}"),
    ];
    world.expect_segments(&[&handshake("bsd1", "svr4")[..], &life].concat())
}

/// Dropping a stream with a linger time of zero discards its unsent data.
#[tokio::test(start_paused = true)]
async fn s3_abortive_release_discards() -> Result<()> {
    let world = World::new("client", "server")?;
    let (near, mut far) = world.connect(1099, 8888).await?;
    // The far end does not read, so its window closes with much data unsent.
    let mut written = 0;
    poll_fn(|cx| {
        while near.poll_write_ready(cx)?.is_ready() {
            match near.try_write(&[0; 65_536]) {
                Ok(length) => written += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    })
    .await?;
    world.settle().await;
    near.set_zero_linger()?;
    drop(near);
    let mut received = 0;
    let mut buffer = vec![0; 65_536];
    let kind = loop {
        match far.read(&mut buffer).await {
            Ok(0) => anyhow::bail!("an orderly end"),
            Ok(length) => received += length,
            Err(error) => break error.kind(),
        }
    };
    ensure!(kind == ErrorKind::ConnectionReset, "{kind:?}");
    ensure!(received < written, "all of {written} bytes arrived");
    let last = world
        .records()
        .pop()
        .and_then(|record| Brief::of(&record.packet));
    let last = last.context("a last segment")?;
    ensure!(
        last.flags.contains(Flags::RST) && !last.flags.contains(Flags::FIN),
        "{last:?}"
    );
    Ok(())
}

/// The server's host loses power; 8.5 minutes later the client types a line.
#[tokio::test(start_paused = true)]
async fn s4_half_open() -> Result<()> {
    let mut world = World::new("server", "client")?;
    let (client, server) = (port(FAR, 40_000), port(NEAR, 22));
    let listener = world.near.stack.listen(server).await?;
    let socket = world.far.socket(client, false)?;
    let (mut stream, _lost) = tokio::try_join!(socket.connect(server), listener.accept())?;

    world.gate.cut();
    world.near.stack.shutdown().await;
    let (gate, control) = world.gate.replace();
    world.near = Host::new(NEAR, gate, |_| {})?;
    world.gate = control;
    let before = world.records().len();
    tokio::time::sleep(Duration::from_secs(510)).await;
    world
        .far
        .history
        .expect(client, server, CLIENT_OPENS)
        .await?;
    ensure!(
        world.records().len() == before,
        "a segment was sent during the silence"
    );

    stream.write_all(&[b'x'; 44]).await?;
    let kind = read_error(&mut stream).await;
    ensure!(kind == Some(ErrorKind::ConnectionReset), "{kind:?}");
    world
        .far
        .history
        .expect(client, server, &path(&[CLIENT_OPENS, &[Closed]]))
        .await?;
    let told = Narrator::by_address(world.names).tell(&world.records())?;
    let expected = [
        format!("client > server P. 1:45(44) ack 1 {TS}"),
        "server > client R 1:1(0) win 0".to_owned(),
    ];
    ensure!(
        told.ends_with(&expected),
        "the segments were\n{}",
        told.join("\n")
    );

    let listener = world.near.stack.listen(server).await?;
    let (mut stream, (mut accepted, _)) =
        tokio::try_join!(world.far.stack.connect(server), listener.accept())?;
    deliver(&mut stream, &mut accepted).await
}

/// With keepalive the survivor of a half-open connection notices by itself.
#[tokio::test(start_paused = true)]
async fn s4_keepalive() -> Result<()> {
    let mut world = World::with("server", "client", |config| {
        config.socket.keepalive = Some(Keepalive::default());
    })?;
    let (client, server) = (port(FAR, 40_000), port(NEAR, 22));
    let listener = world.near.stack.listen(server).await?;
    let socket = world.far.socket(client, false)?;
    let (mut stream, _lost) = tokio::try_join!(socket.connect(server), listener.accept())?;
    let began = Instant::now();

    // The peer is gone for good: nine probes, 75 seconds apart, after two hours.
    world.gate.cut();
    let kind = read_error(&mut stream).await;
    ensure!(kind == Some(ErrorKind::TimedOut), "{kind:?}");
    ensure!(
        began.elapsed().as_secs() == 7200 + 9 * 75,
        "after {:?}",
        began.elapsed()
    );

    // The peer is back: the first probe is answered by a reset.
    world.gate.open();
    let socket = world.far.socket(client, false)?;
    let (mut stream, _lost) = tokio::try_join!(socket.connect(server), listener.accept())?;
    let began = Instant::now();
    world.gate.cut();
    world.near.stack.shutdown().await;
    let (gate, control) = world.gate.replace();
    world.near = Host::new(NEAR, gate, |_| {})?;
    world.gate = control;
    let kind = read_error(&mut stream).await;
    ensure!(kind == Some(ErrorKind::ConnectionReset), "{kind:?}");
    ensure!(
        began.elapsed().as_secs() == 7200,
        "after {:?}",
        began.elapsed()
    );
    Ok(())
}
