//! The rate of answers to segments that may be forged: challenge ACKs and repeated SYN-ACKs
//! (RFC 5961 7, RFC 9293 3.10.7.4). Without a limit, two ends with inconsistent states would answer
//! each other for ever, and a forger could make this side flood its peer.

use std::time::Duration;

use crate::time::Instant;

/// Whether an answer is permitted `since` the last one, if there was any: once per interval, as on
/// Linux.
pub(crate) fn is_due(since: Option<Duration>, interval: Duration) -> bool {
    since.is_none_or(|since| since >= interval)
}

/// The time of the last answer of one connection or record.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Challenges {
    last: Option<Instant>,
}

impl Challenges {
    /// Whether an answer is permitted now; it then counts as given.
    pub(crate) fn take(&mut self, now: Instant, interval: Duration) -> bool {
        let due = is_due(self.last.map(|last| now - last), interval);
        if due {
            self.last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_is_given_in_each_interval() {
        let interval = Duration::from_millis(500);
        let mut challenges = Challenges::default();
        let mut answers = [0, 1, 499, 500, 999, 1000]
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
