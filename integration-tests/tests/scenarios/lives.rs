//! S1: the state diagram, along its usual and its less usual paths.

use std::io::ErrorKind;

use anyhow::{Result, ensure};
use millstream::State::{Closed, FinWait1, FinWait2, SynSent, TimeWait};
use millstream::device::Direction;
use millstream_testbed::segments::Brief;
use millstream_testbed::trace::Fate;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

use crate::world::{
    CLIENT_OPENS, CLOSES_FIRST, CLOSES_SECOND, FAR, NEAR, SERVER_OPENS, SYN, TS, TWO_MSL, World,
    deliver, handshake, path, port, read_end,
};

#[tokio::test(start_paused = true)]
async fn s1_normal_life_of_a_connection() -> Result<()> {
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
        // The first segments of a connection are acknowledged at once, later ones in pairs.
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

/// FIN-WAIT-2: one end has sent everything, the other continues.
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

/// The third path into TIME-WAIT: one segment carries the peer's FIN and the ACK of the first FIN.
#[tokio::test(start_paused = true)]
async fn s1_fin_with_the_ack_of_the_first_fin() -> Result<()> {
    let world = World::new("client", "server")?;
    let (client, server) = (port(NEAR, 1099), port(FAR, 7));
    let (mut near, mut far) = world.connect(1099, 7).await?;
    // The server's bare ACK of the client's FIN is lost.
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

/// Six retransmissions, each after twice the previous time, then the error.
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

/// The loss of the first SYN costs a second of virtual time, and causes no error.
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
