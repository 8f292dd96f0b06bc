//! Two TUN interfaces, and the kernel as a router between them.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use millstream_testbed::lab::{Family, Lab, Net, Setup};
use millstream_testbed::link::Netlink;
use tokio_tun::Tun;

use crate::peer::MTU;

/// Half the duration of TIME-WAIT on the millstream side.
const MSL: Duration = Duration::from_millis(250);

/// The millstream stack and its link; the peer's address and interface.
pub(crate) struct Topology {
    /// The millstream side.
    pub(crate) net: Net,
    /// The peer's address: in the same network as millstream's, with a separate route.
    pub(crate) peer: Ipv4Addr,
}

impl Topology {
    /// Creates both links and makes the kernel forward packets.
    ///
    /// # Errors
    /// If an interface cannot be created, or the kernel cannot forward.
    pub(crate) async fn new(lab: &Lab) -> Result<Self> {
        let setup = Setup {
            configure: |config| config.msl = MSL,
            ..Setup::default()
        };
        let net = lab.net_with(setup).await?;
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("turning forwarding on")?;
        let IpAddr::V4(ours) = net.stack(Family::V4, 0).ip() else {
            bail!("our address is one of IPv4");
        };
        let [a, b, link, host] = ours.octets();
        let topology = Self {
            net,
            peer: Ipv4Addr::new(a, b, link, host + 1),
        };
        topology.attach().await?;
        Ok(topology)
    }

    /// The required name of the peer's interface.
    pub(crate) fn interface(&self) -> String {
        self.net.interface().replace("mill", "peer")
    }

    /// Creates the peer's interface and routes its address there. The interface is persistent, so
    /// that the peer can attach to it.
    ///
    /// # Errors
    /// If it cannot be created.
    async fn attach(&self) -> Result<()> {
        let name = self.interface();
        Tun::builder()
            .name(&name)
            .mtu(MTU.into())
            .persist()
            .up()
            .build()
            .with_context(|| format!("making {name}"))?;
        let netlink = Netlink::open()?;
        let link = netlink.link(&name).await?;
        link.add_route(self.peer.into(), 32, Vec::new()).await
    }
}
