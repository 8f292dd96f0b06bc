//! What is compared: sides, their links, and where they are found.

use std::net::{IpAddr, Ipv4Addr};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::processors::Pinning;
use crate::work::Work;
#[cfg(feature = "peers")]
use crate::work::bulk::Way;

/// Who does the work that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Side {
    /// Two stacks of millstream in one process, joined by a link in memory.
    Memory,
    /// millstream, with the kernel on the other side of a TUN interface.
    Tun,
    /// A kernel, with another one on the other side of a veth pair.
    Veth,
    /// The kernel, over its loopback interface.
    Loopback,
    /// A pump on a TUN interface, without a stack.
    Ceiling,
    /// The same with one copy of all data.
    CeilingCopy,
    /// smoltcp in a loop of its own.
    #[cfg(feature = "peers")]
    Smoltcp,
    /// smoltcp over its own loopback device, in one process.
    #[cfg(feature = "peers")]
    SmoltcpLoopback,
    /// tcp_ip.
    #[cfg(feature = "peers")]
    TcpIp,
    /// ipstack.
    #[cfg(feature = "peers")]
    Ipstack,
    /// netstack-smoltcp.
    #[cfg(feature = "peers")]
    NetstackSmoltcp,
}

impl Side {
    const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Tun => "tun",
            Self::Veth => "kernel veth",
            Self::Loopback => "kernel lo",
            Self::Ceiling => "ceiling",
            Self::CeilingCopy => "ceiling, a copy",
            #[cfg(feature = "peers")]
            Self::Smoltcp => "smoltcp",
            #[cfg(feature = "peers")]
            Self::SmoltcpLoopback => "smoltcp loopback",
            #[cfg(feature = "peers")]
            Self::TcpIp => "tcp_ip",
            #[cfg(feature = "peers")]
            Self::Ipstack => "ipstack",
            #[cfg(feature = "peers")]
            Self::NetstackSmoltcp => "netstack-smoltcp",
        }
    }

    /// Whether both ends are in one process, the client's.
    pub(crate) const fn is_in_memory(self) -> bool {
        match self {
            Self::Memory => true,
            #[cfg(feature = "peers")]
            Self::SmoltcpLoopback => true,
            _ => false,
        }
    }

    /// Whether the work tells something of it.
    pub(crate) fn does(self, work: Work) -> bool {
        match self {
            // A copy matters where there is much to copy.
            Self::CeilingCopy => matches!(work, Work::Bulk(_)),
            #[cfg(feature = "peers")]
            Self::SmoltcpLoopback => matches!(work, Work::Bulk(bulk) if bulk.way == Way::In),
            _ => true,
        }
    }

    /// Whether its device can cut segments.
    const fn knows_offload(self) -> bool {
        matches!(
            self,
            Self::Memory | Self::Tun | Self::Ceiling | Self::CeilingCopy
        )
    }

    /// Whether the link has an MTU that we set.
    const fn has_mtu(self) -> bool {
        !matches!(self, Self::Loopback)
    }
}

/// The tokio runtime a side runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
pub(crate) enum Runtime {
    /// All on one thread
    Current,
    /// Worker threads, as many as the machine has processors
    Multi,
}

impl Runtime {
    /// Builds one.
    pub(crate) fn build(self) -> std::io::Result<tokio::runtime::Runtime> {
        match self {
            Self::Current => tokio::runtime::Builder::new_current_thread(),
            Self::Multi => tokio::runtime::Builder::new_multi_thread(),
        }
        .enable_all()
        .build()
    }
}

/// A link's dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Link {
    /// Bytes of the largest packet.
    pub(crate) mtu: u16,
    /// The device cuts segments and completes checksums.
    pub(crate) offload: bool,
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let offload = if self.offload { ", offload" } else { "" };
        write!(f, "MTU {}{offload}", self.mtu)
    }
}

/// A side as it is set up for a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// Who.
    pub(crate) side: Side,
    /// The link, without what the side cannot do.
    pub(crate) link: Link,
    /// What millstream runs on; the others run on what is best for them.
    pub(crate) runtime: Runtime,
    /// Bytes that the side gives to its socket at a time.
    pub(crate) write: usize,
    /// Queues of millstream's interface.
    pub(crate) queues: usize,
}

impl Setup {
    /// `side` on a link as near to `link` as it can.
    pub(crate) fn new(side: Side, link: Link, runtime: Runtime, write: usize) -> Self {
        Self::with_queues(side, link, runtime, write, 1)
    }

    /// The same, with so many queues if it is millstream over TUN.
    pub(crate) fn with_queues(
        side: Side,
        link: Link,
        runtime: Runtime,
        write: usize,
        queues: usize,
    ) -> Self {
        let ours = matches!(side, Side::Memory | Side::Tun);
        Self {
            side,
            link: Link {
                mtu: if side.has_mtu() { link.mtu } else { u16::MAX },
                offload: link.offload && side.knows_offload(),
            },
            runtime: if ours { runtime } else { Runtime::Current },
            write: if matches!(side, Side::Ceiling | Side::CeilingCopy) {
                0
            } else {
                write
            },
            queues: if side == Side::Tun { queues } else { 1 },
        }
    }

    /// The name of its row in a table.
    pub(crate) fn label(&self) -> String {
        let name = self.side.name();
        let threads = match self.runtime {
            Runtime::Current => "",
            Runtime::Multi => ", threads",
        };
        match self.queues {
            1 => format!("{name}{threads}"),
            queues => format!("{name}{threads}, {queues} queues"),
        }
    }
}

/// Where a side is: a network of its own, or the loopback interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place(pub(crate) u8);

impl Place {
    /// Prefix length of each network.
    pub(crate) const PREFIX: u8 = 24;

    /// The address of the kernel whose sockets are the clients.
    pub(crate) fn client(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 78, self.0, 1)
    }

    /// The address of the side that is measured.
    pub(crate) fn server(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 78, self.0, 2)
    }

    /// The name of the interface that the client's kernel has.
    pub(crate) fn interface(self) -> String {
        format!("bench{}", self.0)
    }

    /// The name of a veth pair's other end.
    pub(crate) fn far_interface(self) -> String {
        format!("far{}", self.0)
    }
}

/// What a host process is told.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct HostDescription {
    /// Who it is.
    pub(crate) setup: Setup,
    /// Where it is.
    pub(crate) place: Place,
    /// Which processors it runs on.
    pub(crate) pinning: Pinning,
}

impl HostDescription {
    /// Where its services are.
    pub(crate) fn address(&self) -> IpAddr {
        match self.setup.side {
            Side::Loopback => Ipv4Addr::LOCALHOST.into(),
            _ => self.place.server().into(),
        }
    }
}
