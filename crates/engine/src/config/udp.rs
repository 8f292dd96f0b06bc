//! The options of a UDP socket.

/// The options of a UDP socket. [`reuse_addr`](field@Self::reuse_addr) and
/// [`v6_only`](field@Self::v6_only) count when the socket is bound, the others at any time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UdpOptions {
    /// The time to live or hop limit of datagrams to single hosts (`IP_TTL`,
    /// `IPV6_UNICAST_HOPS`).
    pub hop_limit: u8,
    /// The time to live or hop limit of datagrams to groups (`IP_MULTICAST_TTL`,
    /// `IPV6_MULTICAST_HOPS`). Zero keeps them on this host.
    pub multicast_hop_limit: u8,
    /// Whether members of a group on this host receive what this socket sends to the group
    /// (`IP_MULTICAST_LOOP`).
    pub multicast_loop: bool,
    /// Whether the socket receives datagrams to every group that any socket of the stack has
    /// joined, and not only to its own groups (`IP_MULTICAST_ALL`, on by default as on Linux).
    pub multicast_all: bool,
    /// The type-of-service byte or traffic class: DSCP in the upper six bits, ECN in the lower two
    /// (`IP_TOS`, `IPV6_TCLASS`).
    pub tos: u8,
    /// Whether datagrams may be sent to broadcast addresses (`SO_BROADCAST`).
    pub broadcast: bool,
    /// Whether the address may be shared with sockets that set this too (`SO_REUSEADDR`). The last
    /// one bound then receives the datagrams to a single host, and all of them those to groups.
    pub reuse_addr: bool,
    /// Whether a socket bound to the unspecified IPv6 address receives IPv6 only (`IPV6_V6ONLY`).
    pub v6_only: bool,
    /// Whether large datagrams are fragmented (`IP_MTU_DISCOVER`).
    pub fragmentation: Fragmentation,
    /// Bytes of memory that datagrams may keep alive that wait to be read (`SO_RCVBUF`). A datagram
    /// that arrives when they are in use is dropped and counted.
    pub receive_buffer: usize,
    /// Bytes of memory that datagrams may keep alive that wait to be sent (`SO_SNDBUF`).
    pub send_buffer: usize,
}

impl UdpOptions {
    setters! {
        hop_limit: u8,
        multicast_hop_limit: u8,
        multicast_loop: bool,
        multicast_all: bool,
        tos: u8,
        broadcast: bool,
        reuse_addr: bool,
        v6_only: bool,
        fragmentation: Fragmentation,
        receive_buffer: usize,
        send_buffer: usize,
    }
}

/// Linux's `net.core.rmem_default` and `wmem_default`.
const DEFAULT_BUFFER: usize = 212_992;

impl Default for UdpOptions {
    fn default() -> Self {
        Self {
            hop_limit: 64,
            multicast_hop_limit: 1,
            multicast_loop: true,
            multicast_all: true,
            tos: 0,
            broadcast: false,
            reuse_addr: false,
            v6_only: false,
            fragmentation: Fragmentation::default(),
            receive_buffer: DEFAULT_BUFFER,
            send_buffer: DEFAULT_BUFFER,
        }
    }
}

/// What happens to datagrams that are larger than the path carries (`IP_MTU_DISCOVER`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fragmentation {
    /// This host fragments them to the size that routers have reported for the path, and routers do
    /// not (`IP_PMTUDISC_WANT`, Linux's default).
    #[default]
    Path,
    /// This host fragments them to the size of its device, and IPv4 routers fragment them further
    /// (`IP_PMTUDISC_DONT`).
    Routers,
    /// They are refused, if they exceed the size that routers have reported for the path
    /// (`IP_PMTUDISC_DO`).
    Refused,
    /// They are refused if they exceed the device's size. Reports of routers are not used: a
    /// protocol that probes the path itself, as QUIC does, chooses this (`IP_PMTUDISC_PROBE`).
    Probe,
}

impl Fragmentation {
    /// Whether this host fragments.
    pub(crate) const fn is_allowed(self) -> bool {
        matches!(self, Self::Path | Self::Routers)
    }

    /// Whether the reports of routers count.
    pub(crate) const fn heeds_routers(self) -> bool {
        matches!(self, Self::Path | Self::Refused)
    }
}
