//! The permitted values of options. They are checked where they are set, so that no later code has
//! to check them.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::config::{Config, SocketOptions, UdpOptions};

/// The option whose value was refused: no connection can work with the value, and Linux's
/// setsockopt would refuse it with `EINVAL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidOption {
    /// `Keepalive::idle` (`TCP_KEEPIDLE`).
    #[error("the silence before the first keepalive probe is from 1 to 32767 seconds")]
    KeepaliveIdle,
    /// `Keepalive::interval` (`TCP_KEEPINTVL`).
    #[error("the time between keepalive probes is from 1 to 32767 seconds")]
    KeepaliveInterval,
    /// `Keepalive::count` (`TCP_KEEPCNT`).
    #[error("the number of keepalive probes is from 1 to 127")]
    KeepaliveCount,
    /// `SocketOptions::user_timeout` (`TCP_USER_TIMEOUT`).
    #[error("a user timeout is from 1 to 2147483647 milliseconds; `None` is none")]
    UserTimeout,
    /// `SocketOptions::max_segment_size` (`TCP_MAXSEG`).
    #[error("a maximum segment size is from 88 to 32767 bytes; `None` is none")]
    MaxSegmentSize,
    /// `SocketOptions::hop_limit` (`IP_TTL`, `IPV6_UNICAST_HOPS`).
    #[error("a time to live, or hop limit, is from 1 to 255")]
    HopLimit,
    /// `SocketOptions::syn_retries` (`TCP_SYNCNT`).
    #[error("a SYN is sent again from 1 to 127 times, or without end")]
    SynRetries,
    /// `SocketOptions::min_rto`, `initial_rto` and `max_rto`.
    #[error("retransmission timeouts are from 1 ms to 1 day, and none is above the longest")]
    RetransmissionTimeout,
    /// `Route::min_rto`.
    #[error("the least retransmission timeout of a route is from 1 ms to 1 day")]
    RouteTimeout,
    /// `ConnectionOptions::max_pacing_rate` (`SO_MAX_PACING_RATE`).
    #[error("a pacing rate is at least 1 byte per second; `None` is no limit")]
    MaxPacingRate,
    /// `SocketOptions::delayed_ack`.
    #[error("an acknowledgment waits for at most 500 milliseconds")]
    DelayedAck,
    /// `SocketOptions::initial_window`.
    #[error("an initial window has at least one segment")]
    InitialWindow,
    /// `Config::msl` and `fin_timeout`.
    #[error("a maximum segment lifetime and a FIN timeout are at most 1 day")]
    Lifetime,
    /// `Config::ephemeral_ports`.
    #[error("the range of ephemeral ports has a port, and not port 0")]
    EphemeralPorts,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Linux's `MAX_TCP_KEEPIDLE` and `MAX_TCP_KEEPINTVL`.
const KEEPALIVE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(32_767);

/// Linux's `MAX_TCP_KEEPCNT`.
const KEEPALIVE_COUNT: RangeInclusive<u8> = 1..=127;

/// Linux stores it in an `int`.
const USER_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_millis(i32::MAX as u64);

/// Linux's `TCP_MIN_MSS` and `MAX_TCP_WINDOW`.
const MAX_SEGMENT_SIZE: RangeInclusive<u16> = 88..=32_767;

/// Linux's `MAX_TCP_SYNCNT`.
const SYN_RETRIES: RangeInclusive<u8> = 1..=127;

const RETRANSMISSION_TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=DAY;

/// RFC 9293 3.8.6.3, MUST-40.
const MAX_DELAYED_ACK: Duration = Duration::from_millis(500);

impl UdpOptions {
    /// Checks whether a socket can work with these values. All functions that take options use this
    /// check.
    ///
    /// # Errors
    ///
    /// The first value that is refused.
    pub fn validate(&self) -> Result<(), InvalidOption> {
        first_refused([(self.hop_limit > 0, InvalidOption::HopLimit)])
    }
}

impl SocketOptions {
    /// Checks whether a connection can work with these values. All functions that take options use
    /// this check.
    ///
    /// # Errors
    ///
    /// The first value that is refused.
    pub fn validate(&self) -> Result<(), InvalidOption> {
        let longest = self.max_rto;
        let timeouts = [self.min_rto, self.initial_rto, longest];
        let timeouts_hold = timeouts
            .iter()
            .all(|timeout| RETRANSMISSION_TIMEOUT.contains(timeout) && *timeout <= longest);
        let keepalive = self.keepalive.unwrap_or_default();
        let retries_hold =
            SYN_RETRIES.contains(&self.syn_retries) || self.syn_retries == Self::FOR_EVER;
        first_refused([
            (
                KEEPALIVE.contains(&keepalive.idle),
                InvalidOption::KeepaliveIdle,
            ),
            (
                KEEPALIVE.contains(&keepalive.interval),
                InvalidOption::KeepaliveInterval,
            ),
            (
                KEEPALIVE_COUNT.contains(&keepalive.count),
                InvalidOption::KeepaliveCount,
            ),
            (
                holds(self.user_timeout, &USER_TIMEOUT),
                InvalidOption::UserTimeout,
            ),
            (
                holds(self.max_segment_size, &MAX_SEGMENT_SIZE),
                InvalidOption::MaxSegmentSize,
            ),
            (self.hop_limit > 0, InvalidOption::HopLimit),
            (retries_hold, InvalidOption::SynRetries),
            (timeouts_hold, InvalidOption::RetransmissionTimeout),
            (
                self.delayed_ack <= MAX_DELAYED_ACK,
                InvalidOption::DelayedAck,
            ),
            (self.initial_window > 0, InvalidOption::InitialWindow),
            (
                self.max_pacing_rate != Some(0),
                InvalidOption::MaxPacingRate,
            ),
        ])
    }

