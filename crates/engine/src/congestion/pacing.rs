//! Pacing: a token bucket with one token per byte, filled at the pacing rate.
//!
//! Data that a late timer did not send in time is sent in one burst, up to about a millisecond's
//! worth; a timer of that precision therefore still achieves the rate.

use std::time::Duration;

use crate::time::Instant;

/// The bucket holds the data of 2^-10 s, slightly less than a millisecond (as Linux sizes its
/// bursts) ...
const CREDIT_LOG2: u32 = 10;
/// ... but at least a whole initial window (RFC 6928).
const LEAST_SEGMENTS: u64 = 10;
/// Tokens are counted in billionths of a byte, so that a nanosecond at any rate gives a whole
/// number.
const TOKEN: i128 = 1_000_000_000;

/// The pacer of one connection. It starts with a full bucket.
#[derive(Clone, Copy, Debug)]
pub struct Pacer {
    /// Bytes per second; zero means no limit.
    rate: u64,
    /// Capacity of the bucket, in bytes.
    depth: u64,
    /// Tokens at `filled_at`: negative after sending without permission.
    tokens: i128,
    filled_at: Instant,
}

impl Pacer {
    /// A pacer for segments of `mss` bytes, without a limit until a rate is set.
    #[must_use]
    pub fn new(now: Instant, mss: u32) -> Self {
        let depth = LEAST_SEGMENTS * u64::from(mss);
        Self {
            rate: 0,
            depth,
            tokens: i128::from(depth) * TOKEN,
            filled_at: now,
        }
    }

    /// Changes the rate to `rate` bytes per second, or removes the limit; `mss` is the size of a
    /// full segment.
    pub fn set_rate(&mut self, now: Instant, rate: Option<u64>, mss: u32) {
        self.fill(now);
        self.rate = rate.unwrap_or(0);
        self.depth = (self.rate >> CREDIT_LOG2).max(LEAST_SEGMENTS * u64::from(mss));
        self.tokens = self.tokens.min(self.full());
    }

    /// `bytes` were sent, whether or not they were due: urgent retransmissions are not paced.
    pub fn on_sent(&mut self, now: Instant, bytes: u32) {
        if self.rate == 0 {
            return;
        }
        self.fill(now);
        // The debt is at most one bucket, so that it is soon repaid.
        self.tokens = (self.tokens - i128::from(bytes) * TOKEN).max(-self.full());
    }

    /// The time at which `bytes` may be sent: `now`, or later. More than the capacity of the bucket
    /// may be sent when it is full.
    #[must_use]
    pub fn next_send_at(&self, now: Instant, bytes: u32) -> Instant {
        let needed = i128::from(u64::from(bytes).min(self.depth)) * TOKEN;
        let missing = needed - self.tokens_at(now);
        if self.rate == 0 || missing <= 0 {
            return now;
        }
        let nanos = missing.unsigned_abs().div_ceil(u128::from(self.rate));
        let wait = u64::try_from(nanos).unwrap_or(u64::MAX);
        now + Duration::from_nanos(wait)
    }

    /// The rate in bytes per second, or `None` without a limit.
    #[must_use]
    pub fn rate(&self) -> Option<u64> {
        (self.rate > 0).then_some(self.rate)
    }

    /// Bytes that may be sent in one burst when the bucket is full.
    #[must_use]
    pub fn burst(&self) -> u64 {
        self.depth
    }

    fn fill(&mut self, now: Instant) {
        self.tokens = self.tokens_at(now);
        self.filled_at = self.filled_at.max(now);
    }

    fn tokens_at(&self, now: Instant) -> i128 {
        let nanos = (now - self.filled_at).as_nanos() as i128;
        let earned = nanos.saturating_mul(i128::from(self.rate));
        self.tokens.saturating_add(earned).min(self.full())
    }

