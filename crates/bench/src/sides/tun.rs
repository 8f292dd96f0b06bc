//! millstream over TUN.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use millstream::device::{Tun, TunBuilder};
use millstream::{Cidr, Stack};

use super::ready;
use crate::service::{Service, offer};
use crate::setup::{HostDescription, Link, Place};

/// Offers the services on a millstream stack.
pub(super) async fn host(description: HostDescription) -> Result<()> {
    let HostDescription { setup, place, .. } = description;
    let interface = Tun::builder()
        .name(place.interface())
        .address(format!("{}/{}", place.client(), Place::PREFIX))
        .up();
    let address = description.address();
    let stack = stack(
        interface,
        setup.link,
        Cidr::new(address, Place::PREFIX),
        setup.queues,
    )?;
    serve(&stack, address, setup.write, ready).await
}

/// A stack at `address` on a TUN interface with the properties of `link` and this number of
/// `queues`.
pub(crate) fn stack(
    interface: TunBuilder,
    link: Link,
    address: Cidr,
    queues: usize,
) -> Result<Stack> {
    const MAKING: &str = "making the TUN interface";
    let interface = interface.mtu(link.mtu.into()).offload(link.offload);
    let builder = Stack::builder().address(address);
    let stack = if queues > 1 {
        builder.devices(interface.build_queues(queues).context(MAKING)?)
    } else {
        builder.device(interface.build().context(MAKING)?)
    };
    Ok(stack.build()?)
}

/// Offers the services without end; calls `ready` when they are reachable.
pub(crate) async fn serve(
    stack: &Stack,
    address: IpAddr,
    write: usize,
    ready: impl FnOnce() -> std::io::Result<()>,
) -> Result<()> {
    let listeners = Service::ALL.map(|service| async move {
        let address = SocketAddr::new(address, service.port());
        stack.listen(address).await.map(|it| (service, it))
    });
    let listeners = try_join_all(listeners).await.context("listening")?;
    ready()?;
    let services = listeners
        .into_iter()
        .map(|(service, listener)| offer(service, listener, write));
    try_join_all(services).await?;
    Ok(())
}
