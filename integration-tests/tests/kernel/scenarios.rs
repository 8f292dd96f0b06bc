//! The scenarios of docs/tutorial.md with the kernel as one of the two hosts: the states of the
//! stack's end, and the segments where they matter.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use millstream::State::{self, *};
use millstream::device::Direction;
use millstream_testbed::kernel;
use millstream_testbed::lab::{Family, Lab, Net, Setup};
use millstream_testbed::segments::{Brief, Narrator};
use millstream_testbed::trace::{Fate, Limits};
use millstream_wire::tcp::Flags;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream as KernelStream;

use crate::connect::{PORT, to_the_kernel, to_the_stack};

/// Half the duration of TIME-WAIT.
const MSL: Duration = Duration::from_millis(200);

const CLIENT_OPENS: [State; 3] = [Closed, SynSent, Established];
const SERVER_OPENS: [State; 3] = [Listen, SynReceived, Established];
/// The first part of an active close: the stack's FIN is acknowledged, and the kernel's is still to
/// come.
const HALF_CLOSES: [State; 2] = [FinWait1, FinWait2];
const CLOSES_FIRST: [State; 4] = [FinWait1, FinWait2, TimeWait, Closed];
const CLOSES_SECOND: [State; 3] = [CloseWait, LastAck, Closed];

/// A link with a short TIME-WAIT and a complete trace.
async fn net(lab: &Lab) -> Result<Net> {
    lab.net_with(Setup {
        configure: |config| config.msl = MSL,
        trace: Limits::EVERYTHING,
        ..Setup::default()
    })
    .await
}

/// The TCP segments of the link's trace.
fn segments(net: &Net) -> Result<Vec<String>> {
    Narrator::by_address([
        (net.stack(Family::V4, 0).ip(), "stack"),
        (net.kernel(Family::V4, 0).ip(), "kernel"),
    ])
    .tell(&net.gate.trace().records())
}

fn ensure_lines(lines: &[String], expected: &[&str]) -> Result<()> {
    ensure!(lines == expected, "the segments were\n{}", lines.join("\n"));
    Ok(())
}

/// Reads an empty stream to its regular end.
async fn read_end(stream: &mut (impl AsyncRead + Unpin)) -> Result<()> {
    let length = stream.read(&mut [0; 64]).await?;
    ensure!(length == 0, "{length} bytes instead of the end");
    Ok(())
}

/// The error with which reading ends at once.
async fn read_error(stream: &mut (impl AsyncRead + Unpin)) -> Option<ErrorKind> {
    let error = stream.read(&mut [0; 64]).await.err();
    error.map(|error| error.kind())
}

pub(crate) async fn s1_client_closes_first(lab: &Lab) -> Result<()> {
    let net = net(lab).await?;
    let (mut ours, mut theirs) = to_the_kernel(&net, Family::V4).await?;
    let (local, peer) = (ours.local_addr()?, ours.peer_addr()?);
    ours.shutdown().await?;
    read_end(&mut theirs).await?;
    // The kernel may delay the acknowledgment of the FIN and send it with its own FIN.
    let half = [CLIENT_OPENS.as_slice(), &HALF_CLOSES].concat();
    net.history.expect(local, peer, &half).await?;
    drop(theirs);
    read_end(&mut ours).await?;
    let path = [CLIENT_OPENS.as_slice(), &CLOSES_FIRST].concat();
    net.history.expect(local, peer, &path).await?;

    // The opposite order: the kernel's client closes first.
    let (mut ours, mut theirs) = to_the_stack(&net, Family::V4).await?;
    let (local, peer) = (ours.local_addr()?, ours.peer_addr()?);
    theirs.shutdown().await?;
    read_end(&mut ours).await?;
    drop(ours);
    read_end(&mut theirs).await?;
    let path = [SERVER_OPENS.as_slice(), &CLOSES_SECOND].concat();
    net.history.expect(local, peer, &path).await
}