    /// These options after `change`, if all values are valid.
    pub(crate) fn changed(
        &self,
        change: impl FnOnce(&mut Self),
    ) -> Result<Arc<Self>, InvalidOption> {
        let mut changed = self.clone();
        change(&mut changed);
        changed.validate()?;
        Ok(Arc::new(changed))
    }
}

impl Config {
    /// Checks whether a stack can work with these values, including those of
    /// [`socket`](Self::socket).
    ///
    /// # Errors
    ///
    /// The first value that is refused.
    pub fn validate(&self) -> Result<(), InvalidOption> {
        let ports = &self.ephemeral_ports;
        let routes_hold = self
            .routes
            .iter()
            .all(|route| holds(route.min_rto, &RETRANSMISSION_TIMEOUT));
        first_refused([
            (
                self.msl <= DAY && self.fin_timeout <= DAY,
                InvalidOption::Lifetime,
            ),
            (
                *ports.start() > 0 && !ports.is_empty(),
                InvalidOption::EphemeralPorts,
            ),
            (routes_hold, InvalidOption::RouteTimeout),
        ])?;
        self.socket.validate()
    }
}

fn holds<T: PartialOrd>(value: Option<T>, allowed: &RangeInclusive<T>) -> bool {
    value.is_none_or(|value| allowed.contains(&value))
}

fn first_refused<const N: usize>(checks: [(bool, InvalidOption); N]) -> Result<(), InvalidOption> {
    match checks.into_iter().find(|(holds, _)| !holds) {
        Some((_, refused)) => Err(refused),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Keepalive;

    /// The result of applying `change` to the defaults.
    fn changed(change: impl FnOnce(&mut SocketOptions)) -> Result<(), InvalidOption> {
        let mut options = SocketOptions::default();
        change(&mut options);
        options.validate()
    }

    fn keepalive(change: impl FnOnce(&mut Keepalive)) -> Result<(), InvalidOption> {
        let mut keepalive = Keepalive::default();
        change(&mut keepalive);
        changed(|options| options.keepalive = Some(keepalive))
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    /// The bounds are those of Linux's `do_tcp_setsockopt`.
    #[test]
    fn keepalive_is_bounded_as_linux_bounds_it() {
        for (seconds, holds) in [(0, false), (1, true), (32_767, true), (32_768, false)] {
            let time = Duration::from_secs(seconds);
            let idle = keepalive(|keepalive| keepalive.idle = time);
            assert_eq!(idle.is_ok(), holds, "{seconds}");
            let interval = keepalive(|keepalive| keepalive.interval = time);
            assert_eq!(interval.is_ok(), holds, "{seconds}");
        }
        let almost = Duration::from_millis(999);
        let refused = keepalive(|keepalive| keepalive.idle = almost);
        assert_eq!(refused, Err(InvalidOption::KeepaliveIdle));
        for (count, holds) in [(0, false), (1, true), (127, true), (128, false)] {
            let result = keepalive(|keepalive| keepalive.count = count);
            assert_eq!(result.is_ok(), holds, "{count}");
        }
    }

    #[test]
    fn sizes_times_and_counts_are_bounded_as_linux_bounds_them() {
        for (mss, holds) in [
            (0, false),
            (87, false),
            (88, true),
            (32_767, true),
            (32_768, false),
        ] {
            let result = changed(|options| options.max_segment_size = Some(mss));
            assert_eq!(result.is_ok(), holds, "{mss}");
        }
        let zero = Some(Duration::ZERO);
        let refused = changed(|options| options.user_timeout = zero);
        assert_eq!(refused, Err(InvalidOption::UserTimeout));
        let refused = changed(|options| options.hop_limit = 0);
        assert_eq!(refused, Err(InvalidOption::HopLimit));
        for retries in [0, 128] {
            let refused = changed(|options| options.syn_retries = retries);
            assert_eq!(refused, Err(InvalidOption::SynRetries));
        }
        let without_end = changed(|options| options.syn_retries = SocketOptions::FOR_EVER);
        assert_eq!(without_end, Ok(()));
    }

    #[test]
    fn retransmission_timeouts_are_in_order_and_not_zero() {
        let refused = Err(InvalidOption::RetransmissionTimeout);
        assert_eq!(changed(|options| options.min_rto = Duration::ZERO), refused);
        assert_eq!(changed(|options| options.max_rto = Duration::ZERO), refused);
        assert_eq!(
            changed(|options| options.max_rto = options.min_rto / 2),
            refused
        );
        assert_eq!(
            changed(|options| options.initial_rto = 2 * options.max_rto),
            refused
        );
    }

    #[test]
    fn a_stack_has_ports_and_lifetimes() {
        let with = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.validate()
        };
        let no_port = with(|config| config.ephemeral_ports = RangeInclusive::new(2, 1));
        assert_eq!(no_port, Err(InvalidOption::EphemeralPorts));
        let endless = with(|config| config.msl = Duration::MAX);
        assert_eq!(endless, Err(InvalidOption::Lifetime));
        let socket = with(|config| config.socket.hop_limit = 0);
        assert_eq!(socket, Err(InvalidOption::HopLimit));
    }
}
