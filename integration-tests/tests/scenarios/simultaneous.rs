//! S5 and S6: both ends open, or close, at once.

use anyhow::{Result, ensure};
use millstream::State::{Closed, Closing, Established, FinWait1, SynReceived, SynSent, TimeWait};
use millstream_testbed::segments::Brief;
use millstream_testbed::trace::Fate;
use millstream_wire::tcp::Flags;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

use crate::world::{
    CLIENT_OPENS, CLOSES_FIRST, CLOSES_SECOND, FAR, NEAR, SERVER_OPENS, SYN, TS, TWO_MSL, World,
    deliver, handshake, path, port, read_end,
};

/// Both SYNs cross: one connection, four segments, and then the classic trace's data and close.
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

/// Both FINs cross: both ends pass through CLOSING, and both wait 2MSL.
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
