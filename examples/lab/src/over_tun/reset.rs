//! S3: resets, to refuse and to abort.

use std::io::ErrorKind;

use anyhow::{Result, ensure};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use millstream::State::Closed;
use millstream::device::Direction;
use millstream_testbed::kernel;
use millstream_testbed::lab::Lab;

use super::OPENS;
use super::stage::{KERNEL, OURS, Stage};
use crate::trace::Trace;

pub(crate) fn refused(lab: &Lab) -> LocalBoxFuture<'_, Result<Trace>> {
    async move {
        let stage = Stage::new(lab).await?;
        let refused = Some(ErrorKind::ConnectionRefused);
        stage.remark("Our stack tries three times.");
        for _ in 0..3 {
            let socket = stage.net.stack.socket_v4();
            socket.bind(stage.ours(61383))?;
            let connecting = socket.connect(stage.theirs(5001));
            let connected = stage.connected(connecting, OURS, "linux", 5001).await;
            let kind = connected.err().map(|error| error.kind());
            ensure!(kind == refused, "ours: {kind:?}");
        }
        stage.remark("And the kernel once.");
        let connecting = kernel::connect_from(stage.theirs(61383), stage.ours(5001));
        let connected = stage
            .connected(connecting, KERNEL, "millstream", 5001)
            .await;
        let kind = connected.err().map(|error| error.kind());
        ensure!(kind == refused, "theirs: {kind:?}");
        stage.finish()
    }
    .boxed_local()
}

pub(crate) fn abort(lab: &Lab) -> LocalBoxFuture<'_, Result<Trace>> {
    async move {
        let stage = Stage::new(lab).await?;
        let (mut ours, mut theirs) = stage.to_the_kernel(1099, 8888).await?;
        let acknowledged = stage
            .gate()
            .passing(|direction, brief| direction == Direction::Received && brief.is_pure_ack());
        stage.write(OURS, &mut ours, b"hello, world\n").await?;
        stage.read(KERNEL, &mut theirs).await?;
        acknowledged.await?;
        stage.remark("millstream closes with SO_LINGER and a time of zero.");
        ours.set_zero_linger()?;
        drop(ours);
        stage.note(OURS, "close()", &Ok(()));
        stage.read_reset(KERNEL, &mut theirs).await?;
        let ends = (stage.ours(1099), stage.theirs(8888));
        stage.expect(ends, &[&OPENS, &[Closed]]).await?;
        stage.finish()
    }
    .boxed_local()
}
