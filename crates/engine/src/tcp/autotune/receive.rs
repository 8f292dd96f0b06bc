//! Dynamic right-sizing of the receive buffer (Fisk and Feng; Linux's `tcp_rcv_space_adjust`): the
//! amount that the application reads in a round trip is what the peer sends in one. The window must
//! allow for twice that; otherwise the peer could not double its congestion window.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::time::Instant;

/// Segments added to a new size, for losses that delay the reader.
const SPARE_SEGMENTS: usize = 16;

/// See the module. Positions are those of the connection.
#[derive(Debug)]
pub(crate) struct ReceiveTuner {
    /// Maximum number of bytes received and not yet read.
    pub(crate) limit: usize,
    /// The receiver's round-trip time in microseconds, once measured. Narrow, because there may be
    /// very many idle connections.
    micros: Option<NonZeroU32>,
    /// The last timestamp echo measured, so that each is measured once.
    last_echo: u32,
    /// The arrival of a window's worth of data: its end, and the time since which it is awaited.
    round: Option<(u64, Instant)>,
    /// Bytes read in the round trip that last made the buffer grow.
    space: usize,
    /// Position and time at which the current measurement of the reader began.
    measured_from: Option<(u64, Instant)>,
}

impl ReceiveTuner {
    /// Creates a tuner with an initial size of `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            micros: None,
            last_echo: 0,
            round: None,
            space: 0,
            measured_from: None,
        }
    }

    /// Full segments arrived that echo the local timestamp `echo`, sent `elapsed` ago.
    pub(crate) fn on_echo(&mut self, echo: u32, elapsed: Duration) {
        if echo == self.last_echo {
            return;
        }
        self.last_echo = echo;
        self.set_rtt(match self.rtt() {
            None => elapsed,
            Some(rtt) => (rtt * 7 + elapsed) / 8,
        });
    }

    /// Measures without timestamps: data has arrived up to `nxt`, and the peer may send up to
    /// `edge`. A window's worth of data takes a round trip, or longer if the peer sends less: the
    /// minimum is used.
    pub(crate) fn on_data(&mut self, nxt: u64, edge: u64, now: Instant) {
        match self.round {
            Some((end, _)) if nxt < end => return,
            Some((_, since)) => {
                let elapsed = now - since;
                self.set_rtt(self.rtt().map_or(elapsed, |rtt| rtt.min(elapsed)));
            }
            None => {}
        }
        self.round = Some((edge, now));
    }

    /// The application has read up to `position`. With `max`, the buffer grows up to that many
    /// bytes when more was read in a round trip than in any before.
    pub(crate) fn on_read(&mut self, position: u64, mss: usize, max: Option<usize>, now: Instant) {
        let Some(rtt) = self.rtt() else {
            return;
        };
        let Some((from, since)) = self.measured_from else {
            self.measured_from = Some((position, now));
            return;
        };
        if now - since < rtt {
            return;
        }
        let copied = position.saturating_sub(from) as usize;
        if copied > self.space {
            if let Some(max) = max {
                self.grow(copied, mss, max);
            }
            self.space = copied;
        }
        self.measured_from = Some((position, now));
    }

    fn rtt(&self) -> Option<Duration> {
        self.micros
            .map(|micros| Duration::from_micros(micros.get().into()))
    }

    fn set_rtt(&mut self, rtt: Duration) {
        let micros = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX);
        self.micros = NonZeroU32::new(micros.max(1));
    }

    /// Allows twice the amount read, and more by the rate at which it grows: a peer in slow start
    /// doubles it in each round trip.
    fn grow(&mut self, copied: usize, mss: usize, max: usize) {
        let twice = copied
            .saturating_mul(2)
            .saturating_add(SPARE_SEGMENTS * mss);
        let ahead = match self.space {
            0 => 0,
            space => (twice as u128 * (copied - space) as u128 / space as u128) as usize,
        };
        let wanted = twice.saturating_add(ahead.saturating_mul(2));
        self.limit = self.limit.max(wanted.min(max));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: usize = 1000;
    const MAX: usize = 1_000_000;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// A tuner with a round-trip time of 100 ms and a measurement begun at 0 ms, position 0.
    fn measuring() -> ReceiveTuner {
        let mut tuner = ReceiveTuner::new(50_000);
        tuner.on_echo(1, Duration::from_millis(100));
        tuner.on_read(0, MSS, Some(MAX), at(0));
        tuner
    }

    #[test]
    fn twice_what_a_round_trip_brought() {
        let mut tuner = measuring();
        tuner.on_read(20_000, MSS, Some(MAX), at(50));
        tuner.on_read(40_000, MSS, Some(MAX), at(100));
        assert_eq!(tuner.limit, 2 * 40_000 + SPARE_SEGMENTS * MSS);
    }

    #[test]
    fn growth_of_the_rate_is_provided_for() {
        let mut tuner = measuring();
        tuner.on_read(40_000, MSS, Some(MAX), at(100));
        tuner.on_read(40_000 + 80_000, MSS, Some(MAX), at(200));
        assert_eq!(tuner.limit, 3 * (2 * 80_000 + SPARE_SEGMENTS * MSS));
    }

    #[test]
    fn a_steady_reader_needs_no_more() {
        let mut tuner = measuring();
        for round in 1..10 {
            tuner.on_read(40_000 * round, MSS, Some(MAX), at(100 * round));
        }
        assert_eq!(tuner.limit, 2 * 40_000 + SPARE_SEGMENTS * MSS);
    }

    #[test]
    fn not_beyond_the_most_and_never_less() {
        let mut tuner = measuring();
        tuner.on_read(400_000, MSS, Some(300_000), at(100));
        assert_eq!(tuner.limit, 300_000);
        tuner.on_read(1_000_000, MSS, Some(200_000), at(200));
        assert_eq!(tuner.limit, 300_000);
    }

    #[test]
    fn nothing_grows_before_a_round_trip_is_known_or_where_it_may_not() {
        let mut tuner = ReceiveTuner::new(50_000);
        tuner.on_read(0, MSS, Some(MAX), at(0));
        tuner.on_read(400_000, MSS, Some(MAX), at(500));
        assert_eq!(tuner.limit, 50_000);
        let mut tuner = measuring();
        tuner.on_read(400_000, MSS, None, at(100));
        assert_eq!(tuner.limit, 50_000);
    }

    #[test]
    fn without_timestamps_a_window_of_data_tells_the_round_trip() {
        let mut tuner = ReceiveTuner::new(50_000);
        tuner.on_data(0, 50_000, at(0));
        tuner.on_data(49_999, 99_000, at(150));
        assert_eq!(tuner.rtt(), None);
        tuner.on_data(50_000, 100_000, at(200));
        assert_eq!(tuner.rtt(), Some(Duration::from_millis(200)));
        tuner.on_data(100_000, 150_000, at(320));
        tuner.on_data(150_000, 200_000, at(620));
        assert_eq!(tuner.rtt(), Some(Duration::from_millis(120)));
    }

    #[test]
    fn an_echo_counts_once() {
        let mut tuner = ReceiveTuner::new(50_000);
        tuner.on_echo(7, Duration::from_millis(80));
        tuner.on_echo(7, Duration::from_millis(8000));
        assert_eq!(tuner.rtt(), Some(Duration::from_millis(80)));
        tuner.on_echo(8, Duration::from_millis(160));
        assert_eq!(tuner.rtt(), Some(Duration::from_millis(90)));
    }
}
