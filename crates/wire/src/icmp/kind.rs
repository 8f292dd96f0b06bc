//! The meanings of ICMP errors, and their numbers in each family.

/// The error that a packet caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The packet cannot be delivered.
    Unreachable(Unreachable),
    /// The packet is larger than the MTU of a link on the path: IPv4 "fragmentation needed"
    /// (RFC 1191), IPv6 "packet too big" (RFC 8201).
    PacketTooBig {
        /// The largest packet that fits, in bytes with the IP header; zero from routers older than
        /// RFC 1191.
        mtu: u32,
    },
    /// The packet exceeded a time limit.
    TimeExceeded {
        /// 0: the hop limit was exceeded; 1: its fragments did not arrive in time.
        code: u8,
    },
    /// The header of the packet is invalid for the node that should process it.
    ParameterProblem {
        /// The kind of problem, by the numbers of the family; in IPv6, 1 is an unknown next header
        /// and 2 an unknown option.
        code: u8,
        /// Position of the problem, in bytes from the packet's beginning; at most 255 in IPv4.
        pointer: u32,
    },
    /// IPv4 only: reduce the sending rate. Ignored today (RFC 6633).
    SourceQuench,
    /// IPv4 only: another router is on a shorter path.
    Redirect,
}

/// Why a packet cannot be delivered. The numbers are the codes in IPv4 and IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unreachable {
    /// No route to the network: 0 and 0.
    Network,
    /// The host does not answer: 1, and 3 "address unreachable".
    Host,
    /// The host does not support the protocol: 2, none in IPv6.
    Protocol,
    /// No program listens on the port: 3 and 4.
    Port,
    /// A source route failed: 5, none in IPv6.
    SourceRouteFailed,
    /// The network does not exist: 6, none in IPv6.
    NetworkUnknown,
    /// The host does not exist: 7, none in IPv6.
    HostUnknown,
    /// The sender is isolated: 8, none in IPv6.
    SourceIsolated,
    /// Communication with the network is prohibited: 9, none in IPv6.
    NetworkProhibited,
    /// Communication with the host is prohibited: 10, none in IPv6.
    HostProhibited,
    /// The network does not serve this type of service: 11, none in IPv6.
    NetworkForTos,
    /// The host does not serve this type of service: 12, none in IPv6.
    HostForTos,
    /// Communication is prohibited: 13 and 1.
    Prohibited,
    /// The precedence is not permitted: 14, none in IPv6.
    PrecedenceViolation,
    /// The precedence is below the network's minimum: 15, none in IPv6.
    PrecedenceCutoff,
    /// Beyond the scope of the source address: 2 in IPv6.
    BeyondScope,
    /// The source address failed an ingress or egress policy: 5 in IPv6.
    SourcePolicy,
    /// The route to the destination rejects packets: 6 in IPv6.
    RejectRoute,
}

/// RFC 792 and RFC 1122 3.2.2.1; code 4 is [`ErrorKind::PacketTooBig`].
const CODES_V4: [(u8, Unreachable); 15] = [
    (0, Unreachable::Network),
    (1, Unreachable::Host),
    (2, Unreachable::Protocol),
    (3, Unreachable::Port),
    (5, Unreachable::SourceRouteFailed),
    (6, Unreachable::NetworkUnknown),
    (7, Unreachable::HostUnknown),
    (8, Unreachable::SourceIsolated),
    (9, Unreachable::NetworkProhibited),
    (10, Unreachable::HostProhibited),
    (11, Unreachable::NetworkForTos),
    (12, Unreachable::HostForTos),
    (13, Unreachable::Prohibited),
    (14, Unreachable::PrecedenceViolation),
    (15, Unreachable::PrecedenceCutoff),
];

/// RFC 4443 3.1.
const CODES_V6: [(u8, Unreachable); 7] = [
    (0, Unreachable::Network),
    (1, Unreachable::Prohibited),
    (2, Unreachable::BeyondScope),
    (3, Unreachable::Host),
    (4, Unreachable::Port),
    (5, Unreachable::SourcePolicy),
    (6, Unreachable::RejectRoute),
];

/// Type, code and second word of a message.
pub(super) type Numbers = (u8, u8, u32);

impl ErrorKind {
    /// The meaning of an ICMPv4 message; `None` if it is not an error, or its unreachable code is
    /// unknown.
    pub(super) fn from_v4(kind: u8, code: u8, word: u32) -> Option<Self> {
        Some(match (kind, code) {
            (3, 4) => Self::PacketTooBig { mtu: word & 0xFFFF },
            (3, code) => Self::Unreachable(meaning(&CODES_V4, code)?),
            (4, _) => Self::SourceQuench,
            (5, _) => Self::Redirect,
            (11, code) => Self::TimeExceeded { code },
            (12, code) => Self::ParameterProblem {
                code,
                pointer: word >> 24,
            },
            _ => return None,
        })
    }

    /// The meaning of an ICMPv6 message; `None` if it is not an error, or its unreachable code is
    /// unknown.
    pub(super) fn from_v6(kind: u8, code: u8, word: u32) -> Option<Self> {
        Some(match kind {
            1 => Self::Unreachable(meaning(&CODES_V6, code)?),
            2 => Self::PacketTooBig { mtu: word },
            3 => Self::TimeExceeded { code },
            4 => Self::ParameterProblem {
                code,
                pointer: word,
            },
            _ => return None,
        })
    }

    /// The numbers in ICMPv4. Hosts do not send redirects, whose second word is the address of a
    /// router.
    pub(super) fn to_v4(self) -> Option<Numbers> {
        Some(match self {
            Self::Unreachable(reason) => (3, number(&CODES_V4, reason)?, 0),
            Self::PacketTooBig { mtu } => (3, 4, u32::from(u16::try_from(mtu).ok()?)),
            Self::SourceQuench => (4, 0, 0),
            Self::Redirect => return None,
            Self::TimeExceeded { code } => (11, code, 0),
            Self::ParameterProblem { code, pointer } => {
                (12, code, u32::from(u8::try_from(pointer).ok()?) << 24)
            }
        })
    }

    /// The numbers in ICMPv6.
    pub(super) fn to_v6(self) -> Option<Numbers> {
        Some(match self {
            Self::Unreachable(reason) => (1, number(&CODES_V6, reason)?, 0),
            Self::PacketTooBig { mtu } => (2, 0, mtu),
            Self::SourceQuench | Self::Redirect => return None,
            Self::TimeExceeded { code } => (3, code, 0),
            Self::ParameterProblem { code, pointer } => (4, code, pointer),
        })
    }
}

fn meaning(codes: &[(u8, Unreachable)], code: u8) -> Option<Unreachable> {
    codes
        .iter()
        .find(|(number, _)| *number == code)
        .map(|(_, reason)| *reason)
}

fn number(codes: &[(u8, Unreachable)], reason: Unreachable) -> Option<u8> {
    codes
        .iter()
        .find(|(_, meaning)| *meaning == reason)
        .map(|(number, _)| *number)
}
