//! S2: the 2MSL wait of the millstream stack, with the kernel as the other host.

use std::io::{self, ErrorKind};

use anyhow::{Result, ensure};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use millstream::State::{
    Closed, Established, FinWait1, FinWait2, Listen, SynReceived, SynSent, TimeWait,
};
use millstream::device::Direction;
use millstream::{TcpSocket, TcpStream};
use millstream_testbed::kernel;
use millstream_testbed::lab::Lab;
use tokio::net::{TcpListener as KernelListener, TcpStream as KernelStream};

use super::stage::{KERNEL, OURS, Stage};
use super::{CLOSES_FIRST, OPENS};
use crate::trace::Trace;

pub(crate) fn last_ack_lost(lab: &Lab) -> LocalBoxFuture<'_, Result<Trace>> {
    async move {
        let stage = Stage::new(lab).await?;
        let (mut ours, mut theirs) = stage.to_the_kernel(1099, 7).await?;
        let ends = (stage.ours(1099), stage.theirs(7));
        stage.shutdown(OURS, &mut ours).await?;
        stage.read_end(KERNEL, &mut theirs).await?;
        stage.expect(ends, &[&OPENS, &[FinWait1, FinWait2]]).await?;
        let _lost = stage
            .gate()
            .lose_next(|direction, brief| direction == Direction::Sent && brief.is_pure_ack());
        stage.shutdown(KERNEL, &mut theirs).await?;
        stage.read_end(OURS, &mut ours).await?;
        stage.expect(ends, &[&OPENS, &CLOSES_FIRST]).await?;
        stage.finish()
    }
    .boxed_local()
}

pub(crate) fn address_in_use(lab: &Lab) -> LocalBoxFuture<'_, Result<Trace>> {
    async move {
        let stage = Stage::new(lab).await?;
        let (pc1, pc2) = (stage.ours(6666), stage.theirs(1098));
        close_first(&stage).await?;
        let opens = [Listen, SynReceived, Established];
        let waits = [FinWait1, FinWait2, TimeWait];
        stage.expect((pc1, pc2), &[&opens, &waits]).await?;

        stage.remark("4. A client on millstream wants port 6666 for itself.");
        let bound = stage.net.stack.socket_v4().bind(pc1);
        stage.note(OURS, "bind(6666)", &bound);
        ensure_fails(bound, ErrorKind::AddrInUse)?;
        stage.remark("5. With SO_REUSEADDR it gets the port.");
        let socket = reusing(&stage)?;
        stage.remark("6. Yet it cannot connect to port 1098: that very four-tuple waits.");
        let connecting = socket.connect(pc2);
        let connected = stage.connected(connecting, OURS, "linux", 1098).await;
        ensure_fails(connected, ErrorKind::AddrNotAvailable)?;
        stage.remark("7. Any other port of linux makes another four-tuple, which is free.");
        let _elsewhere = connect(&stage, 1099).await?;

        stage
            .expect((pc1, pc2), &[&opens, &waits, &[Closed]])
            .await?;
        stage.remark("After 2MSL the four-tuple with port 1098 is free too.");
        let _again = connect(&stage, 1098).await?;
        let again = [Closed, SynSent, Established];
        stage.expect((pc1, pc2), &[&opens, &waits, &again]).await?;
        stage.finish()
    }
    .boxed_local()
}

pub(crate) fn any_port(lab: &Lab) -> LocalBoxFuture<'_, Result<Trace>> {
    async move {
        let stage = Stage::new(lab).await?;
        let server = stage.theirs(7);
        let listener = kernel::listen(server)?;
        stage.listens(KERNEL, 7);
        let (mut ours, mut theirs) = connect_from_any(&stage, &listener).await?;
        let first = ours.local_addr()?;
        stage.shutdown(OURS, &mut ours).await?;
        stage.read_end(KERNEL, &mut theirs).await?;
        stage.shutdown(KERNEL, &mut theirs).await?;
        stage.read_end(OURS, &mut ours).await?;
        stage.remark("The first connection is in TIME-WAIT. millstream connects again.");
        let (ours, _theirs) = connect_from_any(&stage, &listener).await?;
        ensure!(ours.local_addr()? != first, "the same port again");
        stage
            .expect((first, server), &[&OPENS, &CLOSES_FIRST])
            .await?;
        stage.finish()
    }
    .boxed_local()
}

/// Connects from a port that the stack chooses; returns both ends.
async fn connect_from_any(
    stage: &Stage,
    listener: &KernelListener,
) -> Result<(TcpStream, KernelStream)> {
    let connecting = stage.net.stack.socket_v4().connect(stage.theirs(7));
    let (ours, theirs) = tokio::join!(
        stage.connected(connecting, OURS, "linux", 7),
        listener.accept()
    );
    Ok((ours?, theirs?.0))
}

/// Steps 1 to 3: the millstream stack accepts the kernel's client, and closes first.
async fn close_first(stage: &Stage) -> Result<()> {
    let (pc1, pc2) = (stage.ours(6666), stage.theirs(1098));
    stage.remark("1. millstream serves port 6666.");
    let listener = stage.net.stack.listen(pc1).await?;
    stage.listens(OURS, 6666);
    stage.remark("2. linux connects from port 1098.");
    let connecting = kernel::connect_from(pc2, pc1);
    let (theirs, ours) = tokio::join!(
        stage.connected(connecting, KERNEL, "millstream", 6666),
        listener.accept()
    );
    let (mut theirs, (mut ours, _)) = (theirs?, ours?);
    stage.remark("3. millstream stops its server first: its end will wait for 2MSL.");
    drop(listener);
    stage.shutdown(OURS, &mut ours).await?;
    stage.read_end(KERNEL, &mut theirs).await?;
    let opens = [Listen, SynReceived, Established];
    let half = [FinWait1, FinWait2];
    stage.expect((pc1, pc2), &[&opens, &half]).await?;
    stage.shutdown(KERNEL, &mut theirs).await?;
    stage.read_end(OURS, &mut ours).await
}

/// A socket bound to port 6666 with SO_REUSEADDR.
fn reusing(stage: &Stage) -> Result<TcpSocket> {
    let socket = stage.net.stack.socket_v4();
    socket.set_reuseaddr(true)?;
    let bound = socket.bind(stage.ours(6666));
    stage.note(OURS, "bind(6666, SO_REUSEADDR)", &bound);
    bound?;
    Ok(socket)
}

/// Connects port 6666 to a listening port of the kernel; returns both ends.
async fn connect(stage: &Stage, port: u16) -> Result<(TcpStream, KernelStream)> {
    let to = stage.theirs(port);
    let listener = kernel::listen(to)?;
    stage.listens(KERNEL, port);
    let connecting = reusing(stage)?.connect(to);
    let (ours, theirs) = tokio::join!(
        stage.connected(connecting, OURS, "linux", port),
        listener.accept()
    );
    Ok((ours?, theirs?.0))
}

fn ensure_fails<T>(result: io::Result<T>, expected: ErrorKind) -> Result<()> {
    let kind = result.err().map(|error| error.kind());
    ensure!(kind == Some(expected), "{kind:?}");
    Ok(())
}
