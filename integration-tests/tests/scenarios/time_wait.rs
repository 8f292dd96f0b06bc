//! S2: the 2MSL wait.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Result, ensure};
use millstream::State::{FinWait1, FinWait2, TimeWait};
use millstream::device::Direction;
use millstream_testbed::segments::Brief;
use millstream_testbed::trace::Fate;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

use crate::world::{
    CLIENT_OPENS, CLOSES_FIRST, CLOSES_SECOND, FAR, NEAR, SERVER_OPENS, TS, TWO_MSL, World,
    handshake, path, port, read_end,
};

/// The last ACK is lost: the FIN is retransmitted and acknowledged again, and the 2MSL wait
/// restarts.
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
    // The duration of the wait is 2MSL, counted from the second ACK.
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

/// PC1 serves port 6666, PC2 connects from 1098, and PC1 stops its server first. Then PC1 needs
/// 6666 for a client.
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
    // With SO_REUSEADDR the bind succeeds, but this four-tuple is still in use.
    let connect = world
        .near
        .socket(pc1, true)?
        .connect(pc2)
        .await
        .err()
        .map(kind);
    ensure!(
        connect == Some(ErrorKind::AddrNotAvailable),
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
    // So is any other port, such as the one chosen for a client that does not bind.
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