pub(crate) async fn s1_server_closes_first(lab: &Lab) -> Result<()> {
    let net = net(lab).await?;
    let (mut ours, mut theirs) = to_the_stack(&net, Family::V4).await?;
    let (local, peer) = (ours.local_addr()?, ours.peer_addr()?);
    ours.shutdown().await?;
    read_end(&mut theirs).await?;
    let half = [SERVER_OPENS.as_slice(), &HALF_CLOSES].concat();
    net.history.expect(local, peer, &half).await?;
    drop(theirs);
    read_end(&mut ours).await?;
    let path = [SERVER_OPENS.as_slice(), &CLOSES_FIRST].concat();
    net.history.expect(local, peer, &path).await?;

    let (mut ours, mut theirs) = to_the_kernel(&net, Family::V4).await?;
    let (local, peer) = (ours.local_addr()?, ours.peer_addr()?);
    theirs.shutdown().await?;
    read_end(&mut ours).await?;
    drop(ours);
    read_end(&mut theirs).await?;
    let path = [CLIENT_OPENS.as_slice(), &CLOSES_SECOND].concat();
    net.history.expect(local, peer, &path).await
}

/// The kernel's bare ACK of the stack's FIN is lost, so that the kernel's own FIN is the first to
/// acknowledge it.
pub(crate) async fn s1_fin_with_the_ack_of_the_first_fin(lab: &Lab) -> Result<()> {
    let net = net(lab).await?;
    let (mut ours, mut theirs) = to_the_kernel(&net, Family::V4).await?;
    let (local, peer) = (ours.local_addr()?, ours.peer_addr()?);
    net.gate
        .set_rule(|direction, packet| match Brief::of(packet) {
            Some(brief) if direction == Direction::Received && brief.is_pure_ack() => Fate::Dropped,
            _ => Fate::Passed,
        });
    ours.shutdown().await?;
    read_end(&mut theirs).await?;
    drop(theirs);
    read_end(&mut ours).await?;
    let path = [CLIENT_OPENS.as_slice(), &[FinWait1, TimeWait, Closed]].concat();
    net.history.expect(local, peer, &path).await
}

pub(crate) async fn s1_syn_without_an_answer(lab: &Lab) -> Result<()> {
    let net = lab
        .net_with(Setup {
            configure: |config| {
                config.socket.initial_rto = Duration::from_millis(100);
                config.socket.syn_retries = 2;
            },
            trace: Limits::EVERYTHING,
            ..Setup::default()
        })
        .await?;
    net.gate.cut();
    let (local, peer) = (net.stack(Family::V4, 5000), net.kernel(Family::V4, PORT));
    let socket = net.stack.socket_v4();
    socket.bind(local)?;
    let kind = socket.connect(peer).await.err().map(|error| error.kind());
    ensure!(kind == Some(ErrorKind::TimedOut), "{kind:?}");
    net.history
        .expect(local, peer, &[Closed, SynSent, Closed])
        .await?;
    let syn = "stack > kernel S 0:0(0) <mss 1460,sackOK,TS,nop,wscale 10> dropped";
    ensure_lines(&segments(&net)?, &[syn; 3])
}

/// The classic case: a server's host reuses the server's port for a client.
pub(crate) async fn s2_address_in_use(lab: &Lab) -> Result<()> {
    let net = net(lab).await?;
    let (pc1, pc2) = (net.stack(Family::V4, 6666), net.kernel(Family::V4, 1098));
    let listener = net.stack.listen(pc1).await?;
    let (mut theirs, (mut ours, _)) =
        tokio::try_join!(kernel::connect_from(pc2, pc1), listener.accept())?;
    drop(listener);
    ours.shutdown().await?;
    read_end(&mut theirs).await?;
    let half = [SERVER_OPENS.as_slice(), &HALF_CLOSES].concat();
    net.history.expect(pc1, pc2, &half).await?;
    drop(theirs);
    read_end(&mut ours).await?;
    drop(ours);
    let path = [SERVER_OPENS.as_slice(), &CLOSES_FIRST].concat();
    let (closed, waiting) = path.split_last().context("a path")?;
    net.history.expect(pc1, pc2, waiting).await?;
    ensure!(*closed == Closed, "the path ends in CLOSED");

    let kind = net
        .stack
        .socket_v4()
        .bind(pc1)
        .err()
        .map(|error| error.kind());
    ensure!(kind == Some(ErrorKind::AddrInUse), "bind: {kind:?}");

    let reusing = || -> Result<millstream::TcpSocket> {
        let socket = net.stack.socket_v4();
        socket.set_reuseaddr(true)?;
        socket.bind(pc1).context("bind with SO_REUSEADDR")?;
        Ok(socket)
    };
    let kind = reusing()?
        .connect(pc2)
        .await
        .err()
        .map(|error| error.kind());
    ensure!(
        kind == Some(ErrorKind::AddrNotAvailable),
        "the same four-tuple: {kind:?}"
    );

    let elsewhere = kernel::listen(net.kernel(Family::V4, 1099))?;
    let (other, _) = tokio::try_join!(
        async { Ok(reusing()?.connect(elsewhere.local_addr()?).await?) },
        async { Ok(elsewhere.accept().await?) }
    )
    .map_err(|error: anyhow::Error| error.context("another four-tuple"))?;
    ensure!(other.local_addr()? == pc1, "{:?}", other.local_addr());

    net.history.expect(pc1, pc2, &path).await?;
    let again = kernel::listen(pc2)?;
    let (ours, _) = tokio::try_join!(async { Ok(reusing()?.connect(pc2).await?) }, async {
        Ok(again.accept().await?)
    })
    .map_err(|error: anyhow::Error| error.context("the same four-tuple after 2MSL"))?;
    ensure!(ours.local_addr()? == pc1, "{:?}", ours.local_addr());
    Ok(())
}

