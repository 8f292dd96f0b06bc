//! The subjects of a comparison: sides, their links and addresses.

use std::net::{IpAddr, Ipv4Addr};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::processors::Pinning;
use crate::work::Work;
#[cfg(feature = "peers")]
use crate::work::bulk::Way;

/// A stack with its environment, which is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Side {
    /// Two millstream stacks in one process, connected by a link in memory.
    Memory,
    /// millstream with the kernel as its peer on a TUN interface.
    Tun,
    /// A kernel with another kernel as its peer on a veth pair.
    Veth,
    /// The kernel, over its loopback interface.
    Loopback,
    /// A packet pump on a TUN interface, without a stack.
    Ceiling,
    /// The same with one copy of all data.
    CeilingCopy,
    /// smoltcp in an event loop of its own.
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

    /// Whether the work is meaningful for this side.
    pub(crate) fn does(self, work: Work) -> bool {
        match self {
            // A copy matters only with much data.
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

    /// Whether the MTU of the link can be set.
    const fn has_mtu(self) -> bool {
        !matches!(self, Self::Loopback)
    }
}

/// The tokio runtime of a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
pub(crate) enum Runtime {
    /// A single thread
    Current,
    /// As many worker threads as the machine has processors
    Multi,
}

impl Runtime {
    /// Builds a runtime.
    pub(crate) fn build(self) -> std::io::Result<tokio::runtime::Runtime> {
        match self {
            Self::Current => tokio::runtime::Builder::new_current_thread(),
            Self::Multi => tokio::runtime::Builder::new_multi_thread(),
        }
        .enable_all()
        .build()
    }
}

/// The properties of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Link {
    /// The size of the largest packet in bytes.
    pub(crate) mtu: u16,
    /// Whether the device cuts segments and completes checksums.
    pub(crate) offload: bool,
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let offload = if self.offload { ", offload" } else { "" };
        write!(f, "MTU {}{offload}", self.mtu)
    }
}

/// A side with its settings for a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// The side.
    pub(crate) side: Side,
    /// The link, without features that the side does not support.
    pub(crate) link: Link,
    /// The runtime of millstream; each other side runs on the best one for it.
    pub(crate) runtime: Runtime,
    /// Bytes per write to the side's socket.
    pub(crate) write: usize,
    /// Queues of millstream's interface.
    pub(crate) queues: usize,
}

impl Setup {
    /// `side` on the link that is closest to `link` among those that it supports.
    pub(crate) fn new(side: Side, link: Link, runtime: Runtime, write: usize) -> Self {
        Self::with_queues(side, link, runtime, write, 1)
    }

    /// The same, with this number of queues if the side is millstream over TUN.
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

/// The location of a side: a network of its own, or the loopback interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place(pub(crate) u8);

impl Place {
    /// Prefix length of each network.
    pub(crate) const PREFIX: u8 = 24;

    /// The address of the kernel with the client sockets.
    pub(crate) fn client(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 78, self.0, 1)
    }

    /// The address of the measured side.
    pub(crate) fn server(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 78, self.0, 2)
    }

    /// The name of the interface of the client's kernel.
    pub(crate) fn interface(self) -> String {
        format!("bench{}", self.0)
    }

    /// The name of the other end of a veth pair.
    pub(crate) fn far_interface(self) -> String {
        format!("far{}", self.0)
    }
}

/// The parameters of a host process.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct HostDescription {
    /// The side and its settings.
    pub(crate) setup: Setup,
    /// Its location.
    pub(crate) place: Place,
    /// Its processors.
    pub(crate) pinning: Pinning,
}

impl HostDescription {
    /// The address of its services.
    pub(crate) fn address(&self) -> IpAddr {
        match self.setup.side {
            Side::Loopback => Ipv4Addr::LOCALHOST.into(),
            _ => self.place.server().into(),
        }
    }
}
