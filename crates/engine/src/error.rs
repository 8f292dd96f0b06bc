//! Errors, by their origin: the caller's requests ([`BindError`], [`ListenError`],
//! [`ConnectError`], [`WriteError`], [`UdpSendError`], [`MembershipError`]), the life of a
//! connection ([`ConnectionError`], sticky), the network's reports to a UDP socket ([`UdpError`]),
//! and packets from the network, which never cause an error but a counted [`DropReason`].

use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

use crate::config::limits::InvalidOption;

/// Why a local address could not be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another socket holds the address (see `reuse_addr`).
    #[error("address {0} is already in use")]
    AddrInUse(SocketAddr),
    /// The address is not one of the stack's own.
    #[error("address {0} is not one of this stack's addresses")]
    AddrNotAvailable(IpAddr),
    /// An IPv6 multicast address, which a stream cannot have.
    #[error("{0} cannot be bound to")]
    InvalidAddress(IpAddr),
    /// Every port of the ephemeral range is taken.
    #[error("no ephemeral port is free")]
    NoPortFree,
    /// The UDP port belongs to another [`Share`](crate::Share): its datagrams would not stay here.
    #[error("UDP port {port} belongs to share {owner}")]
    OtherShare {
        /// The port.
        port: u16,
        /// The [index](crate::Share::index) of the share that must bind it.
        owner: u16,
    },
    /// An option has a value with which no socket can work.
    #[error(transparent)]
    InvalidOption(#[from] InvalidOption),
}

/// Why a socket could not start listening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Another listener has the address.
    #[error("address {0} is already in use by a listener")]
    AddrInUse(SocketAddr),
    /// An option has a value with which no connection can work.
    #[error(transparent)]
    InvalidOption(#[from] InvalidOption),
}

/// Why an active open could not begin. A failure after the SYN is a [`ConnectionError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The four-tuple is in use, TIME-WAIT included.
    #[error("the connection from {local} to {remote} is already in use")]
    AddrInUse {
        /// The local end.
        local: SocketAddr,
        /// The remote end.
        remote: SocketAddr,
    },
    /// No local address suits the destination, or no ephemeral port is free for it.
    #[error("no local address or port is available to reach {0}")]
    AddrNotAvailable(SocketAddr),
    /// No route leads to the destination, or it is multicast or broadcast (RFC 9293 MUST-46).
    #[error("network of {0} is unreachable")]
    NetworkUnreachable(IpAddr),
    /// A broadcast address, to which only a UDP socket with the option may send.
    #[error("broadcasting to {0} is not permitted")]
    BroadcastNotPermitted(IpAddr),
    /// Port 0, on which no host listens (RFC 6335 6).
    #[error("connection to {0} refused")]
    Refused(SocketAddr),
    /// An address that cannot appear in a packet: reserved, or on the wire from a loopback address
    /// (RFC 1122 3.2.1.3).
    #[error("{0} cannot be connected to")]
    InvalidDestination(SocketAddr),
    /// The four-tuple belongs to another [`Share`](crate::Share): its answers would not arrive
    /// here.
    #[error("the connection from {local} to {remote} belongs to share {owner}")]
    OtherShare {
        /// The local end.
        local: SocketAddr,
        /// The remote end.
        remote: SocketAddr,
        /// The [index](crate::Share::index) of the share that must make the connection.
        owner: u16,
    },
    /// The bound address and the destination are of different families.
    #[error("the socket is bound to {local}, which cannot reach {remote}")]
    FamilyMismatch {
        /// The local end.
        local: SocketAddr,
        /// The remote end.
        remote: SocketAddr,
    },
    /// An option has a value with which no connection can work.
    #[error(transparent)]
    InvalidOption(#[from] InvalidOption),
}

/// Why a datagram could not be sent, or its destination could not be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UdpSendError {
    /// A failure that the network had reported (see [`UdpError`]). The datagram was not sent; the
    /// next one may be.
    #[error(transparent)]
    Network(#[from] UdpError),
    /// There is no such socket.
    #[error("there is no such socket")]
    Closed,
    /// Neither the call nor the socket names a destination.
    #[error("the socket has no destination")]
    NoDestination,
    /// Longer than a datagram can be, or than the path carries without fragments.
    #[error("a datagram of {0} bytes is too large")]
    TooLarge(usize),
    /// No route leads to the destination, or no address of the stack can reach it.
    #[error("network of {0} is unreachable")]
    NetworkUnreachable(IpAddr),
    /// A broadcast address, to which only a socket with the option may send.
    #[error("broadcasting to {0} is not permitted")]
    BroadcastNotPermitted(IpAddr),
    /// An IPv6 destination, and the socket is one for IPv4.
    #[error("{0} is not of the socket's family")]
    FamilyMismatch(SocketAddr),
    /// A destination that cannot be used: port 0, a reserved address, or from a loopback address to
    /// another host.
    #[error("a datagram cannot be sent to {0}")]
    InvalidDestination(SocketAddr),
    /// The source address does not belong to the stack, or is of another family.
    #[error("a datagram cannot be sent from {0}")]
    InvalidSource(IpAddr),
}

/// A failure that the network reported to a connected UDP socket by ICMP. Reported once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum UdpError {
    /// No socket has the peer's port.
    #[error("connection refused")]
    Refused,
    /// The peer does not know UDP.
    #[error("protocol not available")]
    ProtocolUnavailable,
    /// A datagram was larger than the path carries.
    #[error("message too long")]
    TooLarge,
    /// The peer's host does not exist, or communication with it is prohibited.
    #[error("host unreachable")]
    HostUnreachable,
    /// The peer's network does not exist, or communication with it is prohibited.
    #[error("network unreachable")]
    NetworkUnreachable,
    /// A policy forbids the communication.
    #[error("permission denied")]
    PermissionDenied,
    /// The peer reports a fault of the header.
    #[error("protocol error")]
    Protocol,
}

