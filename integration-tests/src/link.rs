//! The kernel's side of an interface: addresses, routes, MTU, by rtnetlink.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use futures::TryStreamExt as _;
use rtnetlink::packet_route::address::AddressHeaderFlags;
use rtnetlink::{Handle, LinkUnspec, LinkVeth, RouteMessageBuilder};
use tokio::task::JoinHandle;

/// A conversation with the kernel of the namespace that it was opened in.
pub struct Netlink {
    handle: Handle,
    connection: JoinHandle<()>,
}

impl Netlink {
    /// Opens the conversation. Must be called inside a tokio runtime with IO.
    ///
    /// # Errors
    /// When the kernel gives no netlink socket.
    pub fn open() -> Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection().context("netlink socket")?;
        Ok(Self {
            handle,
            connection: tokio::spawn(connection),
        })
    }

    /// The interface of that name.
    ///
    /// # Errors
    /// When there is none.
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

    /// Makes a pair of virtual Ethernet interfaces and moves the second into the network namespace
    /// of the process `peer_pid`.
    ///
    /// # Errors
    /// When the kernel has no veth or a name is taken.
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
    /// What the kernel answers.
    pub async fn up(&self) -> Result<()> {
        let message = LinkUnspec::new_with_index(self.index).up().build();
        self.handle
            .link()
            .set(message)
            .execute()
            .await
            .context("bringing an interface up")
    }

    /// Sets the largest IP packet, in bytes.
    ///
    /// # Errors
    /// What the kernel answers.
    pub async fn set_mtu(&self, mtu: u32) -> Result<()> {
        let message = LinkUnspec::new_with_index(self.index).mtu(mtu).build();
        self.handle
            .link()
            .set(message)
            .execute()
            .await
            .context("setting an interface's MTU")
    }

    /// Gives the kernel the address `address`, and with it the route to its network. It may be
    /// used at once: nobody else can have it (no duplicate address detection, RFC 4862 5.4).
    ///
    /// # Errors
    /// What the kernel answers.
    pub async fn add_address(&self, address: IpAddr, prefix: u8) -> Result<()> {
        let mut request = self.handle.address().add(self.index, address, prefix);
        request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        request
            .execute()
            .await
            .with_context(|| format!("adding address {address}/{prefix}"))
    }

    /// Sends packets for `network` out of this interface.
    ///
    /// # Errors
    /// What the kernel answers.
    pub async fn add_route(&self, network: IpAddr, prefix: u8) -> Result<()> {
        let route = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(network, prefix)
            .context("route")?
            .output_interface(self.index)
            .build();
        self.handle
            .route()
            .add(route)
            .execute()
            .await
            .with_context(|| format!("adding a route to {network}/{prefix}"))
    }
}
