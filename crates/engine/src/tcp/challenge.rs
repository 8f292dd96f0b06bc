//! The rate of answers to segments that may be forged: challenge ACKs and repeated SYN-ACKs
//! (RFC 5961 7, RFC 9293 3.10.7.4). Without a limit, two ends with inconsistent states would answer
//! each other for ever, and a forger could make this side flood its peer.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::time::Instant;

/// The time of the last answer of one connection or record. It is kept in microseconds and wraps
/// around after 71 minutes, for the sake of records of which there are many: an answer that falls
/// into the interval once more by that may be left out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Challenges {
    last: Option<NonZeroU32>,
}

impl Challenges {
    /// Whether an answer is permitted now: once per interval, as on Linux.
    pub(crate) fn is_due(self, now: Instant, interval: Duration) -> bool {
        self.last.is_none_or(|last| {
            let since = micros(now).get().wrapping_sub(last.get());
            Duration::from_micros(since.into()) >= interval
        })
    }

    /// Notes an answer.
    pub(crate) fn note(&mut self, now: Instant) {
        self.last = Some(micros(now));
    }

    /// Whether an answer is permitted now; it then counts as given.
    pub(crate) fn take(&mut self, now: Instant, interval: Duration) -> bool {
        let due = self.is_due(now, interval);
        if due {
            self.note(now);
        }
        due
    }
}

fn micros(now: Instant) -> NonZeroU32 {
    NonZeroU32::new((now.as_nanos() / 1000) as u32).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_is_given_in_each_interval() {
        let interval = Duration::from_millis(500);
        let mut challenges = Challenges::default();
        let mut answers = [1, 2, 500, 501, 1000, 1001]
            .map(Instant::from_millis)
            .into_iter();
        let mut given = || {
            answers
                .next()
                .is_some_and(|now| challenges.take(now, interval))
        };
        assert_eq!(
            [(); 6].map(|()| given()),
            [true, false, false, true, false, true]
        );
    }

    #[test]
    fn an_interval_of_nothing_is_no_limit() {
        let mut challenges = Challenges::default();
        assert!(challenges.take(Instant::ZERO, Duration::ZERO));
        assert!(challenges.take(Instant::ZERO, Duration::ZERO));
    }
}
