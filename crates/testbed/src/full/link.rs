//! The configuration of the kernel's interfaces by rtnetlink: addresses, routes, MTU.

use std::net::{IpAddr, Ipv6Addr};

use anyhow::{Context as _, Result, bail};
use futures::channel::mpsc::UnboundedReceiver;
use futures::{StreamExt as _, TryStreamExt as _};
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::AddressHeaderFlags;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteType};
use rtnetlink::sys::SocketAddr;

pub use rtnetlink::packet_route::route::RouteMetric;
use rtnetlink::{Handle, LinkUnspec, LinkVeth, MulticastGroup, RouteMessageBuilder};
use tokio::task::JoinHandle;

/// A connection to the kernel, for the namespace in which it was opened.
pub struct Netlink {
    handle: Handle,
    connection: JoinHandle<()>,
}

impl Netlink {
    /// Opens the connection. Must be called inside a tokio runtime with IO.
    ///
    /// # Errors
    /// If the kernel provides no netlink socket.
    pub fn open() -> Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection().context("netlink socket")?;
        Ok(Self {
            handle,
            connection: tokio::spawn(connection),
        })
    }

    /// The interface with this name.
    ///
    /// # Errors
    /// If there is none.
    pub async fn link(&self, name: &str) -> Result<Link<'_>> {
        let found = self
            .handle
            .link()
            .get()
            .match_name(name.to_owned())
            .execute()
            .try_next()
            .await
            .with_context(|| format!("looking for interface {name}"))?;
        let message = found.with_context(|| format!("there is no interface {name}"))?;
        Ok(Link {
            handle: &self.handle,
            index: message.header.index,
        })
    }

    /// Creates a pair of virtual Ethernet interfaces and moves the second into the network
    /// namespace of the process `peer_pid`.
    ///
    /// # Errors
    /// If the kernel does not support veth or a name is in use.
    pub async fn add_veth(&self, name: &str, peer: &str, peer_pid: u32) -> Result<()> {
        self.handle
            .link()
            .add(LinkVeth::new(name, peer).build())
            .execute()
            .await
            .context("making a veth pair")?;
        let peer = self.link(peer).await?;
        let message = LinkUnspec::new_with_index(peer.index)
            .setns_by_pid(peer_pid)
            .build();
        self.handle
            .link()
            .set(message)
            .execute()
            .await
            .context("moving a veth interface to the other namespace")
    }
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// One interface of the namespace.
pub struct Link<'a> {
    handle: &'a Handle,
    index: u32,
}

impl Link<'_> {
    /// Brings the interface up.
    ///
    /// # Errors
    /// The kernel's error.
    pub async fn up(&self) -> Result<()> {
        let message = LinkUnspec::new_with_index(self.index).up().build();
        self.handle
            .link()
            .set(message)
            .execute()
            .await
            .context("bringing an interface up")
    }

    /// Sets the size of the largest IP packet, in bytes.
    ///
    /// # Errors
    /// The kernel's error.
    pub async fn set_mtu(&self, mtu: u32) -> Result<()> {
        let message = LinkUnspec::new_with_index(self.index).mtu(mtu).build();
        self.handle
            .link()
            .set(message)
            .execute()
            .await
            .context("setting an interface's MTU")
    }

    /// Deletes the interface.
    ///
    /// # Errors
    /// The kernel's error.
    pub async fn delete(self) -> Result<()> {
        self.handle
            .link()
            .del(self.index)
            .execute()
            .await
            .context("deleting an interface")
    }

    /// Adds `address` and the route to its network, and waits until the kernel accepts packets to
    /// it.
    ///
    /// # Errors
    /// The kernel's error.
    pub async fn add_address(&self, address: IpAddr, prefix: u8) -> Result<()> {
        // The kernel does not accept packets to a new IPv6 address at once.
        let watch = match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(LocalRoute::watch(address)?),
        };
        let mut request = self.handle.address().add(self.index, address, prefix);
        // The address is unique: no duplicate address detection (RFC 4862 5.4).
        request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        request
            .execute()
            .await
            .with_context(|| format!("adding address {address}/{prefix}"))?;
        match watch {
            None => Ok(()),
            Some(watch) => watch.added().await,
        }
    }

    /// Routes packets for `network` through this interface. `metrics` has the initial values for
    /// connections on the route.
    ///
    /// # Errors
    /// The kernel's error.
    pub async fn add_route(
        &self,
        network: IpAddr,
        prefix: u8,
        metrics: Vec<RouteMetric>,
    ) -> Result<()> {
        let mut route = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(network, prefix)
            .context("route")?
            .output_interface(self.index)
            .build();
        if !metrics.is_empty() {
            route.attributes.push(RouteAttribute::Metrics(metrics));
        }
        self.handle
            .route()
            .add(route)
            .execute()
            .await
            .with_context(|| format!("adding a route to {network}/{prefix}"))
    }
}

/// Observes the kernel's first acceptance of packets to an IPv6 address.
struct LocalRoute {
    address: Ipv6Addr,
    messages: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
    connection: JoinHandle<()>,
}

impl LocalRoute {
    fn watch(address: Ipv6Addr) -> Result<Self> {
        let (connection, _, messages) =
            rtnetlink::new_multicast_connection(&[MulticastGroup::Ipv6Route])
                .context("netlink socket")?;
        Ok(Self {
            address,
            messages,
            connection: tokio::spawn(connection),
        })
    }

    async fn added(mut self) -> Result<()> {
        while let Some((message, _)) = self.messages.next().await {
            let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) =
                message.payload
            else {
                continue;
            };
            let to_address = RouteAttribute::Destination(RouteAddress::Inet6(self.address));
            if route.header.kind == RouteType::Local && route.attributes.contains(&to_address) {
                return Ok(());
            }
        }
        bail!("the kernel told of no route for {}", self.address)
    }
}

impl Drop for LocalRoute {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// The number of packets that an interface of this namespace has dropped because its queue was
/// full.
///
/// # Errors
/// If there is no such interface.
pub fn dropped(interface: &str) -> Result<u64> {
    // /sys shows the namespace in which it was mounted, this file that of the reader.
    let table = std::fs::read_to_string("/proc/self/net/dev")?;
    let line = table
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(interface)?.strip_prefix(':'))
        .with_context(|| format!("no interface {interface}"))?;
    // Eight columns for received packets, followed by bytes, packets, errors and drops of
    // transmitted ones.
    let drops = line.split_whitespace().nth(11);
    drops
        .context("no such column")?
        .parse()
        .context("no number")
}