/// Why a socket could not join or leave a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// There is no such socket.
    #[error("there is no such socket")]
    Closed,
    /// Not a multicast address.
    #[error("{0} is not a multicast address")]
    NotMulticast(IpAddr),
    /// The socket is a member already.
    #[error("the socket is a member of {0} already")]
    AlreadyMember(IpAddr),
    /// The socket is not a member.
    #[error("the socket is not a member of {0}")]
    NotMember(IpAddr),
    /// The socket has joined as many groups as it may.
    #[error("the socket is a member of too many groups")]
    TooMany,
}

/// How a connection failed. Sticky: once a connection has failed, every later call reports the
/// error or its consequence (RFC 9293 MUST-12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The peer answered the SYN with a reset.
    #[error("connection refused")]
    Refused,
    /// The peer reset the connection.
    #[error("connection reset by peer")]
    Reset,
    /// Retransmissions, keepalive probes or the user timeout ran out (RFC 9293 3.8.3 R2).
    #[error("connection timed out")]
    TimedOut,
    /// An ICMP error reported that the host is unreachable.
    #[error("host unreachable")]
    HostUnreachable,
    /// An ICMP error reported that the network is unreachable.
    #[error("network unreachable")]
    NetworkUnreachable,
    /// This side aborted the connection.
    #[error("connection aborted")]
    Aborted,
    /// The peer had sent everything and closed its side, and then reset the connection: all its
    /// data can be read, but it accepts no more.
    #[error("broken pipe")]
    BrokenPipe,
}

/// Why a write is impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The connection failed; this is the first call that reports it.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The connection is over, as an earlier call reported, or this side has shut down writing.
    #[error("broken pipe")]
    BrokenPipe,
    /// The connection's state does not accept data.
    #[error("cannot send after shutdown")]
    Shutdown,
    /// There is no such connection.
    #[error("not connected")]
    NotConnected,
}

/// Defines the enum and the list of its variants, so that they cannot differ.
macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $reason:ident,)*) => {
        /// Why a packet from the network was dropped. Counted in [`Counters`](crate::Counters).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum DropReason {
            $($(#[$doc])* $reason,)*
        }

        impl DropReason {
            /// Every reason.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$reason,)*];

            /// Number of reasons.
            pub const COUNT: usize = [$(stringify!($reason)),*].len();
        }
    };
}

drop_reasons! {
    /// An IP packet that does not parse.
    MalformedIp,
    /// A TCP header that does not parse.
    MalformedTcp,
    /// An ICMP message that does not parse.
    MalformedIcmp,
    /// A TCP or UDP checksum that is wrong (RFC 9293 MUST-3).
    Checksum,
    /// The destination is another host.
    NotForUs,
    /// A source or destination that cannot appear on a wire: multicast, broadcast, loopback,
    /// unspecified, reserved, an IPv4-mapped IPv6 address (RFC 9293 MUST-57, MUST-63,
    /// RFC 1122 3.2.1.3).
    InvalidAddress,
    /// A segment from a local address and port to itself that belongs to no connection (LAND).
    Land,
    /// An unsupported protocol, IPv6 option or routing header: answered as RFC 1122 and RFC 8200
    /// require.
    UnknownProtocol,
    /// A UDP datagram that is shorter than its length field or its header.
    MalformedUdp,
    /// An IP fragment that could not be reassembled.
    Fragment,
    /// A segment for no connection and no listener; answered with a reset unless it was a reset
    /// itself.
    NoConnection,
    /// A listener's queue of half-open connections is full.
    SynQueueFull,
    /// A listener's queue of connections not yet accepted is full.
    AcceptQueueFull,
    /// A repeated SYN that arrived sooner than another answer is permitted.
    AnswerRateLimited,
    /// A segment that a listener does not accept (RFC 9293 3.10.7.2).
    ListenUnexpected,
    /// Entirely outside the receive window (RFC 9293 3.10.7.4, first).
    OutsideWindow,
    /// Timestamp older than the last one accepted (RFC 7323 5.3).
    Paws,
    /// A reset whose sequence number was not exactly the expected one (RFC 5961 3).
    InexactReset,
    /// A SYN in a synchronised state (RFC 5961 4).
    UnexpectedSyn,
    /// A required ACK flag is missing.
    MissingAck,
    /// Acknowledges data that was not sent, or is too old (RFC 5961 5).
    UnacceptableAck,
    /// Payload beyond the peer's FIN or in a state that accepts none.
    UnexpectedData,
    /// Payload for which the reassembly queue had no room.
    AssemblerFull,
    /// Payload that was not kept because the stack's memory is used up (see `Config::memory`).
    OutOfMemory,
    /// An ICMP error about no connection, or with a sequence number outside the flight (RFC 5927).
    IcmpUnrelated,
    /// A router's report of a smaller path MTU that contradicts the sizes that have arrived: it is
    /// held until the quoted data times out, and discarded when that data is acknowledged
    /// (RFC 5927 7.2).
    IcmpImplausible,
    /// A reply that was not sent because too many were waiting.
    ReplyQueueFull,
    /// An ICMP reply above the configured rate.
    IcmpRateLimited,
    /// An ICMP reply that would not fit the MTU.
    TooLarge,
    /// A packet of another share, when too many were waiting to be forwarded.
    MisdirectedQueueFull,
    /// A UDP datagram for which its socket's receive buffer had no room.
    UdpQueueFull,
    /// A datagram to a group that nobody here has joined, or to a port that no member has.
    NoMember,
}
