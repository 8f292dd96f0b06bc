//! Two TUN interfaces, and the kernel that routes from one to the other.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use millstream_integration_tests::lab::{Family, Lab, Net, Setup};
use millstream_integration_tests::link::Netlink;
use tokio_tun::Tun;

use crate::peer::MTU;

/// How long our side stays in TIME-WAIT is twice this.
const MSL: Duration = Duration::from_millis(250);

/// Our stack and its link; the other stack's address and interface.
pub(crate) struct Topology {
    /// Our side.
    pub(crate) net: Net,
    /// The other stack's address: in the same network as ours, with a route of its own.
    pub(crate) peer: Ipv4Addr,
}

impl Topology {
    /// Makes both links and has the kernel forward packets.
    ///
    /// # Errors
    /// When the interface cannot be made, or the kernel may not forward.
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

    /// The name that the other stack's interface has to have.
    pub(crate) fn interface(&self) -> String {
        self.net.interface().replace("mill", "peer")
    }

    /// Makes the other stack's interface and routes its address there. It stays, for the stack to attach to.
    ///
    /// # Errors
    /// When it cannot be made.
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
