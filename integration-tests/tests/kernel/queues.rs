//! A stack over an interface with several queues.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use millstream::device::Tun;
use millstream::{DropReason, Stack};
use millstream_testbed::lab::Lab;
use millstream_testbed::{kernel, pattern};

/// The number of simultaneous connections in each direction.
const CLIENTS: usize = 50;
/// Bytes that each connection sends and receives.
const BYTES: u64 = 256 * 1024;

pub(crate) async fn many_connections_both_ways(_lab: &Lab) -> Result<()> {
    let interface = Tun::builder().name("millqueues").address("10.76.0.1/24");
    let queues = interface.up().build_queues(2)?;
    ensure!(queues.len() == 2 && queues.iter().all(|queue| queue.name() == "millqueues"));
    let stack = Stack::builder()
        .devices(queues)
        .address("10.76.0.2/24")
        .build()?;
    let of_kernel = SocketAddr::from(([10, 76, 0, 1], 7000));
    let of_stack = SocketAddr::from(([10, 76, 0, 2], 7000));
    let kernel_listener = kernel::listen(of_kernel)?;
    let stack_listener = stack.listen(of_stack).await?;

    let kernel_serves = try_join_all((0..CLIENTS).map(|_| async {
        let (stream, _) = kernel_listener.accept().await?;
        pattern::echo(stream).await
    }));
    let stack_serves = try_join_all((0..CLIENTS).map(|_| async {
        let (stream, _) = stack_listener.accept().await?;
        pattern::echo(stream).await
    }));
    let stack_asks = try_join_all(
        (0..CLIENTS)
            .map(|_| async { pattern::exchange(stack.connect(of_kernel).await?, BYTES).await }),
    );
    let kernel_asks = try_join_all(
        (0..CLIENTS)
            .map(|_| async { pattern::exchange(kernel::connect(of_stack).await?, BYTES).await }),
    );
    tokio::try_join!(kernel_serves, stack_serves, stack_asks, kernel_asks)?;

    let counters = stack.counters();
    let opened = (counters.active_opens, counters.passive_opens);
    ensure!(opened == (CLIENTS as u64, CLIENTS as u64), "{opened:?}");
    // A late segment, from the slower queue or retransmitted because of a slow acknowledgment, may
    // find its connection closed at either end: the only reason for a reset.
    let late = [
        DropReason::ListenUnexpected,
        DropReason::NoConnection,
        DropReason::OutsideWindow,
    ];
    let late: u64 = late.map(|reason| counters.dropped(reason)).iter().sum();
    let resets = counters.resets_sent + counters.resets_received;
    ensure!(resets <= late, "{counters:?}");
    stack.shutdown().await;
    Ok(())
}
