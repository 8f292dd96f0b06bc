//! The kernel as a side: the reference for all others.

use std::io;
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use millstream_testbed::link::Netlink;
use millstream_testbed::{kernel, netns};

use super::{entered, ready};
use crate::service::{Service, offer};
use crate::setup::{HostDescription, Place, Runtime};

/// Offers the services on kernel sockets of this namespace.
pub(super) async fn host(address: IpAddr, write: usize) -> Result<()> {
    let listen = |service: Service| {
        let listener = kernel::listen(SocketAddr::new(address, service.port()))?;
        Ok(offer(service, listener, write))
    };
    let services: io::Result<Vec<_>> = Service::ALL.into_iter().map(listen).collect();
    let services = services.context("listening on kernel sockets")?;
    ready()?;
    try_join_all(services).await?;
    Ok(())
}

/// Offers the services in a namespace of its own, which the parent process connects by a veth pair.
pub(super) fn host_behind_veth(description: HostDescription) -> Result<()> {
    let HostDescription { setup, place, .. } = description;
    netns::enter().context("the other kernel's namespace")?;
    entered()?;
    Runtime::Current.build()?.block_on(async {
        let netlink = Netlink::open()?;
        let link = netlink.link(&place.far_interface()).await?;
        link.set_mtu(setup.link.mtu.into()).await?;
        link.add_address(place.server().into(), Place::PREFIX)
            .await?;
        link.up().await?;
        host(description.address(), setup.write).await
    })
}
