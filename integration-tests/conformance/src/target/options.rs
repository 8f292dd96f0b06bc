//! Socket options with a numeric value.

/// An option of setsockopt(2) and getsockopt(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the option of its name")]
pub enum SockOpt {
    NoDelay,
    Cork,
    SendBuffer,
    ReceiveBuffer,
    ReceiveLowWater,
    MaxSegment,
    KeepAlive,
    KeepIdle,
    KeepInterval,
    KeepCount,
    /// The value is in milliseconds.
    UserTimeout,
    Tos,
    Ttl,
    ReuseAddr,
    /// Reading the option clears it.
    Error,
    SynCount,
}

impl SockOpt {
    /// The option with this name, if it is in the list.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "TCP_NODELAY" => Self::NoDelay,
            "TCP_CORK" => Self::Cork,
            "SO_SNDBUF" => Self::SendBuffer,
            "SO_RCVBUF" => Self::ReceiveBuffer,
            "SO_RCVLOWAT" => Self::ReceiveLowWater,
            "TCP_MAXSEG" => Self::MaxSegment,
            "SO_KEEPALIVE" => Self::KeepAlive,
            "TCP_KEEPIDLE" => Self::KeepIdle,
            "TCP_KEEPINTVL" => Self::KeepInterval,
            "TCP_KEEPCNT" => Self::KeepCount,
            "TCP_USER_TIMEOUT" => Self::UserTimeout,
            "IP_TOS" | "IPV6_TCLASS" => Self::Tos,
            "IP_TTL" | "IPV6_UNICAST_HOPS" => Self::Ttl,
            "SO_REUSEADDR" => Self::ReuseAddr,
            "SO_ERROR" => Self::Error,
            "TCP_SYNCNT" => Self::SynCount,
            _ => return None,
        })
    }
}
