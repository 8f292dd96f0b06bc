//! The delivery rate of the network (draft-cheng-iccrg-delivery-rate-estimation, and 4.1 of
//! draft-ietf-ccwg-bbr).
//!
//! Each segment is stamped when it is sent. When it is acknowledged, the amount delivered since
//! then divided by the elapsed time is a sample of the delivery rate. [`DeliveryRate`] holds the
//! counters of one connection; the owner of the segments keeps a [`SendStamp`] for each.

use std::time::Duration;

use super::{LostSegment, RateSample};
use crate::time::Instant;

/// The state when a segment was sent; a retransmission gets a new stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendStamp {
    /// Bytes delivered by then.
    delivered: u64,
    /// Time of the last delivery.
    delivered_at: Instant,
    /// Send time of the segment that was acknowledged last.
    first_sent_at: Instant,
    /// Bytes lost by then.
    lost: u64,
    /// Bytes in flight, including the segment.
    in_flight: u32,
    app_limited: bool,
}

impl SendStamp {
    /// Time of the last delivery before the segment was sent.
    pub(crate) fn delivered_at(&self) -> Instant {
        self.delivered_at
    }
}

/// The newest segment delivered by the current acknowledgment.
#[derive(Clone, Copy, Debug)]
struct Newest {
    sent_at: Instant,
    stamp: SendStamp,
    /// Time between the last acknowledgment before its sending and this one.
    ack_elapsed: Duration,
}

/// Counters of one connection. All amounts are in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeliveryRate {
    delivered: u64,
    delivered_at: Instant,
    first_sent_at: Instant,
    lost: u64,
    /// The application limits sending until this amount is delivered.
    app_limited_until: Option<u64>,
    newest: Option<Newest>,
}

impl DeliveryRate {
    /// Stamps a segment of `bytes` sent at `now`; `in_flight` is the amount in flight before it.
    pub fn on_sent(&mut self, now: Instant, bytes: u32, in_flight: u32) -> SendStamp {
        if in_flight == 0 {
            // Time with nothing in flight says nothing about the network.
            self.first_sent_at = now;
            self.delivered_at = now;
        }
        SendStamp {
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            first_sent_at: self.first_sent_at,
            lost: self.lost,
            in_flight: in_flight.saturating_add(bytes),
            app_limited: self.app_limited_until.is_some(),
        }
    }

    /// `bytes` of a segment that was sent at `sent_at` were acknowledged or selectively
    /// acknowledged for the first time. Call this for each segment of an acknowledgment, then
    /// [`sample`](Self::sample).
    pub fn on_delivered(&mut self, now: Instant, bytes: u32, sent_at: Instant, stamp: &SendStamp) {
        self.delivered += u64::from(bytes);
        self.delivered_at = now;
        if self.newest.is_none_or(|newest| sent_at >= newest.sent_at) {
            self.newest = Some(Newest {
                sent_at,
                stamp: *stamp,
                ack_elapsed: now - stamp.delivered_at,
            });
            self.first_sent_at = sent_at;
        }
    }

    /// Discards the sample of the current acknowledgment. The delivered bytes stay counted.
    pub(crate) fn discard_sample(&mut self) {
        self.newest = None;
    }

    /// A segment of `bytes` was marked lost. Returns the argument of
    /// [`on_lost`](super::Congestion::on_lost).
    pub fn on_lost(&mut self, now: Instant, bytes: u32, stamp: &SendStamp) -> LostSegment {
        self.lost += u64::from(bytes);
        LostSegment {
            now,
            bytes,
            app_limited: stamp.app_limited,
            prior_in_flight: stamp.in_flight,
            prior_delivered: stamp.delivered,
            lost: self.lost - stamp.lost,
        }
    }

    /// The application has nothing more to send although more could be sent: until the data in
    /// flight has been delivered, samples reflect the application and not the network.
    pub fn mark_app_limited(&mut self, in_flight: u32) {
        self.app_limited_until = Some(self.delivered + u64::from(in_flight));
    }

    /// The delivery rate according to the current acknowledgment, if it gives a sample. `None` if
    /// less time passed than `min_rtt`: the acknowledgment was then for an earlier transmission.
    pub fn sample(&mut self, min_rtt: Option<Duration>) -> Option<RateSample> {
        if self
            .app_limited_until
            .is_some_and(|until| self.delivered > until)
        {
            self.app_limited_until = None;
        }
        let newest = self.newest.take()?;
        let stamp = newest.stamp;
        // The longer of the send interval and the acknowledgment interval: acknowledgments may be
        // compressed.
        let interval = (newest.sent_at - stamp.first_sent_at).max(newest.ack_elapsed);
        if interval.is_zero() || min_rtt.is_some_and(|min| interval < min) {
            return None;
        }
        Some(RateSample {
            delivered: self.delivered - stamp.delivered,
            interval,
            app_limited: stamp.app_limited,
            prior_delivered: stamp.delivered,
            total_delivered: self.delivered,
            prior_in_flight: stamp.in_flight,
            lost: self.lost - stamp.lost,
        })
    }

