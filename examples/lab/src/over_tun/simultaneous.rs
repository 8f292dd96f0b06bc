//! S5: the millstream stack and the kernel connect to each other. Their SYNs would hardly ever
//! cross by chance; here the link holds both until both are there.

use anyhow::{Result, ensure};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use millstream::State::{CloseWait, Closed, Established, LastAck, SynReceived, SynSent};
use millstream_testbed::kernel;
use millstream_testbed::lab::Lab;
use millstream_testbed::segments::Brief;
use millstream_testbed::trace::Fate;
use millstream_wire::tcp::Flags;

use super::stage::{KERNEL, OURS, Stage};
use crate::trace::Trace;

pub(crate) fn simultaneous_open(lab: &Lab) -> LocalBoxFuture<'_, Result<Trace>> {
    async move {
        let stage = Stage::new(lab).await?;
        let (local, peer) = (stage.ours(8888), stage.theirs(7777));
        stage.gate().set_rule(|_, packet| match Brief::of(packet) {
            Some(brief) if brief.flags.contains(Flags::SYN) => Fate::Held,
            _ => Fate::Passed,
        });
        let socket = stage.net.stack.socket_v4();
        socket.bind(local)?;
        let cross = async {
            stage.gate().holding(2).await;
            stage.remark("Both SYNs are on the link. Now both arrive.");
            // The kernel answers during the write of the packet to it, so its answer could arrive
            // together with its SYN.
            stage.gate().release_received()?;
            stage.gate().holding(2).await;
            stage.release()
        };
        let (mut ours, mut theirs, ()) = tokio::try_join!(
            stage.connected(socket.connect(peer), OURS, "linux", 7777),
            stage.connected(
                kernel::connect_from(peer, local),
                KERNEL,
                "millstream",
                8888
            ),
            cross
        )?;
        stage.write(OURS, &mut ours, b"hello, world\n").await?;
        let length = stage.read(KERNEL, &mut theirs).await?;
        ensure!(length == 13, "{length}");
        stage.write(KERNEL, &mut theirs, b"hello, world\n").await?;
        let length = stage.read(OURS, &mut ours).await?;
        ensure!(length == 13, "{length}");
        stage.shutdown(KERNEL, &mut theirs).await?;
        stage.read_end(OURS, &mut ours).await?;
        stage.shutdown(OURS, &mut ours).await?;
        stage.read_end(KERNEL, &mut theirs).await?;
        let opens = [Closed, SynSent, SynReceived, Established];
        let closes = [CloseWait, LastAck, Closed];
        stage.expect((local, peer), &[&opens, &closes]).await?;
        stage.finish()
    }
    .boxed_local()
}
