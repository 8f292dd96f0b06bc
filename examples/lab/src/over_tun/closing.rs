//! S1 and S6: the direct path into TIME-WAIT, and a simultaneous close.

use anyhow::Result;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use millstream::State::{Closed, Closing, FinWait1, TimeWait};
use millstream::device::Direction;
use millstream_testbed::lab::Lab;
use millstream_testbed::segments::Brief;
use millstream_testbed::trace::Fate;
use millstream_wire::tcp::Flags;

use super::OPENS;
use super::stage::{KERNEL, OURS, Stage};
use crate::trace::Trace;

pub(crate) fn fin_with_ack(lab: &Lab) -> LocalBoxFuture<'_, Result<Trace>> {
    async move {
        let stage = Stage::new(lab).await?;
        let (mut ours, mut theirs) = stage.to_the_kernel(1099, 7).await?;
        let ends = (stage.ours(1099), stage.theirs(7));
        stage.gate().set_rule(|direction, packet| {
            let bare = Brief::of(packet).is_some_and(|brief| brief.is_pure_ack());
            if direction == Direction::Received && bare {
                Fate::Dropped
            } else {
                Fate::Passed
            }
        });
        stage.shutdown(OURS, &mut ours).await?;
        stage.read_end(KERNEL, &mut theirs).await?;
        stage.shutdown(KERNEL, &mut theirs).await?;
        stage.read_end(OURS, &mut ours).await?;
        let closes = [FinWait1, TimeWait, Closed];
        stage.expect(ends, &[&OPENS, &closes]).await?;
        stage.finish()
    }
    .boxed_local()
}

pub(crate) fn simultaneous_close(lab: &Lab) -> LocalBoxFuture<'_, Result<Trace>> {
    async move {
        let stage = Stage::new(lab).await?;
        let (mut ours, mut theirs) = stage.to_the_kernel(1099, 7).await?;
        let ends = (stage.ours(1099), stage.theirs(7));
        stage.gate().set_rule(|_, packet| match Brief::of(packet) {
            Some(brief) if brief.flags.contains(Flags::FIN) => Fate::Held,
            _ => Fate::Passed,
        });
        tokio::try_join!(
            stage.shutdown(OURS, &mut ours),
            stage.shutdown(KERNEL, &mut theirs)
        )?;
        stage.gate().holding(2).await;
        stage.remark("Both FINs are on the link. Now both arrive.");
        stage.release()?;
        tokio::try_join!(
            stage.read_end(OURS, &mut ours),
            stage.read_end(KERNEL, &mut theirs)
        )?;
        let closes = [FinWait1, Closing, TimeWait, Closed];
        stage.expect(ends, &[&OPENS, &closes]).await?;
        stage.finish()
    }
    .boxed_local()
}
