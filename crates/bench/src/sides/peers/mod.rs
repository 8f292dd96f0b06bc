//! Other TCP/IP stacks from crates.io, each run as its documentation recommends, with millstream's
//! buffer sizes where they can be chosen.

pub(super) mod ipstack;
pub(super) mod netstack_smoltcp;
pub(crate) mod smoltcp;
pub(super) mod tcp_ip;

use anyhow::{Context as _, Result};
use tokio_tun::Tun;

use crate::setup::{HostDescription, Place, Side};

/// All peers that run over TUN.
pub(crate) const ALL: &[Side] = &[
    Side::Smoltcp,
    Side::TcpIp,
    Side::Ipstack,
    Side::NetstackSmoltcp,
];

/// The size of each buffer and of the offered window in bytes, where it can be chosen.
const BUFFER: usize = 512 * 1024;

/// Creates the interface of a peer that runs on tokio.
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
