//! S4: the kernel loses a connection while the cable is unplugged, and the millstream end does not
//! notice.

use std::time::Duration;

use anyhow::Result;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use millstream::Keepalive;
use millstream::State::Closed;
use millstream_testbed::kernel;
use millstream_testbed::lab::Lab;
use millstream_wire::tcp::Flags;
use tokio::net::TcpStream as KernelStream;

use super::OPENS;
use super::stage::{OURS, Stage};
use crate::trace::Trace;

pub(crate) fn reboot(lab: &Lab) -> LocalBoxFuture<'_, Result<Trace>> {
    async move {
        let stage = Stage::new(lab).await?;
        let (mut ours, theirs) = stage.to_the_kernel(40_000, 22).await?;
        let ends = (stage.ours(40_000), stage.theirs(22));
        forget(&stage, theirs).await?;
        stage.expect(ends, &[&OPENS]).await?;
        stage.write(OURS, &mut ours, &[b'x'; 44]).await?;
        stage.read_reset(OURS, &mut ours).await?;
        stage.expect(ends, &[&OPENS, &[Closed]]).await?;
        stage.remark("A new connection works.");
        let _session = stage.to_the_kernel(40_001, 22).await?;
        stage.finish()
    }
    .boxed_local()
}

pub(crate) fn keepalive(lab: &Lab) -> LocalBoxFuture<'_, Result<Trace>> {
    async move {
        let stage = Stage::configured(lab, |config| {
            config.socket.keepalive = Some(
                Keepalive::default()
                    .idle(Duration::from_secs(1))
                    .interval(Duration::from_secs(1))
                    .count(3),
            );
        })
        .await?;
        let (mut ours, theirs) = stage.to_the_kernel(40_000, 22).await?;
        forget(&stage, theirs).await?;
        stage.remark("Nobody says anything. After a second our stack asks.");
        stage.read_reset(OURS, &mut ours).await?;
        let ends = (stage.ours(40_000), stage.theirs(22));
        stage.expect(ends, &[&OPENS, &[Closed]]).await?;
        stage.finish()
    }
    .boxed_local()
}

/// A replacement for a reboot of the kernel: it resets the connection, and the reset is lost.
async fn forget(stage: &Stage, theirs: KernelStream) -> Result<()> {
    stage.remark("The kernel forgets the connection, and its reset is lost.");
    let lost = stage
        .gate()
        .lose_next(|_, brief| brief.flags.contains(Flags::RST));
    kernel::reset(theirs)?;
    Ok(lost.await?)
}