/// The ACK of the kernel's FIN is lost; the FIN is retransmitted and acknowledged again, and the
/// wait restarts.
pub(crate) async fn s2_last_ack_lost(lab: &Lab) -> Result<()> {
    let net = net(lab).await?;
    let (mut ours, mut theirs) = to_the_kernel(&net, Family::V4).await?;
    let (local, peer) = (ours.local_addr()?, ours.peer_addr()?);
    ours.shutdown().await?;
    read_end(&mut theirs).await?;
    let half = [CLIENT_OPENS.as_slice(), &HALF_CLOSES].concat();
    net.history.expect(local, peer, &half).await?;
    let _lost = net
        .gate
        .lose_next(|direction, brief| direction == Direction::Sent && brief.is_pure_ack());
    drop(theirs);
    read_end(&mut ours).await?;
    let path = [CLIENT_OPENS.as_slice(), &CLOSES_FIRST].concat();
    net.history.expect(local, peer, &path).await?;

    let lines = segments(&net)?;
    let lost = lines.iter().position(|line| line.ends_with("dropped"));
    let rest = &lines[lost.context("no ACK was lost")? - 1..];
    let fin = "kernel > stack F. 1:1(0) ack 2 <nop,nop,TS>";
    let ack = "stack > kernel . 2:2(0) ack 2 <nop,nop,TS>";
    ensure_lines(rest, &[fin, &format!("{ack} dropped"), fin, ack])?;

    let times: Vec<_> = net
        .history
        .transitions(local, peer)
        .iter()
        .map(|t| t.at)
        .collect();
    let [.., entered, left] = times[..] else {
        anyhow::bail!("there are two last transitions");
    };
    // The kernel's RTO is at least 200 ms.
    let waited = left - entered;
    ensure!(
        waited >= 2 * MSL + Duration::from_millis(190),
        "waited {waited:?}"
    );
    Ok(())
}

pub(crate) async fn s3_refused(lab: &Lab) -> Result<()> {
    let net = net(lab).await?;
    let refused = Some(ErrorKind::ConnectionRefused);
    let kind = net
        .stack
        .connect(net.kernel(Family::V4, 5001))
        .await
        .err()
        .map(|e| e.kind());
    ensure!(kind == refused, "ours: {kind:?}");
    let kind = kernel::connect(net.stack(Family::V4, 5001))
        .await
        .err()
        .map(|e| e.kind());
    ensure!(kind == refused, "theirs: {kind:?}");
    let lines = segments(&net)?;
    ensure!(lines.len() == 4, "the segments were\n{}", lines.join("\n"));
    ensure!(
        lines[0] == "stack > kernel S 0:0(0) <mss 1460,sackOK,TS,nop,wscale 10>",
        "{}",
        lines[0]
    );
    ensure!(
        lines[1] == "kernel > stack R. 0:0(0) ack 1 win 0",
        "{}",
        lines[1]
    );
    ensure!(
        lines[2].starts_with("kernel > stack S 0:0(0)"),
        "{}",
        lines[2]
    );
    ensure!(
        lines[3] == "stack > kernel R. 0:0(0) ack 1 win 0",
        "{}",
        lines[3]
    );
    Ok(())
}

