//! Proportional rate reduction: while a loss is repaired, the amount sent is proportional to the
//! amount delivered, by the ratio in which the window shrinks (RFC 9937).

/// One recovery. All amounts are in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prr {
    /// Bytes in flight when it began.
    recover_flight: u64,
    /// The window at the end of the recovery.
    ssthresh: u64,
    delivered: u64,
    sent: u64,
    /// Bytes that may be in flight now.
    cwnd: u64,
}

/// One acknowledgment in recovery.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    /// Newly delivered bytes.
    pub(crate) delivered: u64,
    /// Bytes in flight now (RFC 6675's pipe).
    pub(crate) pipe: u64,
    /// Whether SND.UNA has advanced and no further loss was found: it is safe to grow (RFC 9937 5).
    pub(crate) safe: bool,
    pub(crate) mss: u64,
}

impl Prr {
    /// Begins with `flight` bytes outstanding, which is also the window until data is delivered;
    /// `ssthresh` is the window at the end.
    pub(crate) fn new(flight: u64, ssthresh: u64) -> Self {
        Self {
            recover_flight: flight.max(1),
            ssthresh,
            delivered: 0,
            sent: 0,
            cwnd: ssthresh,
        }
    }

    /// Bytes that may be in flight.
    pub(crate) fn cwnd(&self) -> u64 {
        self.cwnd
    }

    pub(crate) fn on_sent(&mut self, bytes: u64) {
        self.sent += bytes;
    }

    /// Processes an acknowledgment that delivers data, including the first of the recovery.
    pub(crate) fn on_ack(&mut self, progress: &Progress) {
        let Progress {
            delivered,
            pipe,
            safe,
            mss,
        } = *progress;
        if delivered == 0 {
            self.cwnd = self.cwnd.min(pipe);
            return;
        }
        self.delivered += delivered;
        // Whole segments, as Linux counts them: part of one counts as a whole, but not beyond the
        // threshold.
        let mut room = if pipe > self.ssthresh {
            let share = u128::from(self.delivered) * u128::from(self.ssthresh);
            let share = share.div_ceil(u128::from(self.recover_flight)) as u64;
            share.saturating_sub(self.sent).div_ceil(mss)
        } else {
            let room = self.delivered.saturating_sub(self.sent).max(delivered);
            let room = room.div_ceil(mss) + u64::from(safe);
            room.min((self.ssthresh - pipe) / mss)
        };
        if self.sent == 0 {
            // The fast retransmission itself.
            room = room.max(1);
        }
        self.cwnd = pipe + room * mss;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u64 = 1000;

    /// Number of segments sent on each acknowledgment, if each segment of a flight of `flight` is
    /// acknowledged, except the first `lost`, and the window is halved.
    fn sent_per_ack(flight: u64, lost: u64) -> Vec<u64> {
        let ssthresh = flight / 2;
        let mut prr = Prr::new(flight * MSS, ssthresh * MSS);
        let mut pipe = (flight - lost) * MSS;
        let mut sent = Vec::new();
        for _ in lost..flight {
            pipe -= MSS;
            prr.on_ack(&Progress {
                delivered: MSS,
                pipe,
                safe: false,
                mss: MSS,
            });
            let out = (prr.cwnd().saturating_sub(pipe)) / MSS;
            prr.on_sent(out * MSS);
            pipe += out * MSS;
            sent.push(out);
        }
        sent
    }

    #[test]
    fn half_of_what_is_delivered_goes_out() {
        // One of twenty segments is lost: every second acknowledgment releases one segment.
        let sent = sent_per_ack(20, 1);
        assert_eq!(sent[0], 1, "the fast retransmission");
        assert!(sent.iter().all(|&out| out <= 1), "no burst: {sent:?}");
        assert_eq!(sent.iter().sum::<u64>(), 10);
    }

    #[test]
    fn where_much_was_lost_what_is_delivered_goes_out() {
        // Fifteen of twenty: the flight size is below the threshold at once.
        assert_eq!(sent_per_ack(20, 15), [1, 1, 1, 1, 1]);
    }

    #[test]
    fn safe_acknowledgments_fill_up_to_the_threshold() {
        let mut prr = Prr::new(20 * MSS, 10 * MSS);
        prr.on_ack(&Progress {
            delivered: MSS,
            pipe: 4 * MSS,
            safe: true,
            mss: MSS,
        });
        assert_eq!(prr.cwnd(), 6 * MSS, "one delivered and one more");
        prr.on_ack(&Progress {
            delivered: 9 * MSS,
            pipe: 9 * MSS,
            safe: true,
            mss: MSS,
        });
        assert_eq!(prr.cwnd(), 10 * MSS);
    }

    #[test]
    fn part_of_a_segment_does_not_reach_beyond_the_threshold() {
        let mut prr = Prr::new(21 * MSS, 14_700);
        prr.on_ack(&Progress {
            delivered: 20 * MSS,
            pipe: 0,
            safe: false,
            mss: MSS,
        });
        assert_eq!(prr.cwnd(), 14 * MSS);
    }
}
