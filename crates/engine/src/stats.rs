//! Counters of the whole stack.

use std::fmt;
use std::iter::zip;
use std::ops::AddAssign;

use crate::error::DropReason;

/// The counters of a stack since its creation. `Display` prints a line for each counter that is not
/// zero, with its name and, for dropped packets, the reason.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// IP packets received; packets merged by a device or by the driver of the stack count once.
    pub packets_received: u64,
    /// IP packets sent; a segment that is split afterwards counts once.
    pub packets_sent: u64,
    /// TCP segments retransmitted.
    pub segments_retransmitted: u64,
    /// Resets sent.
    pub resets_sent: u64,
    /// Resets received that ended a connection.
    pub resets_received: u64,
    /// Challenge ACKs sent (RFC 5961).
    pub challenge_acks: u64,
    /// Reductions of a congestion window because the peer echoed a mark (RFC 3168).
    pub ecn_reductions: u64,
    /// Active opens.
    pub active_opens: u64,
    /// Completed passive opens.
    pub passive_opens: u64,
    /// SYNs answered with a cookie (RFC 4987 3.6), and connections made from one.
    pub syn_cookies_sent: u64,
    /// See [`syn_cookies_sent`](Self::syn_cookies_sent).
    pub syn_cookies_received: u64,
    /// Connections that were reset because they had stalled while others needed their memory or
    /// their place among the orphans (see `Config::memory` and `Config::max_orphans`).
    pub connections_yielded: u64,
    /// Timers that were due again at the instant at which they had fired, and were postponed: each
    /// is a fault of the engine, which should be reported.
    pub timers_put_off: u64,
    /// Attempts removed because others needed their room (see
    /// [`Stack::listen_any`](crate::Stack::listen_any)).
    pub attempts_replaced: u64,
    drops: [u64; DropReason::COUNT],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            packets_received: 0,
            packets_sent: 0,
            segments_retransmitted: 0,
            resets_sent: 0,
            resets_received: 0,
            challenge_acks: 0,
            ecn_reductions: 0,
            active_opens: 0,
            passive_opens: 0,
            syn_cookies_sent: 0,
            syn_cookies_received: 0,
            connections_yielded: 0,
            timers_put_off: 0,
            attempts_replaced: 0,
            drops: [0; DropReason::COUNT],
        }
    }
}

impl Counters {
    /// Packets dropped for that reason.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "a place for each reason")]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize]
    }

    /// The reasons for which packets were dropped, and their counts.
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> {
        let counts = DropReason::ALL.into_iter().zip(self.drops);
        counts.filter(|(_, count)| *count > 0)
    }

    /// The counters other than [`drops`](Self::drops), by name.
    fn named(&self) -> [(&'static str, u64); 14] {
        let Self {
            packets_received,
            packets_sent,
            segments_retransmitted,
            resets_sent,
            resets_received,
            challenge_acks,
            ecn_reductions,
            active_opens,
            passive_opens,
            syn_cookies_sent,
            syn_cookies_received,
            connections_yielded,
            timers_put_off,
            attempts_replaced,
            drops: _,
        } = *self;
        [
            ("packets_received", packets_received),
            ("packets_sent", packets_sent),
            ("segments_retransmitted", segments_retransmitted),
            ("resets_sent", resets_sent),
            ("resets_received", resets_received),
            ("challenge_acks", challenge_acks),
            ("ecn_reductions", ecn_reductions),
            ("active_opens", active_opens),
            ("passive_opens", passive_opens),
            ("syn_cookies_sent", syn_cookies_sent),
            ("syn_cookies_received", syn_cookies_received),
            ("connections_yielded", connections_yielded),
            ("timers_put_off", timers_put_off),
            ("attempts_replaced", attempts_replaced),
        ]
    }

    #[expect(clippy::indexing_slicing, reason = "a place for each reason")]
    pub(crate) fn count_drop(&mut self, reason: DropReason) {
        count(&mut self.drops[reason as usize]);
    }
}

/// Increments a counter. A counter at its maximum stays there.
pub(crate) fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Drops<'a>(&'a Counters);
        impl fmt::Debug for Drops<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_map().entries(self.0.drops()).finish()
            }
        }
        let mut fields = f.debug_struct("Counters");
        for (name, count) in self.named() {
            fields.field(name, &count);
        }
        fields.field("drops", &Drops(self)).finish()
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in self.named().into_iter().filter(|(_, count)| *count > 0) {
            writeln!(f, "{count:12} {}", name.replace('_', " "))?;
        }
        for (reason, count) in self.drops() {
            writeln!(f, "{count:12} packets dropped: {reason:?}")?;
        }
        Ok(())
    }
}

impl AddAssign<&Self> for Counters {
    /// Adds the counters of several stacks that act as one host.
    fn add_assign(&mut self, other: &Self) {
        let Self {
            packets_received,
            packets_sent,
            segments_retransmitted,
            resets_sent,
            resets_received,
            challenge_acks,
            active_opens,
            passive_opens,
            syn_cookies_sent,
            syn_cookies_received,
            attempts_replaced,
            ecn_reductions,
            connections_yielded,
            timers_put_off,
            drops,
        } = self;
        *packets_received += other.packets_received;
        *packets_sent += other.packets_sent;
        *segments_retransmitted += other.segments_retransmitted;
        *resets_sent += other.resets_sent;
        *resets_received += other.resets_received;
        *challenge_acks += other.challenge_acks;
        *active_opens += other.active_opens;
        *passive_opens += other.passive_opens;
        *syn_cookies_sent += other.syn_cookies_sent;
        *syn_cookies_received += other.syn_cookies_received;
        *attempts_replaced += other.attempts_replaced;
        *ecn_reductions += other.ecn_reductions;
        *connections_yielded += other.connections_yielded;
        *timers_put_off += other.timers_put_off;
        for (drops, others) in zip(drops, other.drops) {
            *drops += others;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_name() {
        let mut counters = Counters {
            packets_received: 12,
            ..Counters::default()
        };
        assert_eq!(format!("{counters:?}").matches("drops: {}").count(), 1);
        counters.count_drop(DropReason::Land);
        counters.count_drop(DropReason::Checksum);
        counters.count_drop(DropReason::Land);
        let told = format!("{counters:?}");
        assert!(told.contains("packets_received: 12"), "{told}");
        assert!(told.contains("drops: {Checksum: 1, Land: 2}"), "{told}");
        assert_eq!(
            counters.to_string(),
            "          12 packets received\n           1 packets dropped: Checksum\n           2 packets dropped: Land\n"
        );
    }
}
