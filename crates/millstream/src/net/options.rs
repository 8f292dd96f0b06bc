//! What can be set on a [`TcpStream`], and asked about it.

use std::io;
use std::time::Duration;

use millstream_engine::{
    CongestionControl, ConnectionOptions, InvalidOption, Keepalive, SocketOptions, State, TcpInfo,
};

use crate::error::IntoIo;
use crate::net::stream::TcpStream;

impl TcpStream {
    /// Whether small segments are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    /// The stack is over.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.option(|options| options.nodelay)
    }

    /// Turns Nagle's algorithm off (`true`) or on (RFC 9293 3.7.4). `true` sends what waits, behind a cork too, and also
    /// where it was off already.
    ///
    /// # Errors
    /// The stack is over.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        told(self.connection().command(|core, now, id| {
            let set = core
                .engine
                .set_options(now, id, |options| options.nodelay = nodelay);
            if nodelay {
                core.engine.push(now, id);
            }
            set
        }))
    }

    /// What dropping the stream does with what is not delivered: see [`set_linger`](Self::set_linger).
    ///
    /// # Errors
    /// The stack is over.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.option(|options| options.linger)
    }

    /// Sets `SO_LINGER`. `Some(ZERO)`: dropping the stream discards what is not sent and resets the
    /// connection. `None`, the default, and other times deliver it in the background; dropping
    /// never waits.
    ///
    /// # Errors
    /// The stack is over.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.set_options(|options| options.linger = linger)
    }

    /// Has dropping the stream reset the connection.
    ///
    /// # Errors
    /// The stack is over.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }

    /// Time to live, or hop limit, of what is sent.
    ///
    /// # Errors
    /// The stack is over.
    pub fn ttl(&self) -> io::Result<u32> {
        self.option(|options| options.hop_limit.into())
    }

    /// Sets the time to live, or hop limit: 1 to 255 (RFC 9293 3.9.2).
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): out of range. The stack is over.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let hop_limit = hop_limit(ttl)?;
        self.set_options(|options| options.hop_limit = hop_limit)
    }

    /// The probing of the connection while it is idle; `None`, the default, is off.
    ///
    /// # Errors
    /// The stack is over.
    pub fn keepalive(&self) -> io::Result<Option<Keepalive>> {
        self.option(|options| options.keepalive)
    }

    /// Turns the probing of the idle connection on or off (RFC 9293 3.8.4). As with Linux the times
    /// are from 1 to 32,767 seconds and the count from 1 to 127.
    ///
    /// # Errors [`InvalidInput`](io::ErrorKind::InvalidInput): a value is refused, see
    /// [`InvalidOption`]. The stack is over.
    pub fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
        self.set_options(|options| options.keepalive = keepalive)
    }

    /// How long data may stay unacknowledged (`TCP_USER_TIMEOUT`).
    ///
    /// # Errors
    /// The stack is over.
    pub fn user_timeout(&self) -> io::Result<Option<Duration>> {
        self.option(|options| options.user_timeout)
    }

    /// Sets how long data may stay unacknowledged before the connection fails with
    /// [`TimedOut`](io::ErrorKind::TimedOut); `None`: as many retransmissions as configured (RFC
    /// 9293 3.8.3). It holds for data that waits for a peer whose window stays closed, too: without
    /// it, a peer that answers the probes of its window may keep it closed for ever (MUST-37) as
    /// long as the stack has memory. At least a millisecond.
    ///
    /// # Errors [`InvalidInput`](io::ErrorKind::InvalidInput): a value is refused, see
    /// [`InvalidOption`]. The stack is over.
    pub fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set_options(|options| options.user_timeout = timeout)
    }

    /// The type-of-service or traffic-class byte of what is sent, without its two ECN bits.
    ///
    /// # Errors
    /// The stack is over.
    pub fn tos(&self) -> io::Result<u8> {
        self.option(|options| options.tos)
    }

    /// Sets the type-of-service or traffic-class byte: a DSCP in the upper six bits (RFC 2474). The
    /// lower two are ECN's and ignored.
    ///
    /// # Errors
    /// The stack is over.
    pub fn set_tos(&self, tos: u8) -> io::Result<()> {
        self.set_options(|options| options.tos = tos & !0b11)
    }

    /// Name of the congestion control algorithm (`TCP_CONGESTION`).
    ///
    /// # Errors
    /// The stack is over.
    pub fn congestion(&self) -> io::Result<&'static str> {
        self.option(|options| options.congestion.name())
    }

    /// Chooses the congestion control algorithm by its name: `cubic`, `reno` or `bbr`. One of your own goes by
    /// [`set_options`](Self::set_options) and [`CongestionControl::Custom`].
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): no algorithm has that name. The stack is over.
    pub fn set_congestion(&self, name: &str) -> io::Result<()> {
        let congestion = CongestionControl::from_name(name).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "no such congestion control algorithm",
            )
        })?;
        self.set_options(|options| options.congestion = congestion)
    }

    /// All options of the connection.
    ///
    /// # Errors
    /// The stack is over.
    pub fn options(&self) -> io::Result<SocketOptions> {
        self.option(SocketOptions::clone)
    }

    /// Changes any of the options that a live connection has. Buffer sizes below what is in use take
    /// effect as the buffers are emptied.
    ///
    /// # Errors [`InvalidInput`](io::ErrorKind::InvalidInput): a value is refused, and nothing was
    /// changed; see [`InvalidOption`]. The stack is over.
    pub fn set_options(&self, change: impl FnOnce(&mut ConnectionOptions)) -> io::Result<()> {
        told(
            self.connection()
                .command(|core, now, id| core.engine.set_options(now, id, change)),
        )
    }

    /// What the protocol knows and measures: the fields of `TCP_INFO`.
    ///
    /// # Errors
    /// The stack is over.
    pub fn info(&self) -> io::Result<TcpInfo> {
        self.connection().ask(|core, id| core.engine.info(id))
    }

    /// The connection's state (RFC 9293 3.3.2), [`Closed`](State::Closed) when it has ended.
    #[must_use]
    pub fn state(&self) -> State {
        self.connection()
            .inspect(|core, id| core.engine.state(id))
            .unwrap_or(State::Closed)
    }

    fn option<R>(&self, read: impl FnOnce(&SocketOptions) -> R) -> io::Result<R> {
        self.connection()
            .ask(|core, id| core.engine.options(id).map(read))
    }
}

/// What the engine says to options.
pub(crate) fn told(set: io::Result<Result<(), InvalidOption>>) -> io::Result<()> {
    set?.map_err(IntoIo::into_io)
}

/// The one byte that a time to live is.
pub(crate) fn hop_limit(ttl: u32) -> io::Result<u8> {
    match u8::try_from(ttl) {
        Ok(0) | Err(_) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a time to live is from 1 to 255",
        )),
        Ok(hop_limit) => Ok(hop_limit),
    }
}
