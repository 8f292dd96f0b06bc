//! Whether the congestion window limits sending (in the spirit of RFC 7661, by Linux's rule): only
//! then may it grow.

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct CwndUsage {
    /// Whether the congestion window has limited sending in the current round trip.
    was_limited: bool,
    /// Largest flight of the current round trip, in bytes.
    max_flight: u64,
    /// The round trip ends when this position is acknowledged.
    round_end: u64,
}

impl CwndUsage {
    /// Sending stopped, or a segment was sent, with `flight` bytes in the network.
    pub(crate) fn note(&mut self, limited: bool, flight: u64, una: u64, nxt: u64) {
        let new_round = una >= self.round_end;
        if new_round || limited || (!self.was_limited && flight > self.max_flight) {
            self.was_limited = limited || (self.was_limited && !new_round);
            self.max_flight = flight;
            self.round_end = nxt;
        }
    }

    /// Whether the window may grow on an acknowledgment: it was the limit or, in slow start, is
    /// less than twice the flight size.
    pub(crate) fn limited(&self, cwnd: u32, ssthresh: u32) -> bool {
        self.was_limited || (cwnd < ssthresh && u64::from(cwnd) < 2 * self.max_flight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_start_stops_at_twice_the_flight() {
        let mut usage = CwndUsage::default();
        usage.note(false, 3000, 0, 3000);
        assert!(usage.limited(5999, u32::MAX));
        assert!(!usage.limited(6000, u32::MAX));
    }

    #[test]
    fn a_limit_holds_for_the_round_trip() {
        let mut usage = CwndUsage::default();
        usage.note(false, 1000, 0, 1000);
        usage.note(true, 9000, 0, 9000);
        usage.note(false, 9000, 5000, 10_000);
        assert!(usage.limited(9000, 4000));
        usage.note(false, 1000, 10_000, 11_000);
        assert!(!usage.limited(9000, 4000));
    }
}
