//! The options of a [`TcpStream`], and queries about its state.

use std::io;
use std::time::Duration;

use millstream_engine::{
    CongestionControl, ConnectionOptions, InvalidOption, Keepalive, SocketOptions, State, TcpInfo,
};

use crate::error::{IntoIo, invalid_input};
use crate::net::stream::TcpStream;
use crate::shard::Core;

impl TcpStream {
    /// Whether small segments are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    /// The stack has ended.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.option(|options| options.nodelay)
    }

    /// Turns Nagle's algorithm off (`true`) or on (RFC 9293 3.7.4). `true` sends the waiting data
    /// at once, even behind a cork, and even if the algorithm was off already.
    ///
    /// # Errors
    /// The stack has ended.
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

    /// Whether acknowledgments are sent without waiting for an answer (`TCP_QUICKACK`).
    ///
    /// # Errors
    /// The stack has ended.
    #[cfg(target_os = "linux")]
    pub fn quickack(&self) -> io::Result<bool> {
        self.connection().ask(|core, id| core.engine.quick_ack(id))
    }

    /// Sets whether acknowledgments are sent at once, or wait for an answer that could carry them.
    /// One that waits is sent. As on Linux, this holds until the traffic shows that the application
    /// answers soon, or does not.
    ///
    /// # Errors
    /// The stack has ended.
    #[cfg(target_os = "linux")]
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        self.connection()
            .command(|core, now, id| core.engine.set_quick_ack(now, id, quickack))
    }

    /// How dropping the stream treats undelivered data: see [`set_linger`](Self::set_linger).
    ///
    /// # Errors
    /// The stack has ended.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.option(|options| options.linger)
    }

    /// Sets `SO_LINGER`. With `Some(ZERO)`, dropping the stream discards unsent data and resets the
    /// connection. With `None`, the default, and with other times, the data is delivered in the
    /// background; dropping never waits. As with Linux, the time is in whole seconds; a part of the
    /// first second counts as one.
    ///
    /// # Errors
    /// The stack has ended.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        let linger = linger.map(whole_seconds);
        self.set_options(|options| options.linger = linger)
    }

    /// Makes dropping the stream reset the connection.
    ///
    /// # Errors
    /// The stack has ended.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }

    /// The time to live (IPv4) or hop limit (IPv6) of sent packets.
    ///
    /// # Errors
    /// The stack has ended.
    pub fn ttl(&self) -> io::Result<u32> {
        self.option(|options| options.hop_limit.into())
    }

    /// Sets the time to live, or hop limit: 1 to 255 (RFC 9293 3.9.2). `u32::MAX` sets the one with
    /// which the stack's connections start.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): out of range. The stack has ended.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let usual = |core: &Core, _| core.engine.config().socket.hop_limit;
        let hop_limit = hop_limit(ttl, self.connection().inspect(usual))?;
        self.set_options(|options| options.hop_limit = hop_limit)
    }

    /// The keepalive settings, by which an idle connection is probed; `None`, the default, is off.
    ///
    /// # Errors
    /// The stack has ended.
    pub fn keepalive(&self) -> io::Result<Option<Keepalive>> {
        self.option(|options| options.keepalive)
    }

    /// Turns the probing of the idle connection on or off (RFC 9293 3.8.4). As with Linux, the
    /// times are from 1 to 32,767 seconds and the count from 1 to 127.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): a value is invalid, see [`InvalidOption`].
    /// The stack has ended.
    pub fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
        self.set_options(|options| options.keepalive = keepalive)
    }

    /// How long data may stay unacknowledged (`TCP_USER_TIMEOUT`).
    ///
    /// # Errors
    /// The stack has ended.
    pub fn user_timeout(&self) -> io::Result<Option<Duration>> {
        self.option(|options| options.user_timeout)
    }

    /// Sets how long data may stay unacknowledged before the connection fails with
    /// [`TimedOut`](io::ErrorKind::TimedOut); `None` means after the configured number of
    /// retransmissions (RFC 9293 3.8.3). The timeout also applies to data that waits for a peer
    /// whose window stays closed: without it, a peer that answers window probes may keep its window
    /// closed for ever (MUST-37), as long as the stack has memory. The minimum is one millisecond.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): a value is invalid, see [`InvalidOption`].
    /// The stack has ended.
    pub fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set_options(|options| options.user_timeout = timeout)
    }

    /// The type-of-service or traffic-class byte of sent packets, without its two ECN bits.
    ///
    /// # Errors
    /// The stack has ended.
    pub fn tos(&self) -> io::Result<u8> {
        self.option(|options| options.tos)
    }

    /// Sets the type-of-service or traffic-class byte: a DSCP in the upper six bits (RFC 2474). The
    /// lower two bits belong to ECN and are ignored.
    ///
    /// # Errors
    /// The stack has ended.
    pub fn set_tos(&self, tos: u8) -> io::Result<()> {
        self.set_options(|options| options.tos = tos & !0b11)
    }

    /// The name of the congestion control algorithm (`TCP_CONGESTION`).
    ///
    /// # Errors
    /// The stack has ended.
    pub fn congestion(&self) -> io::Result<&'static str> {
        self.option(|options| options.congestion.name())
    }

    /// Selects the congestion control algorithm by its name: `cubic`, `reno` or `bbr`. A custom
    /// algorithm is selected with [`set_options`](Self::set_options) and
    /// [`CongestionControl::Custom`].
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): no algorithm has that name. The stack has
    /// ended.
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
    /// The stack has ended.
    pub fn options(&self) -> io::Result<SocketOptions> {
        self.option(SocketOptions::clone)
    }

    /// Changes any of the options of a live connection. A buffer size below the bytes in use takes
    /// effect as the buffer is emptied.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): a value is invalid, and nothing was changed;
    /// see [`InvalidOption`]. The stack has ended.
    pub fn set_options(&self, change: impl FnOnce(&mut ConnectionOptions)) -> io::Result<()> {
        told(
            self.connection()
                .command(|core, now, id| core.engine.set_options(now, id, change)),
        )
    }

    /// The state and measurements of the protocol: the fields of `TCP_INFO`.
    ///
    /// # Errors
    /// The stack has ended.
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

/// Converts the engine's answer to a change of options.
pub(crate) fn told(set: io::Result<Result<(), InvalidOption>>) -> io::Result<()> {
    set?.map_err(IntoIo::into_io)
}

/// Converts a time to live to its one byte. `u32::MAX`, the kernel's -1, means the `usual` one.
pub(crate) fn hop_limit(ttl: u32, usual: u8) -> io::Result<u8> {
    match u8::try_from(ttl) {
        _ if ttl == u32::MAX => Ok(usual),
        Ok(0) | Err(_) => Err(invalid_input()),
        Ok(hop_limit) => Ok(hop_limit),
    }
}

/// A time to linger in whole seconds. A part of the first second is one, because zero would mean
/// that undelivered data is discarded.
pub(crate) fn whole_seconds(linger: Duration) -> Duration {
    match linger.as_secs() {
        0 if !linger.is_zero() => Duration::from_secs(1),
        seconds => Duration::from_secs(seconds),
    }
}
