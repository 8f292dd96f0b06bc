//! The scenarios of the founding document, stack against stack, in memory and on a paused clock:
//! every segment and every state of both ends.
//!
//! The two hosts are called after what they do in the scenario. The one whose device is the gate
//! sees each segment that it sends before the other host's answer; segments that cross are told
//! in the order in which that host sees them.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::task::Poll;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use millstream::State::{self, *};
use millstream::device::{Device, Direction, Pair, pair};
use millstream::{Config, Keepalive, Stack, TcpSocket, TcpStream};
use millstream_integration_tests::gate::{Gate, GateControl};
use millstream_integration_tests::history::History;
use millstream_integration_tests::segments::{Brief, Narrator};
use millstream_integration_tests::trace::{Fate, Limits, Record, Trace};
use millstream_wire::tcp::Flags;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

const NEAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const FAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
const TEXT: &[u8; 13] = b"hello, world\n";
const TWO_MSL: Duration = Duration::from_secs(60);

/// The options that are the same on every SYN, and on every other segment.
const SYN: &str = "<mss 1460,sackOK,TS,nop,wscale 4>";
const TS: &str = "<nop,nop,TS>";

/// Two hosts and their link.
struct World {
    near: Host,
    far: Host,
    gate: GateControl<Pair>,
    names: [(IpAddr, &'static str); 2],
}

/// A stack and the states its connections have been in.
struct Host {
    stack: Stack,
    history: History,
}

impl Host {
    fn new(address: IpAddr, device: impl Device, configure: fn(&mut Config)) -> Result<Self> {
        let history = History::default();
        let stack = Stack::builder()
            .device(device)
            .address(millstream::Cidr::new(address, 24))
            .config(configure)
            .seed([address.is_ipv4().into(); 32])
            .on_transition(history.observer())
            .build()?;
        Ok(Self { stack, history })
    }

    /// A socket bound to a port of the host's.
    fn socket(&self, local: SocketAddr, reuse: bool) -> Result<TcpSocket> {
        let socket = self.stack.socket_v4();
        socket.set_reuseaddr(reuse)?;
        socket.bind(local)?;
        Ok(socket)
    }
}

impl World {
    /// Two hosts with those names; the near one sits behind the gate.
    fn new(near: &'static str, far: &'static str) -> Result<Self> {
        Self::with(near, far, |_| {})
    }

    fn with(near: &'static str, far: &'static str, configure: fn(&mut Config)) -> Result<Self> {
        let (near_end, far_end) = pair();
        let (gate, control) = Gate::new(near_end, Trace::new(Limits::EVERYTHING));
        Ok(Self {
            near: Host::new(NEAR, gate, configure)?,
            far: Host::new(FAR, far_end, configure)?,
            gate: control,
            names: [(NEAR, near), (FAR, far)],
        })
    }

    /// The near host connects from a port of its own to one of the far host's.
    async fn connect(&self, from: u16, to: u16) -> Result<(TcpStream, TcpStream)> {
        let (local, peer) = (SocketAddr::new(NEAR, from), SocketAddr::new(FAR, to));
        let listener = self.far.stack.listen(peer).await?;
        let socket = self.near.socket(local, false)?;
        let (near, (far, _)) = tokio::try_join!(socket.connect(peer), listener.accept())?;
        Ok((near, far))
    }

    fn records(&self) -> Vec<Record> {
        self.gate.trace().records()
    }

    /// The segments so far must be these, from the first on.
    fn expect_segments(&self, expected: &[String]) -> Result<()> {
        let told = Narrator::by_address(self.names).tell(&self.records())?;
        ensure!(
            told == expected,
            "the segments were\n{}\nand not\n{}",
            told.join("\n"),
            expected.join("\n")
        );
        Ok(())
    }

    /// Lets everything that can happen without time passing happen.
    async fn settle(&self) {
        // A paused clock moves only when no task can run.
        tokio::time::sleep(Duration::from_nanos(1)).await;
    }
}

fn port(ip: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(ip, port)
}

async fn read_end(stream: &mut TcpStream) -> Result<()> {
    let length = stream.read(&mut [0; 64]).await?;
    ensure!(length == 0, "{length} bytes and not the end");
    Ok(())
}

async fn read_error(stream: &mut TcpStream) -> Option<ErrorKind> {
    stream
        .read(&mut [0; 64])
        .await
        .err()
        .map(|error| error.kind())
}

async fn deliver(from: &mut TcpStream, to: &mut TcpStream) -> Result<()> {
    from.write_all(TEXT).await?;
    let mut text = [0; TEXT.len()];
    to.read_exact(&mut text).await?;
    ensure!(&text == TEXT, "{text:?}");
    Ok(())
}

/// The handshake's three segments.
fn handshake(client: &str, server: &str) -> [String; 3] {
    [
        format!("{client} > {server} S 0:0(0) {SYN}"),
        format!("{server} > {client} S. 0:0(0) ack 1 {SYN}"),
        format!("{client} > {server} . 1:1(0) ack 1 {TS}"),
    ]
}

fn path(parts: &[&[State]]) -> Vec<State> {
    parts.concat()
}

const CLIENT_OPENS: &[State] = &[Closed, SynSent, Established];
const SERVER_OPENS: &[State] = &[Listen, SynReceived, Established];
const CLOSES_FIRST: &[State] = &[FinWait1, FinWait2, TimeWait, Closed];
const CLOSES_SECOND: &[State] = &[CloseWait, LastAck, Closed];

#[tokio::test(start_paused = true)]
async fn s1_an_ordinary_life() -> Result<()> {
    let world = World::new("client", "server")?;
    let (client, server) = (port(NEAR, 1099), port(FAR, 7));
    let (mut near, mut far) = world.connect(1099, 7).await?;
    deliver(&mut near, &mut far).await?;
    deliver(&mut far, &mut near).await?;
    near.shutdown().await?;
    read_end(&mut far).await?;
    far.shutdown().await?;
    read_end(&mut near).await?;

    let began = Instant::now();
    world
        .near
        .history
        .expect(client, server, &path(&[CLIENT_OPENS, CLOSES_FIRST]))
        .await?;
    world
        .far
        .history
        .expect(server, client, &path(&[SERVER_OPENS, CLOSES_SECOND]))
        .await?;
    ensure!(
        began.elapsed() >= TWO_MSL,
        "TIME-WAIT took {:?}",
        began.elapsed()
    );
    let life = [
        // The first segments of a connection are acknowledged at once, later ones when two are there.
        format!("client > server P. 1:14(13) ack 1 {TS}"),
        format!("server > client . 1:1(0) ack 14 {TS}"),
        format!("server > client P. 1:14(13) ack 14 {TS}"),
        format!("client > server . 14:14(0) ack 14 {TS}"),
        format!("client > server F. 14:14(0) ack 14 {TS}"),
        format!("server > client . 14:14(0) ack 15 {TS}"),
        format!("server > client F. 14:14(0) ack 15 {TS}"),
        format!("client > server . 15:15(0) ack 15 {TS}"),
    ];
    world.expect_segments(&[&handshake("client", "server")[..], &life].concat())
}

/// FIN-WAIT-2: our side has said all, the other goes on.
#[tokio::test(start_paused = true)]
async fn s1_half_close() -> Result<()> {
    let world = World::new("client", "server")?;
    let (client, server) = (port(NEAR, 1099), port(FAR, 7));
    let (mut near, mut far) = world.connect(1099, 7).await?;
    near.shutdown().await?;
    read_end(&mut far).await?;
    deliver(&mut far, &mut near).await?;
    let half = path(&[CLIENT_OPENS, &[FinWait1, FinWait2]]);
    world.near.history.expect(client, server, &half).await?;
    far.shutdown().await?;
    read_end(&mut near).await?;
    world
        .near
        .history
        .expect(client, server, &path(&[CLIENT_OPENS, CLOSES_FIRST]))
        .await?;
    world
        .far
        .history
        .expect(server, client, &path(&[SERVER_OPENS, CLOSES_SECOND]))
        .await
}

/// The third way into TIME-WAIT: one segment carries the peer's FIN and the ACK of ours.
#[tokio::test(start_paused = true)]
async fn s1_fin_with_the_ack_of_ours() -> Result<()> {
    let world = World::new("client", "server")?;
    let (client, server) = (port(NEAR, 1099), port(FAR, 7));
    let (mut near, mut far) = world.connect(1099, 7).await?;
    // The server's bare ACK of the client's FIN gets lost.
    world
        .gate
        .set_rule(|direction, packet| match Brief::of(packet) {
            Some(brief) if direction == Direction::Received && brief.is_pure_ack() => Fate::Dropped,
            _ => Fate::Passed,
        });
    near.shutdown().await?;
    read_end(&mut far).await?;
    far.shutdown().await?;
    read_end(&mut near).await?;
    let straight = path(&[CLIENT_OPENS, &[FinWait1, TimeWait, Closed]]);
    world.near.history.expect(client, server, &straight).await?;
    world
        .far
        .history
        .expect(server, client, &path(&[SERVER_OPENS, CLOSES_SECOND]))
        .await?;
    let closing = [
        format!("client > server F. 1:1(0) ack 1 {TS}"),
        format!("server > client . 1:1(0) ack 2 {TS} dropped"),
        format!("server > client F. 1:1(0) ack 2 {TS}"),
        format!("client > server . 2:2(0) ack 2 {TS}"),
    ];
    world.expect_segments(&[&handshake("client", "server")[..], &closing].concat())
}

/// Six retries, each after twice the time of the one before, then the error.
#[tokio::test(start_paused = true)]
async fn s1_syn_without_an_answer() -> Result<()> {
    let world = World::new("client", "server")?;
    let (client, server) = (port(NEAR, 1099), port(FAR, 7));
    world.gate.cut();
    let began = Instant::now();
    let kind = world
        .near
        .socket(client, false)?
        .connect(server)
        .await
        .err()
        .map(|e| e.kind());
    ensure!(kind == Some(ErrorKind::TimedOut), "{kind:?}");
    ensure!(
        began.elapsed().as_secs() == 127,
        "after {:?}",
        began.elapsed()
    );
    world
        .near
        .history
        .expect(client, server, &[Closed, SynSent, Closed])
        .await?;
    world.expect_segments(&vec![format!("client > server S 0:0(0) {SYN} dropped"); 7])?;
    let seconds: Vec<_> = world
        .records()
        .iter()
        .map(|record| record.at.as_secs())
        .collect();
    ensure!(seconds == [0, 1, 3, 7, 15, 31, 63], "SYNs at {seconds:?}");
    Ok(())
}

/// A SYN that is lost once costs a second of virtual time, and no error.
#[tokio::test(start_paused = true)]
async fn s1_first_syn_lost() -> Result<()> {
    let world = World::new("client", "server")?;
    let mut first = true;
    world.gate.set_rule(move |_, _| {
        if std::mem::take(&mut first) {
            Fate::Dropped
        } else {
            Fate::Passed
        }
    });
    let began = Instant::now();
    world.connect(1099, 7).await?;
    ensure!(
        began.elapsed().as_secs() == 1,
        "after {:?}",
        began.elapsed()
    );
    Ok(())
}

/// The last ACK is lost: the FIN comes again, is acknowledged again, and 2MSL begins anew.
#[tokio::test(start_paused = true)]
async fn s2_last_ack_lost() -> Result<()> {
    let world = World::new("client", "server")?;
    let (client, server) = (port(NEAR, 1099), port(FAR, 7));
    let (mut near, mut far) = world.connect(1099, 7).await?;
    near.shutdown().await?;
    read_end(&mut far).await?;
    let mut first = true;
    world
        .gate
        .set_rule(move |direction, packet| match Brief::of(packet) {
            Some(brief)
                if direction == Direction::Sent
                    && brief.is_pure_ack()
                    && std::mem::take(&mut first) =>
            {
                Fate::Dropped
            }
            _ => Fate::Passed,
        });
    far.shutdown().await?;
    read_end(&mut near).await?;
    world
        .far
        .history
        .expect(server, client, &path(&[SERVER_OPENS, CLOSES_SECOND]))
        .await?;
    world
        .near
        .history
        .expect(client, server, &path(&[CLIENT_OPENS, CLOSES_FIRST]))
        .await?;

    let closing = [
        format!("client > server F. 1:1(0) ack 1 {TS}"),
        format!("server > client . 1:1(0) ack 2 {TS}"),
        format!("server > client F. 1:1(0) ack 2 {TS}"),
        format!("client > server . 2:2(0) ack 2 {TS} dropped"),
        format!("server > client F. 1:1(0) ack 2 {TS}"),
        format!("client > server . 2:2(0) ack 2 {TS}"),
    ];
    world.expect_segments(&[&handshake("client", "server")[..], &closing].concat())?;
    // What was waited is 2MSL from the second ACK on.
    let times: Vec<_> = world
        .near
        .history
        .transitions(client, server)
        .iter()
        .map(|t| t.at)
        .collect();
    let [.., entered, left] = times[..] else {
        anyhow::bail!("{} transitions", times.len());
    };
    let records = world.records();
    let [.., first_ack, _, second_ack] = records.as_slice() else {
        anyhow::bail!("{} segments", records.len());
    };
    let again = second_ack.at - first_ack.at;
    ensure!(
        again >= Duration::from_millis(200),
        "the FIN came again after {again:?}"
    );
    ensure!(
        (left - entered).abs_diff(TWO_MSL + again) < Duration::from_millis(5),
        "waited {:?}",
        left - entered
    );
    Ok(())
}

/// PC1 serves port 6666, PC2 connects from 1098, PC1 stops its server first. Then PC1 wants 6666
/// for a client.
#[tokio::test(start_paused = true)]
async fn s2_address_in_use() -> Result<()> {
    let world = World::new("pc1", "pc2")?;
    let (pc1, pc2) = (port(NEAR, 6666), port(FAR, 1098));
    let listener = world.near.stack.listen(pc1).await?;
    let socket = world.far.socket(pc2, false)?;
    let (mut far, (mut near, _)) = tokio::try_join!(socket.connect(pc1), listener.accept())?;
    drop(listener);
    near.shutdown().await?;
    read_end(&mut far).await?;
    drop(far);
    read_end(&mut near).await?;
    drop(near);
    let waiting = path(&[SERVER_OPENS, &[FinWait1, FinWait2, TimeWait]]);
    world.near.history.expect(pc1, pc2, &waiting).await?;

    let kind = |error: std::io::Error| error.kind();
    let bind = world.near.stack.socket_v4().bind(pc1).err().map(kind);
    ensure!(bind == Some(ErrorKind::AddrInUse), "bind: {bind:?}");
    // With SO_REUSEADDR the bind goes through, and that very four-tuple is still taken.
    let connect = world
        .near
        .socket(pc1, true)?
        .connect(pc2)
        .await
        .err()
        .map(kind);
    ensure!(
        connect == Some(ErrorKind::AddrInUse),
        "connect: {connect:?}"
    );
    // Any other four-tuple is free.
    let other = world.far.stack.listen(port(FAR, 1099)).await?;
    let socket = world.near.socket(pc1, true)?;
    let (stream, _) = tokio::try_join!(socket.connect(port(FAR, 1099)), other.accept())?;
    ensure!(
        stream.local_addr()? == pc1,
        "from {:?}",
        stream.local_addr()
    );
    // So is any other port, which a client that does not bind gets without asking.
    let (ephemeral, _) =
        tokio::try_join!(world.near.stack.connect(port(FAR, 1099)), other.accept())?;
    ensure!(
        ephemeral.local_addr()? != pc1,
        "from {:?}",
        ephemeral.local_addr()
    );

    let began = Instant::now();
    world
        .near
        .history
        .expect(pc1, pc2, &path(&[SERVER_OPENS, CLOSES_FIRST]))
        .await?;
    ensure!(began.elapsed() <= TWO_MSL, "after {:?}", began.elapsed());
    let again = world.far.stack.listen(pc2).await?;
    let socket = world.near.socket(pc1, true)?;
    let (stream, _) = tokio::try_join!(socket.connect(pc2), again.accept())?;
    ensure!(
        stream.local_addr()? == pc1,
        "from {:?}",
        stream.local_addr()
    );
    Ok(())
}

/// The answer to a SYN for a port nobody listens on, each time it is tried.
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

/// Thirteen bytes, acknowledged, then linger zero: a reset, and the peer's application is told.
#[tokio::test(start_paused = true)]
async fn s3_abortive_release() -> Result<()> {
    let world = World::new("bsd1", "svr4")?;
    let (client, server) = (port(NEAR, 1099), port(FAR, 8888));
    let (mut near, mut far) = world.connect(1099, 8888).await?;
    deliver(&mut near, &mut far).await?;
    // The acknowledgment is on its way by then.
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

/// What is still to be sent when a stream with linger zero is dropped is never sent.
#[tokio::test(start_paused = true)]
async fn s3_abortive_release_discards() -> Result<()> {
    let world = World::new("client", "server")?;
    let (near, mut far) = world.connect(1099, 8888).await?;
    // The far side does not read: its window closes with much left to send.
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

/// The server's host loses its power; 8.5 minutes later the client types a line.
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
        "somebody spoke into the silence"
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

/// With keepalive the survivor of a half-open connection finds out by itself.
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

    // Gone for good: nine probes, 75 seconds apart, after two hours.
    world.gate.cut();
    let kind = read_error(&mut stream).await;
    ensure!(kind == Some(ErrorKind::TimedOut), "{kind:?}");
    ensure!(
        began.elapsed().as_secs() == 7200 + 9 * 75,
        "after {:?}",
        began.elapsed()
    );

    // Gone and back: the first probe is answered by a reset.
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

/// Both SYNs cross: one connection, four segments, and then the document's exchange and close.
#[tokio::test(start_paused = true)]
async fn s5_simultaneous_open() -> Result<()> {
    let world = World::new("bsdi", "vangogh")?;
    let (bsdi, vangogh) = (port(NEAR, 8888), port(FAR, 7777));
    world.gate.set_rule(|_, packet| match Brief::of(packet) {
        Some(brief) if brief.flags.contains(Flags::SYN) => Fate::Held,
        _ => Fate::Passed,
    });
    let (near, far) = (
        world.near.socket(bsdi, false)?,
        world.far.socket(vangogh, false)?,
    );
    let cross = async {
        world.gate.holding(2).await;
        world.gate.release()?;
        // The answers cross, too.
        world.gate.holding(2).await;
        world.gate.open();
        world.gate.release()
    };
    let (mut near, mut far, ()) =
        tokio::try_join!(near.connect(vangogh), far.connect(bsdi), cross)?;
    let opened = [Closed, SynSent, SynReceived, Established];
    world.near.history.expect(bsdi, vangogh, &opened).await?;
    world.far.history.expect(vangogh, bsdi, &opened).await?;

    deliver(&mut near, &mut far).await?;
    deliver(&mut far, &mut near).await?;
    far.shutdown().await?;
    read_end(&mut near).await?;
    near.shutdown().await?;
    read_end(&mut far).await?;
    world
        .far
        .history
        .expect(vangogh, bsdi, &path(&[&opened, CLOSES_FIRST]))
        .await?;
    world
        .near
        .history
        .expect(bsdi, vangogh, &path(&[&opened, CLOSES_SECOND]))
        .await?;
    world.expect_segments(&[
        format!("bsdi > vangogh S 0:0(0) {SYN} held"),
        format!("vangogh > bsdi S 0:0(0) {SYN} held"),
        format!("vangogh > bsdi S. 0:0(0) ack 1 {SYN} held"),
        format!("bsdi > vangogh S. 0:0(0) ack 1 {SYN} held"),
        format!("bsdi > vangogh P. 1:14(13) ack 1 {TS}"),
        format!("vangogh > bsdi . 1:1(0) ack 14 {TS}"),
        format!("vangogh > bsdi P. 1:14(13) ack 14 {TS}"),
        format!("bsdi > vangogh . 14:14(0) ack 14 {TS}"),
        format!("vangogh > bsdi F. 14:14(0) ack 14 {TS}"),
        format!("bsdi > vangogh . 14:14(0) ack 15 {TS}"),
        format!("bsdi > vangogh F. 14:14(0) ack 15 {TS}"),
        format!("vangogh > bsdi . 15:15(0) ack 15 {TS}"),
    ])
}

/// Both FINs cross: both ends go through CLOSING, and both wait 2MSL.
#[tokio::test(start_paused = true)]
async fn s6_simultaneous_close() -> Result<()> {
    let world = World::new("client", "server")?;
    let (client, server) = (port(NEAR, 1099), port(FAR, 7));
    let (mut near, mut far) = world.connect(1099, 7).await?;
    world.gate.set_rule(|_, _| Fate::Held);
    near.shutdown().await?;
    far.shutdown().await?;
    world.gate.holding(2).await;
    world.gate.open();
    world.gate.release()?;
    read_end(&mut near).await?;
    read_end(&mut far).await?;
    let began = Instant::now();
    let closing = [FinWait1, Closing, TimeWait, Closed];
    world
        .near
        .history
        .expect(client, server, &path(&[CLIENT_OPENS, &closing]))
        .await?;
    world
        .far
        .history
        .expect(server, client, &path(&[SERVER_OPENS, &closing]))
        .await?;
    ensure!(began.elapsed() >= TWO_MSL, "waited {:?}", began.elapsed());
    let segments = [
        format!("client > server F. 1:1(0) ack 1 {TS} held"),
        format!("server > client F. 1:1(0) ack 1 {TS} held"),
        format!("server > client . 2:2(0) ack 2 {TS}"),
        format!("client > server . 2:2(0) ack 2 {TS}"),
    ];
    world.expect_segments(&[&handshake("client", "server")[..], &segments].concat())
}
