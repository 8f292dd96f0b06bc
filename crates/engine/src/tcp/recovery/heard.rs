//! The arrival time of an acknowledgment, and the transit times that follow from it.

use std::time::Duration;

use crate::time::Instant;

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Arrival time of the packet, if the device knows it; otherwise the time at which it was read.
    pub(crate) at: Instant,
    /// End of the last standstill of the reader of packets. A packet that was read after it may
    /// have waited through it.
    pub(crate) resumed: Instant,
}

impl Heard {
    /// An acknowledgment that was read at its arrival.
    pub(crate) fn at(at: Instant) -> Self {
        Self {
            at,
            resumed: Instant::ZERO,
        }
    }

    /// Time in transit of data sent at `sent`. `None` if a standstill lies in between.
    pub(crate) fn since(&self, sent: Instant) -> Option<Duration> {
        self.measured(self.at - sent)
    }

    /// The given time in transit, if no standstill lies in it.
    pub(crate) fn measured(&self, elapsed: Duration) -> Option<Duration> {
        let stood_still = self.resumed > Instant::ZERO && self.resumed <= self.at;
        (!stood_still || elapsed <= self.at - self.resumed).then_some(elapsed)
    }

    /// Whether the acknowledgment can be for the transmission sent at `sent`, a retransmission if
    /// `again`: not if it arrived sooner than any could.
    pub(crate) fn is_of(&self, sent: Instant, again: bool, min_rtt: Option<Duration>) -> bool {
        let too_soon = min_rtt.is_some_and(|min| self.at - sent < min);
        !again || !too_soon
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn no_time_is_measured_across_a_standstill() {
        let heard = |at| Heard {
            at: ms(at),
            resumed: ms(20_000),
        };
        assert_eq!(heard(20_000).since(ms(100)), None);
        assert_eq!(heard(20_009).since(ms(19_999)), None);
        assert_eq!(
            heard(20_009).since(ms(20_000)),
            Some(Duration::from_millis(9))
        );
        // The device knows that it arrived earlier.
        assert_eq!(heard(140).since(ms(100)), Some(Duration::from_millis(40)));
    }
}
