//! Dynamic right-sizing of the receive buffer (Fisk and Feng; Linux's `tcp_rcv_space_adjust`): the
//! amount that the application reads in a round trip is what the peer sends in one. The window must
//! allow for twice that; otherwise the peer could not double its congestion window.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::time::Instant;

/// Segments added to a new size, for losses that delay the reader.
const SPARE_SEGMENTS: usize = 16;

/// A shorter round trip is within the same machine or room: what its path holds is little beside
/// any queue.
const NEAR_MICROS: u32 = 3000;

/// See the module. Positions are those of the connection.
#[derive(Debug)]
pub(crate) struct ReceiveTuner {
    /// Maximum number of bytes received and not yet read.
    pub(crate) limit: usize,
    /// The receiver's round-trip time in microseconds, once measured. Narrow, because there may be
    /// very many idle connections.
    micros: Option<NonZeroU32>,
    measuring: Measuring,
    /// Bytes that may wait in the device's queue: see [`window_limit`](Self::window_limit).
    pub(crate) queue_share: u32,
    /// Bytes read in the round trip that last made the buffer grow.
    space: u32,
    /// Position and time at which the current measurement of the reader began.
    measured_from: Option<(u64, Instant)>,
}

/// How the receiver measures its round-trip time.
#[derive(Debug)]
enum Measuring {
    /// By echoes of its timestamps: the last one, so that each is measured once, and the shortest
    /// time in microseconds until one arrived.
    Echoes { last: u32, least: u32 },
    /// By the arrival of a window's worth of data: its end, and the time since which it is awaited.
    Windows { end: u64, since: Instant },
}

impl ReceiveTuner {
    /// Creates a tuner with an initial size of `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            micros: None,
            measuring: Measuring::Echoes {
                last: 0,
                least: u32::MAX,
            },
            queue_share: u32::MAX,
            space: 0,
            measured_from: None,
        }
    }

    /// Full segments arrived that echo the local timestamp `echo`, sent `elapsed` ago.
    pub(crate) fn on_echo(&mut self, echo: u32, elapsed: Duration) {
        let least = match self.measuring {
            Measuring::Echoes { last, .. } if last == echo => return,
            Measuring::Echoes { least, .. } => least,
            Measuring::Windows { .. } => u32::MAX,
        };
        self.measuring = Measuring::Echoes {
            last: echo,
            least: least.min(micros_of(elapsed)),
        };
        self.set_rtt(match self.rtt() {
            None => elapsed,
            Some(rtt) => (rtt * 7 + elapsed) / 8,
        });
    }

    /// Measures without timestamps: data has arrived up to `nxt`, and the peer may send up to
    /// `edge`. A window's worth of data takes a round trip, or longer if the peer sends less: the
    /// minimum is used.
    pub(crate) fn on_data(&mut self, nxt: u64, edge: u64, now: Instant) {
        match self.measuring {
            Measuring::Windows { end, .. } if nxt < end => return,
            Measuring::Windows { since, .. } => {
                let elapsed = now - since;
                self.set_rtt(self.rtt().map_or(elapsed, |rtt| rtt.min(elapsed)));
            }
            Measuring::Echoes { .. } => {}
        }
        self.measuring = Measuring::Windows {
            end: edge,
            since: now,
        };
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
        let copied = u32::try_from(position.saturating_sub(from)).unwrap_or(u32::MAX);
        if copied > self.space {
            if let Some(max) = max {
                self.grow(copied, mss, max);
            }
            self.space = copied;
        }
        self.measured_from = Some((position, now));
    }

    /// The largest window to offer when there is room for `limit` bytes. Data waits in two places:
    /// on the path, which needs it to be full, and in the device's queue, where the connection has
    /// a share. `least` is the sender's shortest round trip: the path without what waits. Its part
    /// of the measured round trip is the path's part of the limit.
    pub(crate) fn window_limit(&self, limit: usize, least: Option<Duration>) -> usize {
        let echoed = match self.measuring {
            Measuring::Echoes { least, .. } => least,
            Measuring::Windows { .. } => u32::MAX,
        };
        let least = least.map_or(u32::MAX, micros_of).min(echoed);
        if self.queue_share == u32::MAX || least == u32::MAX {
            return limit;
        }
        let path = if least < NEAR_MICROS {
            0
        } else {
            let rtt = self.micros.map_or(least, |micros| micros.get().max(least));
            (limit as u128 * u128::from(least) / u128::from(rtt)) as usize
        };
        limit.min(path.saturating_add(self.queue_share as usize))
    }

    fn rtt(&self) -> Option<Duration> {
        self.micros
            .map(|micros| Duration::from_micros(micros.get().into()))
    }

    fn set_rtt(&mut self, rtt: Duration) {
        self.micros = NonZeroU32::new(micros_of(rtt).max(1));
    }

    /// Allows twice the amount read, and more by the rate at which it grows: a peer in slow start
    /// doubles it in each round trip.
    fn grow(&mut self, copied: u32, mss: usize, max: usize) {
        let twice = (copied as usize)
            .saturating_mul(2)
            .saturating_add(SPARE_SEGMENTS * mss);
        let ahead = match self.space {
            0 => 0,
            space => (twice as u128 * u128::from(copied - space) / u128::from(space)) as usize,
        };
        let wanted = twice.saturating_add(ahead.saturating_mul(2));
        self.limit = self.limit.max(wanted.min(max));
    }
}

fn micros_of(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
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

    /// A tuner whose share of the queue is 20,000 bytes, and whose echoes took `least` and `most`
    /// milliseconds.
    fn with_share(least: u64, most: u64) -> ReceiveTuner {
        let mut tuner = ReceiveTuner::new(100_000);
        tuner.queue_share = 20_000;
        tuner.on_echo(1, Duration::from_millis(least));
        for echo in 2..200 {
            tuner.on_echo(echo, Duration::from_millis(most));
        }
        tuner
    }

    #[test]
    fn a_near_peer_is_offered_its_share_of_the_queue() {
        assert_eq!(with_share(1, 8).window_limit(100_000, None), 20_000);
        let handshake = Some(Duration::from_micros(80));
        assert_eq!(with_share(8, 8).window_limit(100_000, handshake), 20_000);
        assert_eq!(with_share(1, 8).window_limit(10_000, None), 10_000);
    }

    #[test]
    fn a_distant_peer_is_offered_what_the_path_holds_too() {
        assert_eq!(with_share(50, 50).window_limit(100_000, None), 100_000);
        let half = with_share(50, 100).window_limit(100_000, None);
        assert!((70_000..72_000).contains(&half), "{half}");
    }

    #[test]
    fn without_a_queue_or_a_measurement_the_buffer_decides() {
        let mut tuner = ReceiveTuner::new(100_000);
        assert_eq!(tuner.window_limit(100_000, Some(Duration::ZERO)), 100_000);
        tuner.queue_share = 20_000;
        assert_eq!(tuner.window_limit(100_000, None), 100_000);
    }
}