/// Thirteen bytes, acknowledged, then a close with a linger time of zero: the classic trace.
pub(crate) async fn s3_abortive_release(lab: &Lab) -> Result<()> {
    let net = net(lab).await?;
    let (mut ours, mut theirs) = to_the_kernel(&net, Family::V4).await?;
    let (local, peer) = (ours.local_addr()?, ours.peer_addr()?);
    let acknowledged = net
        .gate
        .passing(|direction, brief| direction == Direction::Received && brief.is_pure_ack());
    ours.write_all(b"hello, world\n").await?;
    theirs.read_exact(&mut [0; 13]).await?;
    acknowledged.await?;
    ours.set_zero_linger()?;
    drop(ours);
    let kind = read_error(&mut theirs).await;
    ensure!(kind == Some(ErrorKind::ConnectionReset), "{kind:?}");
    let path = [CLIENT_OPENS.as_slice(), &[Closed]].concat();
    net.history.expect(local, peer, &path).await?;
    let lines = segments(&net)?;
    let after_handshake = lines.get(3..).context("a handshake")?;
    ensure_lines(
        after_handshake,
        &[
            "stack > kernel P. 1:14(13) ack 1 <nop,nop,TS>",
            "kernel > stack . 1:1(0) ack 14 <nop,nop,TS>",
            "stack > kernel R. 14:14(0) ack 1 win 0 <nop,nop,TS>",
        ],
    )
}

/// The stack's host crashes and restarts; the kernel's client notices when it sends data.
pub(crate) async fn s4_kernel_survives(lab: &Lab) -> Result<()> {
    let net = net(lab).await?;
    let (_ours, mut theirs) = to_the_stack(&net, Family::V4).await?;
    let net = lab.reboot(net).await?;
    theirs.write_all(&[b'x'; 40]).await?;
    let kind = read_error(&mut theirs).await;
    ensure!(kind == Some(ErrorKind::ConnectionReset), "{kind:?}");
    to_the_stack(&net, Family::V4)
        .await
        .context("a new connection")?;
    Ok(())
}

/// Makes the kernel forget a connection unnoticed by the stack: the reset is lost.
async fn forget(net: &Net, theirs: KernelStream) -> Result<()> {
    let lost = net
        .gate
        .lose_next(|_, brief| brief.flags.contains(Flags::RST));
    kernel::reset(theirs)?;
    Ok(lost.await?)
}

/// The kernel loses a connection while the cable is unplugged; the stack's client notices when it
/// sends data.
pub(crate) async fn s4_stack_survives(lab: &Lab) -> Result<()> {
    let net = net(lab).await?;
    let (mut ours, theirs) = to_the_kernel(&net, Family::V4).await?;
    let (local, peer) = (ours.local_addr()?, ours.peer_addr()?);
    forget(&net, theirs).await?;
    net.history.expect(local, peer, &CLIENT_OPENS).await?;
    ours.write_all(&[b'x'; 40]).await?;
    let kind = read_error(&mut ours).await;
    ensure!(kind == Some(ErrorKind::ConnectionReset), "{kind:?}");
    net.history
        .expect(local, peer, &[&CLIENT_OPENS[..], &[Closed]].concat())
        .await?;
    to_the_kernel(&net, Family::V4)
        .await
        .context("a new connection")?;
    Ok(())
}

/// With keepalive the survivor notices without sending data: by a reset if the other host is back,
/// by silence if it is not.
pub(crate) async fn s4_keepalive_detects_a_lost_peer(lab: &Lab) -> Result<()> {
    let net = lab
        .net_with(Setup {
            configure: |config| {
                config.socket.keepalive = Some(
                    millstream::Keepalive::default()
                        .idle(Duration::from_secs(1))
                        .interval(Duration::from_secs(1))
                        .count(2),
                );
            },
            trace: Limits::EVERYTHING,
            ..Setup::default()
        })
        .await?;
    let (mut ours, theirs) = to_the_kernel(&net, Family::V4).await?;
    forget(&net, theirs).await?;
    let kind = read_error(&mut ours).await;
    ensure!(
        kind == Some(ErrorKind::ConnectionReset),
        "the host is back: {kind:?}"
    );

    let (mut ours, theirs) = to_the_kernel(&net, Family::V4).await?;
    net.gate.cut();
    kernel::reset(theirs)?;
    let kind = read_error(&mut ours).await;
    ensure!(
        kind == Some(ErrorKind::TimedOut),
        "the host is gone: {kind:?}"
    );
    Ok(())
}

