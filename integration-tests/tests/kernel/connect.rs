//! Connections between the two ends, opened by either.

use anyhow::Result;
use millstream_testbed::kernel;
use millstream_testbed::lab::{Family, Net};
use tokio::net::TcpStream as KernelStream;

/// The port of the listening end.
pub(crate) const PORT: u16 = 7000;

/// Connects a stream of the stack to the kernel; returns both ends.
pub(crate) async fn to_the_kernel(
    net: &Net,
    family: Family,
) -> Result<(millstream::TcpStream, KernelStream)> {
    let address = net.kernel(family, PORT);
    let listener = kernel::listen(address)?;
    let (ours, theirs) = tokio::try_join!(net.stack.connect(address), listener.accept())?;
    Ok((ours, theirs.0))
}

/// Connects a stream of the kernel to the stack; returns both ends.
pub(crate) async fn to_the_stack(
    net: &Net,
    family: Family,
) -> Result<(millstream::TcpStream, KernelStream)> {
    let address = net.stack(family, PORT);
    let listener = net.stack.listen(address).await?;
    let (theirs, ours) = tokio::try_join!(kernel::connect(address), listener.accept())?;
    Ok((ours.0, theirs))
}
