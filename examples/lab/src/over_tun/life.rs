//! S1: the state diagram with the kernel as the server, and without a reply.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Result, ensure};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use millstream::State::{Closed, FinWait1, FinWait2, SynSent};
use millstream::device::Direction;
use millstream_testbed::lab::Lab;

use super::stage::{KERNEL, OURS, Stage};
use super::{CLOSES_FIRST, OPENS};
use crate::trace::Trace;

pub(crate) fn life(lab: &Lab) -> LocalBoxFuture<'_, Result<Trace>> {
    async move {
        let stage = Stage::new(lab).await?;
        let ends = (stage.ours(1099), stage.theirs(7));
        let (mut ours, mut theirs) = stage.to_the_kernel(1099, 7).await?;
        let acknowledged = stage
            .gate()
            .passing(|direction, brief| direction == Direction::Received && brief.is_pure_ack());
        stage.write(OURS, &mut ours, b"hello, world\n").await?;
        stage.read(KERNEL, &mut theirs).await?;
        acknowledged.await?;
        stage.shutdown(OURS, &mut ours).await?;
        stage.read_end(KERNEL, &mut theirs).await?;
        stage.expect(ends, &[&OPENS, &[FinWait1, FinWait2]]).await?;
        stage.remark("The connection is half closed: the kernel may still send.");
        let acknowledged = stage
            .gate()
            .passing(|direction, brief| direction == Direction::Sent && brief.is_pure_ack());
        stage.write(KERNEL, &mut theirs, b"hello, client\n").await?;
        stage.read(OURS, &mut ours).await?;
        acknowledged.await?;
        stage.shutdown(KERNEL, &mut theirs).await?;
        stage.read_end(OURS, &mut ours).await?;
        stage.expect(ends, &[&OPENS, &CLOSES_FIRST]).await?;
        stage.finish()
    }
    .boxed_local()
}

pub(crate) fn no_answer(lab: &Lab) -> LocalBoxFuture<'_, Result<Trace>> {
    async move {
        let stage = Stage::configured(lab, |config| {
            config.socket.initial_rto = Duration::from_millis(100);
            config.socket.syn_retries = 2;
        })
        .await?;
        stage.gate().cut();
        stage.remark("The cable is out. The first timeout is 100 ms, and the third is the last.");
        let socket = stage.net.stack.socket_v4();
        socket.bind(stage.ours(1099))?;
        let connecting = socket.connect(stage.theirs(7));
        let connected = stage.connected(connecting, OURS, "linux", 7).await;
        let kind = connected.err().map(|error| error.kind());
        ensure!(kind == Some(ErrorKind::TimedOut), "{kind:?}");
        let ends = (stage.ours(1099), stage.theirs(7));
        stage.expect(ends, &[&[Closed, SynSent, Closed]]).await?;
        stage.finish()
    }
    .boxed_local()
}
