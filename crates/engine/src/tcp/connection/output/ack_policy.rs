//! The time of an acknowledgment (RFC 9293 3.8.6.3, RFC 5681 4.2): at once, or together with other
//! output.

use std::time::Duration;

use crate::time::Instant;

/// Number of acknowledgments that are not delayed at the start, after an idle period, and after a
/// loss or a retransmission that suggests one: the sender's window is then small, and it may wait
/// for each acknowledgment (as on Linux, except that segments that fill a gap are not counted).
const QUICK_ACKS: u8 = 16;

/// Idle time after which the sender may be in slow start again.
const QUIET: Duration = Duration::from_millis(200);

/// A reply within this time of the request makes the connection interactive.
const INTERACTIVE: Duration = Duration::from_millis(40);

/// See the module (RFC 9293 MUST-58, SHLD-18).
#[derive(Debug, Default)]
pub(crate) struct AckPolicy {
    /// Bytes received in order since the last acknowledgment.
    unacked: u32,
    /// The size of the peer's full segments, as observed.
    segment: u32,
    quick: u8,
    /// Whether the peer has set PSH: it may send no more before an acknowledgment.
    pushed: bool,
    /// Whether requests are answered soon, so that the acknowledgment can be sent with the answer.
    interactive: bool,
    last_data: Option<Instant>,
    /// Acknowledgments owed to a peer that counts duplicates, for segments out of order.
    duplicates: u8,
}

impl AckPolicy {
    /// `length` bytes arrived in order, with or without PSH.
    pub(crate) fn on_data(&mut self, length: u32, mss: u32, pushed: bool, now: Instant) {
        let quiet = self.last_data.is_none_or(|last| now - last > QUIET);
        if quiet {
            self.quick = QUICK_ACKS;
        }
        self.last_data = Some(now);
        self.segment = self.segment.max(length.min(mss));
        self.unacked = self.unacked.saturating_add(length);
        self.pushed |= pushed;
    }

    /// A segment arrived out of order. At most `most` such segments have an acknowledgment each.
    pub(crate) fn on_out_of_order(&mut self, most: u8) {
        self.duplicates = self.duplicates.saturating_add(1).min(most);
    }

    /// The peer has retransmitted a segment.
    pub(crate) fn on_retransmission(&mut self) {
        self.quick = QUICK_ACKS;
        self.interactive = false;
    }

    /// Data was sent.
    pub(crate) fn on_data_sent(&mut self, now: Instant) {
        if self.last_data.is_some_and(|last| now - last < INTERACTIVE) {
            self.interactive = true;
        }
    }

    /// Whether acknowledgments do not wait for an answer that could carry them (`TCP_QUICKACK`).
    pub(crate) fn is_prompt(&self) -> bool {
        !self.interactive
    }

    /// Sets whether acknowledgments wait for an answer, until the traffic tells otherwise. Returns
    /// whether one that has waited is due now.
    pub(crate) fn set_prompt(&mut self, prompt: bool) -> bool {
        self.interactive = !prompt;
        prompt && self.unacked > 0
    }

    /// A delayed acknowledgment was not sent with an answer.
    pub(crate) fn on_delay_expired(&mut self) {
        self.interactive = false;
    }

    /// An acknowledgment was sent, alone or with data. Returns whether another is owed.
    pub(crate) fn on_ack_sent(&mut self) -> bool {
        if self.unacked > 0 {
            self.quick = self.quick.saturating_sub(1);
        }
        self.unacked = 0;
        self.pushed = false;
        self.duplicates = self.duplicates.saturating_sub(1);
        self.duplicates > 0
    }

    /// Whether an acknowledgment is due now: for every second full segment (SHLD-19), or without
    /// delay.
    pub(crate) fn is_due(&self) -> bool {
        self.unacked >= 2 * self.segment.max(1) || (self.quick > 0 && !self.interactive)
    }

    /// Whether an acknowledgment is due now that the application has read all data. The last
    /// segment that a full congestion window allows carries PSH, as the last of a write does, and
    /// its sender waits for the acknowledgment; it is not due if an answer is likely to carry it
    /// (as on Linux).
    pub(crate) fn is_due_when_read(&self) -> bool {
        self.pushed && !self.interactive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// A policy without quick acknowledgments left, at 0 ms.
    fn settled() -> AckPolicy {
        let mut policy = AckPolicy::default();
        for _ in 0..QUICK_ACKS {
            policy.on_data(1000, 1000, false, at(0));
            assert!(policy.is_due());
            policy.on_ack_sent();
        }
        policy
    }

    #[test]
    fn every_second_full_segment_is_acknowledged() {
        let mut policy = settled();
        policy.on_data(1000, 1000, false, at(1));
        assert!(!policy.is_due());
        policy.on_data(1000, 1000, false, at(1));
        assert!(policy.is_due());
    }

    #[test]
    fn a_super_segment_is_acknowledged_at_once() {
        let mut policy = settled();
        policy.on_data(20_000, 1000, false, at(1));
        assert!(policy.is_due());
    }

    #[test]
    fn an_acknowledgment_that_waits_is_due_when_none_may_wait() {
        let mut policy = settled();
        assert!(policy.is_prompt());
        assert!(!policy.set_prompt(false));
        policy.on_data(1000, 1000, false, at(1));
        assert!(!policy.is_due() && !policy.is_prompt());
        assert!(policy.set_prompt(true));
        policy.on_ack_sent();
        assert!(!policy.set_prompt(true));
    }

    #[test]
    fn silence_brings_quick_acknowledgments_back() {
        let mut policy = settled();
        policy.on_data(10, 1000, false, at(500));
        assert!(policy.is_due());
    }

    #[test]
    fn an_interactive_conversation_waits_for_the_answer() {
        let mut policy = AckPolicy::default();
        policy.on_data(10, 1000, false, at(0));
        policy.on_data_sent(at(1));
        policy.on_ack_sent();
        policy.on_data(4, 1000, false, at(2));
        assert!(!policy.is_due());
        policy.on_delay_expired();
        assert!(policy.is_due());
    }
    #[test]
    fn after_a_retransmission_acknowledgments_are_quick() {
        let mut policy = settled();
        policy.on_retransmission();
        policy.on_data(10, 1000, false, at(1));
        assert!(policy.is_due());
    }

    #[test]
    fn what_was_pushed_is_acknowledged_when_all_is_read() {
        let mut policy = settled();
        policy.on_data(1000, 1000, false, at(1));
        assert!(!policy.is_due_when_read());
        policy.on_ack_sent();
        policy.on_data(1000, 1000, true, at(1));
        assert!(!policy.is_due());
        assert!(policy.is_due_when_read());
        policy.on_ack_sent();
        assert!(!policy.is_due_when_read());
    }

    #[test]
    fn a_request_that_was_pushed_waits_for_its_answer() {
        let mut policy = settled();
        policy.on_data(10, 1000, true, at(1));
        policy.on_data_sent(at(2));
        policy.on_ack_sent();
        policy.on_data(10, 1000, true, at(3));
        assert!(!policy.is_due_when_read());
    }
}