/// Both SYNs are in flight before either arrives, and one connection results. The stack answers the
/// kernel's SYN before it receives the kernel's answer, which the kernel writes within the system
/// call that passes it the stack's SYN.
pub(crate) async fn s5_simultaneous_open(lab: &Lab) -> Result<()> {
    let net = net(lab).await?;
    let (local, peer) = (net.stack(Family::V4, 8888), net.kernel(Family::V4, 7777));
    net.gate.set_rule(|_, packet| match Brief::of(packet) {
        Some(brief) if brief.flags.contains(Flags::SYN) => Fate::Held,
        _ => Fate::Passed,
    });
    let socket = net.stack.socket_v4();
    socket.bind(local)?;
    let cross = async {
        net.gate.holding(2).await;
        net.gate.release_received()?;
        net.gate.holding(2).await;
        net.gate.open();
        net.gate.release()
    };
    let (mut ours, mut theirs, ()) = tokio::try_join!(
        socket.connect(peer),
        kernel::connect_from(peer, local),
        cross
    )?;
    net.history
        .expect(local, peer, &[Closed, SynSent, SynReceived, Established])
        .await?;

    for _ in 0..2 {
        ours.write_all(b"hello, world\n").await?;
        let mut text = [0; 13];
        theirs.read_exact(&mut text).await?;
        theirs.write_all(&text).await?;
        ours.read_exact(&mut text).await?;
        ensure!(&text == b"hello, world\n", "{text:?}");
    }
    theirs.shutdown().await?;
    read_end(&mut ours).await?;
    ours.shutdown().await?;
    read_end(&mut theirs).await?;
    let path = [
        Closed,
        SynSent,
        SynReceived,
        Established,
        CloseWait,
        LastAck,
        Closed,
    ];
    net.history.expect(local, peer, &path).await?;

    let lines = segments(&net)?;
    let syns: Vec<_> = lines
        .iter()
        .filter(|line| line.contains(" 0:0(0) "))
        .map(String::as_str)
        .collect();
    let [first, second, answers @ ..] = syns.as_slice() else {
        anyhow::bail!("the segments were\n{}", lines.join("\n"));
    };
    ensure!(
        first.contains(" S 0:0(0) <") && first.ends_with(" held"),
        "{first}"
    );
    ensure!(
        second.contains(" S 0:0(0) <") && second.ends_with(" held"),
        "{second}"
    );
    ensure!(
        answers.len() == 2,
        "the segments were\n{}",
        lines.join("\n")
    );
    for side in ["stack > kernel", "kernel > stack"] {
        let answer = format!("{side} S. 0:0(0) ack 1 <");
        ensure!(
            answers.iter().any(|line| line.starts_with(&answer)),
            "no {answer}"
        );
    }
    Ok(())
}

/// Both FINs are in flight before either arrives.
pub(crate) async fn s6_simultaneous_close(lab: &Lab) -> Result<()> {
    let net = net(lab).await?;
    let (mut ours, mut theirs) = to_the_kernel(&net, Family::V4).await?;
    let (local, peer) = (ours.local_addr()?, ours.peer_addr()?);
    net.gate.set_rule(|_, packet| match Brief::of(packet) {
        Some(brief) if brief.flags.contains(Flags::FIN) => Fate::Held,
        _ => Fate::Passed,
    });
    tokio::try_join!(ours.shutdown(), theirs.shutdown())?;
    net.gate.holding(2).await;
    net.gate.open();
    net.gate.release()?;
    tokio::try_join!(read_end(&mut ours), read_end(&mut theirs))?;
    let path = [&CLIENT_OPENS[..], &[FinWait1, Closing, TimeWait, Closed]].concat();
    net.history.expect(local, peer, &path).await?;

    let lines = segments(&net)?;
    let closing = lines.get(3..).context("a handshake")?;
    ensure!(
        closing.len() == 4,
        "the segments were\n{}",
        lines.join("\n")
    );
    for line in [
        "stack > kernel F. 1:1(0) ack 1 <nop,nop,TS> held",
        "kernel > stack F. 1:1(0) ack 1 <nop,nop,TS> held",
        "stack > kernel . 2:2(0) ack 2 <nop,nop,TS>",
        "kernel > stack . 2:2(0) ack 2 <nop,nop,TS>",
    ] {
        ensure!(
            closing.iter().any(|told| told == line),
            "no {line} in\n{}",
            closing.join("\n")
        );
    }
    Ok(())
}
