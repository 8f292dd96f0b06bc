//! netstack-smoltcp.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use futures::{SinkExt as _, StreamExt as _};
use netstack_smoltcp::StackBuilder;

use super::{BUFFER, interface};
use crate::service::Service;
use crate::setup::HostDescription;
use crate::sides::ready;

/// The capacity of each of its queues in packets.
const QUEUE: usize = 2048;

/// Offers the services.
pub(in crate::sides) async fn host(description: HostDescription) -> Result<()> {
    let setup = description.setup;
    let mtu = usize::from(setup.link.mtu);
    let tun = Arc::new(interface(description)?);
    let (stack, runner, _, listener) = StackBuilder::default()
        .enable_tcp(true)
        .stack_buffer_size(QUEUE)
        .tcp_buffer_size(QUEUE)
        .tcp_recv_buffer_size(BUFFER as u32)
        .tcp_send_buffer_size(BUFFER as u32)
        .mtu(mtu)
        .build()?;
    let mut listener = listener.context("no listener")?;
    let runner = tokio::spawn(runner.context("no runner")?);
    let (mut to_stack, mut from_stack) = stack.split();
    ready()?;
    let device = Arc::clone(&tun);
    let inward = tokio::spawn(async move {
        let mut packet = vec![0; mtu];
        loop {
            let length = device.recv(&mut packet).await?;
            to_stack.send(packet[..length].to_vec()).await?;
        }
    });
    let outward = tokio::spawn(async move {
        while let Some(packet) = from_stack.next().await {
            tun.send(&packet?).await?;
        }
        Ok(())
    });
    let accept = async move {
        while let Some((stream, _, to)) = listener.next().await {
            if let Some(service) = Service::at_port(to.port()) {
                service.spawn(stream, setup.write);
            }
        }
    };
    let ended: Result<std::io::Result<()>, _> = tokio::select! {
        () = accept => bail!("the listener ended"),
        ended = runner => ended,
        ended = inward => ended,
        ended = outward => ended,
    };
    bail!("the pump ended: {ended:?}")
}