    fn full(&self) -> i128 {
        i128::from(self.depth) * TOKEN
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MSS: u32 = 1460;

    #[test]
    fn without_a_rate_nothing_waits() {
        let mut pacer = Pacer::new(Instant::ZERO, MSS);
        for _ in 0..1000 {
            assert_eq!(pacer.next_send_at(Instant::ZERO, u32::MAX), Instant::ZERO);
            pacer.on_sent(Instant::ZERO, u32::MAX);
        }
        pacer.set_rate(Instant::ZERO, Some(1_000_000), 1000);
        assert_eq!(pacer.next_send_at(Instant::ZERO, 10_000), Instant::ZERO);
    }

    #[test]
    fn an_initial_window_goes_at_once_and_then_a_segment_at_a_time() {
        let mut pacer = Pacer::new(Instant::ZERO, 1000);
        pacer.set_rate(Instant::ZERO, Some(1_000_000), 1000);
        for _ in 0..10 {
            assert_eq!(pacer.next_send_at(Instant::ZERO, 1000), Instant::ZERO);
            pacer.on_sent(Instant::ZERO, 1000);
        }
        for millis in 1..100 {
            let at = pacer.next_send_at(Instant::from_millis(millis - 1), 1000);
            assert_eq!(at, Instant::from_millis(millis));
            pacer.on_sent(at, 1000);
        }
    }

    #[test]
    fn silence_earns_one_bucket_and_no_more() {
        let mut pacer = Pacer::new(Instant::ZERO, MSS);
        // 10 Gbit/s: the bucket is 1/1024 s of it.
        pacer.set_rate(Instant::ZERO, Some(1_250_000_000), MSS);
        assert_eq!(pacer.burst(), 1_220_703);
        let now = Instant::from_millis(3_600_000);
        let mut sent = 0;
        while pacer.next_send_at(now, 65_000) == now {
            pacer.on_sent(now, 65_000);
            sent += 65_000;
        }
        assert_eq!(sent, 1_220_703 / 65_000 * 65_000);
    }

    #[test]
    fn a_debt_is_paid_before_more_is_sent() {
        let mut pacer = Pacer::new(Instant::ZERO, 1000);
        pacer.set_rate(Instant::ZERO, Some(1_000_000), 1000);
        for _ in 0..100 {
            pacer.on_sent(Instant::ZERO, 1000);
        }
        // A debt of one bucket and the segment itself.
        assert_eq!(
            pacer.next_send_at(Instant::ZERO, 1000),
            Instant::from_millis(11)
        );
    }

    #[test]
    fn a_super_segment_larger_than_the_bucket_goes_when_it_is_full() {
        let mut pacer = Pacer::new(Instant::ZERO, 1000);
        pacer.set_rate(Instant::ZERO, Some(1_000_000), 1000);
        assert_eq!(pacer.next_send_at(Instant::ZERO, 64_000), Instant::ZERO);
        pacer.on_sent(Instant::ZERO, 64_000);
        let at = pacer.next_send_at(Instant::ZERO, 64_000);
        assert_eq!(at, Instant::from_millis(20));
    }

    proptest! {
        /// Between any two points in time no more is sent than the bucket and the rate allow, and
        /// one nanosecond before the computed time would have been too early.
        #[test]
        fn the_rate_is_exact(
            rate in 10_000_u64..5_000_000_000,
            steps in proptest::collection::vec((1_u32..14_600, 0_u64..3_000_000), 1..60),
        ) {
            let mut pacer = Pacer::new(Instant::ZERO, MSS);
            pacer.set_rate(Instant::ZERO, Some(rate), MSS);
            let depth = u128::from(pacer.burst());
            let allowed = |nanos: u64| depth * 1_000_000_000 + u128::from(nanos) * u128::from(rate);
            let mut sent: Vec<(u64, u128)> = Vec::new();
            let mut now = Instant::ZERO;
            for (bytes, pause) in steps {
                now += Duration::from_nanos(pause);
                let at = pacer.next_send_at(now, bytes);
                let billionths = u128::from(bytes) * 1_000_000_000;
                // The naive bucket: for every earlier point in time, the data sent since then.
                let fits = |nanos: u64| {
                    let mut sum = billionths;
                    for &(then, amount) in sent.iter().rev() {
                        sum += amount;
                        if sum > allowed(nanos - then) {
                            return false;
                        }
                    }
                    true
                };
                prop_assert!(fits(at.as_nanos()), "{bytes} bytes too early at {at:?}");
                if at > now {
                    prop_assert!(!fits(at.as_nanos() - 1), "{bytes} bytes too late at {at:?}");
                }
                pacer.on_sent(at, bytes);
                sent.push((at.as_nanos(), billionths));
                now = at;
            }
        }

        /// The rate is the same for frequent and for rare calls.
        #[test]
        fn a_busy_sender_fills_the_rate(rate in 100_000_u64..5_000_000_000, bytes in 100_u32..9000) {
            let mut pacer = Pacer::new(Instant::ZERO, MSS);
            pacer.set_rate(Instant::ZERO, Some(rate), MSS);
            let mut now = Instant::ZERO;
            let mut sent = 0_u64;
            for _ in 0..2000 {
                now = pacer.next_send_at(now, bytes);
                pacer.set_rate(now, Some(rate), MSS);
                pacer.on_sent(now, bytes);
                sent += u64::from(bytes);
            }
            let expected = u128::from(now.as_nanos()) * u128::from(rate) / 1_000_000_000;
            let ahead = u128::from(sent).abs_diff(expected);
            prop_assert!(ahead <= u128::from(pacer.burst()), "{sent} instead of {expected}");
        }
    }
}
