//! Other TCP/IP stacks of crates.io, each as its users are advised to run it, with buffers as large as
//! ours where it lets one choose.

pub(super) mod ipstack;
pub(super) mod netstack_smoltcp;
pub(crate) mod smoltcp;
pub(super) mod tcp_ip;

use anyhow::{Context as _, Result};
use tokio_tun::Tun;

use crate::setup::{HostDescription, Place, Side};

/// All that work over TUN.
pub(crate) const ALL: &[Side] = &[
    Side::Smoltcp,
    Side::TcpIp,
    Side::Ipstack,
    Side::NetstackSmoltcp,
];

/// Bytes of each buffer, and of the window offered, where they can be chosen.
const BUFFER: usize = 512 * 1024;

/// Makes the interface of one that runs on tokio.
fn interface(description: HostDescription) -> Result<Tun> {
    let HostDescription { setup, place, .. } = description;
    let netmask = std::net::Ipv4Addr::from_bits(u32::MAX << (32 - u32::from(Place::PREFIX)));
    Tun::builder()
        .name(&place.interface())
        .address(place.client())
        .netmask(netmask)
        .mtu(setup.link.mtu.into())
        .up()
        .build()?
        .pop()
        .context("no queue of a TUN interface")
}
