//! Samples of the delivery rate, for an algorithm that requests them: a stamp for each transmission
//! that may still be in flight, by its number on the scoreboard.

use std::collections::VecDeque;
use std::time::Duration;

use super::heard::Heard;
use super::rack::Transmission;
use super::scoreboard::Loss;
use crate::congestion::rate::{DeliveryRate, SendStamp};
use crate::congestion::{LostSegment, RateSample};
use crate::time::Instant;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    rate: DeliveryRate,
    /// In the order of their numbers; segments without data have no stamp.
    stamps: VecDeque<(u64, SendStamp)>,
    /// The last sample in bytes per second, and whether the application limited it.
    last: Option<RateSample>,
}

impl Sampler {
    /// Transmission number `serial` of `bytes` is sent; `in_flight` is the amount in flight before
    /// it.
    pub(crate) fn on_sent(&mut self, now: Instant, serial: u64, bytes: u32, in_flight: u32) {
        let stamp = self.rate.on_sent(now, bytes, in_flight);
        self.stamps.push_back((serial, stamp));
    }

    /// An acknowledgment delivered `bytes`; `newest` is the newest transmission among them.
    pub(crate) fn on_delivered(&mut self, heard: &Heard, bytes: u32, newest: Option<Transmission>) {
        if let Some(newest) = newest
            && let Some(stamp) = self.stamp(newest.serial)
        {
            self.rate.on_delivered(heard.at, bytes, newest.at, &stamp);
            if heard.since(stamp.delivered_at()).is_none() {
                self.rate.discard_sample();
            }
        }
    }

    /// Part of a transmission was marked lost.
    pub(crate) fn on_lost(&mut self, now: Instant, loss: &Loss) -> Option<LostSegment> {
        let stamp = self.stamp(loss.serial)?;
        Some(self.rate.on_lost(now, loss.bytes, &stamp))
    }

    /// The sample of the current acknowledgment, if it gives one.
    pub(crate) fn sample(&mut self, min_rtt: Option<Duration>) -> Option<RateSample> {
        let sample = self.rate.sample(min_rtt);
        self.last = sample.or(self.last);
        sample
    }

    /// The last measured rate, in bytes per second.
    pub(crate) fn last(&self) -> Option<u64> {
        self.last.map(|sample| sample.bytes_per_second())
    }

    /// The application provides less data than could be sent.
    pub(crate) fn mark_app_limited(&mut self, in_flight: u32) {
        self.rate.mark_app_limited(in_flight);
    }

    /// Discards the stamps of transmissions before number `oldest`, which will not be acknowledged
    /// any more.
    pub(crate) fn forget_before(&mut self, oldest: u64) {
        while self
            .stamps
            .front()
            .is_some_and(|&(serial, _)| serial < oldest)
        {
            self.stamps.pop_front();
        }
    }

    fn stamp(&self, serial: u64) -> Option<SendStamp> {
        let index = self
            .stamps
            .binary_search_by_key(&serial, |&(serial, _)| serial);
        self.stamps.get(index.ok()?).map(|(_, stamp)| *stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn transmission(serial: u64, at: Instant) -> Option<Transmission> {
        Some(Transmission { at, serial, end: 0 })
    }

    #[test]
    fn the_newest_transmission_that_arrived_tells_the_rate() {
        let mut sampler = Sampler::default();
        for serial in 1..=4 {
            let in_flight = (serial as u32 - 1) * 1000;
            sampler.on_sent(ms(serial), serial, 1000, in_flight);
        }
        sampler.on_delivered(&Heard::at(ms(101)), 1000, transmission(1, ms(1)));
        assert!(sampler.sample(None).is_some());
        sampler.on_delivered(&Heard::at(ms(111)), 3000, transmission(4, ms(4)));
        let sample = sampler.sample(None).expect("a sample");
        assert_eq!(
            (sample.delivered, sample.interval),
            (4000, Duration::from_millis(110))
        );
        assert_eq!(sampler.last(), Some(4000 * 1000 / 110));
        assert_eq!(sampler.sample(None), None, "each acknowledgment tells once");
    }

    #[test]
    fn a_standstill_is_no_rate() {
        let mut sampler = Sampler::default();
        for serial in 1..=3 {
            sampler.on_sent(ms(serial), serial, 1000, 0);
        }
        let resumed = ms(20_000);
        let late = |at| Heard { at, resumed };
        sampler.on_delivered(&late(resumed), 1000, transmission(1, ms(1)));
        assert_eq!(sampler.sample(None), None);
        sampler.on_delivered(&late(ms(20_001)), 1000, transmission(3, ms(3)));
        assert_eq!(sampler.sample(None), None);
        sampler.on_sent(ms(20_001), 4, 1000, 1000);
        sampler.on_delivered(&late(ms(20_051)), 1000, transmission(4, ms(20_001)));
        assert!(sampler.sample(None).is_some());
    }

    #[test]
    fn what_is_forgotten_tells_nothing() {
        let mut sampler = Sampler::default();
        for serial in [1, 3, 4] {
            sampler.on_sent(ms(0), serial, 1000, 0);
        }
        let loss = |serial| Loss { serial, bytes: 400 };
        assert_eq!(
            sampler.on_lost(ms(9), &loss(1)).map(|lost| lost.lost),
            Some(400)
        );
        assert_eq!(sampler.on_lost(ms(9), &loss(2)), None, "it was no data");
        sampler.forget_before(4);
        assert_eq!(sampler.on_lost(ms(9), &loss(3)), None);
        assert_eq!(
            sampler.on_lost(ms(9), &loss(4)).map(|lost| lost.lost),
            Some(800)
        );
    }
}