    /// Bytes delivered so far.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Bytes marked lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether data sent now reflects the application and not the network.
    #[must_use]
    pub fn is_app_limited(&self) -> bool {
        self.app_limited_until.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const MSS: u32 = 1000;

    fn ms(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// Sends `count` segments, one every `sent` ms from 0 on, and acknowledges them one every
    /// `acked` ms from 100 ms on, never more than `window` in flight; returns the samples.
    fn flow(count: u32, sent: u64, acked: u64, window: u32) -> Vec<RateSample> {
        let mut rate = DeliveryRate::default();
        let mut flight = VecDeque::new();
        let mut samples = Vec::new();
        let (mut left, mut next_send, mut next_ack) = (count, 0, 100);
        while left > 0 || !flight.is_empty() {
            let room = left > 0 && (flight.len() as u32) < window;
            if room && (next_send <= next_ack || flight.is_empty()) {
                let stamp = rate.on_sent(ms(next_send), MSS, flight.len() as u32 * MSS);
                flight.push_back((ms(next_send), stamp));
                left -= 1;
                next_send += sent;
            } else if let Some((sent_at, stamp)) = flight.pop_front() {
                rate.on_delivered(ms(next_ack), MSS, sent_at, &stamp);
                samples.extend(rate.sample(None));
                next_send = next_send.max(next_ack);
                next_ack += acked;
            }
        }
        samples
    }

    #[test]
    fn a_bottleneck_shows_its_rate() {
        // A segment per 10 ms leaves the bottleneck: 100,000 bytes per second.
        let samples = flow(200, 1, 10, 20);
        let last = samples.last().expect("samples");
        assert_eq!(last.bytes_per_second(), 100_000);
        assert_eq!(last.total_delivered, 200_000);
        assert!(
            samples
                .iter()
                .all(|sample| sample.bytes_per_second() <= 100_000)
        );
    }

    #[test]
    fn compressed_acknowledgments_do_not_exceed_the_sending_rate() {
        // A segment per 10 ms is sent, but the acknowledgments arrive all at once.
        let mut rate = DeliveryRate::default();
        let stamps: Vec<_> = (0..10)
            .map(|i| (ms(i * 10), rate.on_sent(ms(i * 10), MSS, i as u32 * MSS)))
            .collect();
        let mut samples = Vec::new();
        for (i, (sent_at, stamp)) in stamps.iter().enumerate() {
            rate.on_delivered(ms(190 + i as u64 / 5), MSS, *sent_at, stamp);
            samples.extend(rate.sample(None));
        }
        let fastest = samples.iter().map(RateSample::bytes_per_second).max();
        assert!(fastest.is_some_and(|rate| rate <= 110_000), "{fastest:?}");
    }

    #[test]
    fn silence_is_not_part_of_the_interval() {
        let mut rate = DeliveryRate::default();
        let stamp = rate.on_sent(ms(0), MSS, 0);
        rate.on_delivered(ms(50), MSS, ms(0), &stamp);
        assert!(rate.sample(None).is_some());
        let stamp = rate.on_sent(ms(10_000), MSS, 0);
        rate.on_delivered(ms(10_050), MSS, ms(10_000), &stamp);
        let sample = rate.sample(None).expect("a sample");
        assert_eq!(sample.interval, Duration::from_millis(50));
        assert_eq!(sample.bytes_per_second(), 20_000);
    }

    #[test]
    fn the_application_limits_until_what_was_in_flight_is_delivered() {
        let mut rate = DeliveryRate::default();
        let before = rate.on_sent(ms(0), MSS, 0);
        rate.mark_app_limited(MSS);
        let bubble = rate.on_sent(ms(10), MSS, MSS);
        rate.on_delivered(ms(100), MSS, ms(0), &before);
        assert!(!rate.sample(None).expect("a sample").app_limited);
        assert!(rate.is_app_limited());
        rate.on_delivered(ms(110), MSS, ms(10), &bubble);
        assert!(rate.sample(None).expect("a sample").app_limited);
        assert!(!rate.is_app_limited());
        assert!(!rate.on_sent(ms(120), MSS, 0).app_limited);
    }

    #[test]
    fn the_newest_segment_counts_and_each_acknowledgment_tells_once() {
        let mut rate = DeliveryRate::default();
        let first = rate.on_sent(ms(0), MSS, 0);
        let second = rate.on_sent(ms(5), MSS, MSS);
        rate.on_delivered(ms(100), MSS, ms(5), &second);
        rate.on_delivered(ms(100), MSS, ms(0), &first);
        let sample = rate.sample(None).expect("a sample");
        assert_eq!((sample.delivered, sample.prior_in_flight), (2000, 2000));
        assert_eq!(rate.sample(None), None);
    }

    #[test]
    fn an_acknowledgment_that_comes_too_early_is_no_sample() {
        let mut rate = DeliveryRate::default();
        let lost = rate.on_sent(ms(0), MSS, 0);
        rate.on_lost(ms(200), MSS, &lost);
        let again = rate.on_sent(ms(200), MSS, 0);
        // The first transmission arrives after all, 3 ms after the second one was sent.
        rate.on_delivered(ms(203), MSS, ms(200), &again);
        assert_eq!(rate.sample(Some(Duration::from_millis(100))), None);
    }

    #[test]
    fn a_loss_tells_what_was_in_flight_and_lost_since() {
        let mut rate = DeliveryRate::default();
        let stamps: Vec<_> = (0..4)
            .map(|i| rate.on_sent(ms(i), MSS, i as u32 * MSS))
            .collect();
        let first = rate.on_lost(ms(100), MSS, &stamps[0]);
        assert_eq!((first.prior_in_flight, first.lost), (1000, 1000));
        let second = rate.on_lost(ms(100), MSS, &stamps[2]);
        assert_eq!((second.prior_in_flight, second.lost), (3000, 2000));
        rate.on_delivered(ms(101), MSS, ms(3), &stamps[3]);
        assert_eq!(rate.sample(None).map(|sample| sample.lost), Some(2000));
        let later = rate.on_sent(ms(110), MSS, 0);
        assert_eq!(rate.on_lost(ms(300), MSS, &later).lost, 1000);
    }
}
