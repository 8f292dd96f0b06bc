//! Rate limits of outgoing ICMP messages (RFC 1812 4.3.2.8, RFC 4443 2.4 (f)): a configured number
//! per second in total, and a few errors per second to each host, as on Linux.

use std::net::IpAddr;
use std::time::Duration;

use crate::table::fair_shares::network;
use crate::time::Instant;
use crate::tuple::FourTuple;

/// Interval between errors to one host, and the idle time that permits a burst (Linux's
/// `icmp_ratelimit`).
const INTERVAL: Duration = Duration::from_secs(1);
const BURST: u32 = 6;

/// Number of groups into which a keyed hash sorts hosts; the hosts of one group share a limit.
const GROUPS: usize = 256;

/// See the module.
#[derive(Debug)]
pub(crate) struct IcmpLimits {
    /// A token bucket, refilled at the configured rate: each message takes one token.
    tokens: u64,
    refilled: Instant,
    /// Time at which the next error to a host of the group would be due if errors were sent at the
    /// interval.
    groups: Option<Box<[Instant; GROUPS]>>,
}

impl IcmpLimits {
    pub(crate) fn new(rate: u32) -> Self {
        Self {
            tokens: u64::from(rate),
            refilled: Instant::ZERO,
            groups: None,
        }
    }

    /// Whether another message may be sent.
    pub(crate) fn allow(&mut self, now: Instant, rate: u32) -> bool {
        let rate = u64::from(rate);
        let elapsed = (now - self.refilled).as_nanos().min(1_000_000_000) as u64;
        let fresh = elapsed * rate / 1_000_000_000;
        if fresh > 0 {
            self.tokens = (self.tokens + fresh).min(rate);
            self.refilled = now;
        }
        if self.tokens == 0 {
            return false;
        }
        self.tokens -= 1;
        true
    }

    /// Whether another error may be sent to `host`.
    #[expect(clippy::indexing_slicing, reason = "a place for each group")]
    pub(crate) fn allow_error(
        &mut self,
        now: Instant,
        rate: u32,
        host: IpAddr,
        key: &[u8; 16],
    ) -> bool {
        let groups = self
            .groups
            .get_or_insert_with(|| Box::new([Instant::ZERO; GROUPS]));
        let next = &mut groups[group(host, key)];
        let due = (*next).max(now);
        if due > now + INTERVAL * (BURST - 1) {
            return false;
        }
        *next = due + INTERVAL;
        self.allow(now, rate)
    }
}

/// The group of a host. Over IPv6, that of its network, because one host may use all of its
/// addresses.
fn group(host: IpAddr, key: &[u8; 16]) -> usize {
    let ip = network(host, 32, 64);
    let tuple = FourTuple {
        local_ip: ip,
        remote_ip: ip,
        local_port: 0,
        remote_port: 0,
    };
    tuple.keyed_hash(key, b'e') as usize % GROUPS
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 16] = [7; 16];

    fn host(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    #[test]
    fn errors_to_one_host_are_few_and_those_to_others_go_on() {
        let mut limits = IcmpLimits::new(1000);
        let start = Instant::from_millis(5000);
        let mut sent = |now, host| limits.allow_error(now, 1000, host, &KEY);
        let first = (0..100).filter(|_| sent(start, host(1))).count();
        assert_eq!(first, BURST as usize);
        assert!(sent(start, host(2)));
        let later = (1..=10).map(|second| start + Duration::from_secs(second));
        assert!(later.into_iter().all(|now| {
            let at_once = (0..5).filter(|_| sent(now, host(1))).count();
            at_once == 1
        }));
    }

    #[test]
    fn hosts_of_one_ipv6_network_have_one_limit() {
        let mut limits = IcmpLimits::new(1000);
        let sent = (0..100u16)
            .map(|number| format!("2001:db8::{number:x}").parse().unwrap())
            .filter(|&host| limits.allow_error(Instant::ZERO, 1000, host, &KEY))
            .count();
        assert_eq!(sent, BURST as usize);
    }
}
