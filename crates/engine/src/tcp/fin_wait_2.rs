//! FIN-WAIT-2 without an application, as the same compact record as TIME-WAIT (Linux's
//! `inet_timewait_sock` with the substate FIN-WAIT-2): all data has been delivered and
//! acknowledged, and only the peer's FIN is still to come. A peer that never sends its FIN costs
//! only this record, and only for [`Config::fin_timeout`].

use millstream_wire::tcp::Flags;

use super::time_wait::{TimeWait, Verdict};
use crate::config::Config;
use crate::error::DropReason;
use crate::ip::replies::Replies;
use crate::stats::{Counters, count};
use crate::tcp::segment::Segment;
use crate::time::Instant;

impl TimeWait {
    /// RFC 9293 3.10.7.4 for a connection that has nothing to send and no reader.
    pub(crate) fn on_segment_in_fin_wait_2(
        &mut self,
        now: Instant,
        segment: &Segment,
        config: &Config,
        counters: &mut Counters,
        replies: &mut Replies,
    ) -> Verdict {
        if segment.has(Flags::RST) {
            // RFC 5961 3: only a reset with the exact sequence number is accepted.
            if segment.seq == self.rcv_nxt {
                count(&mut counters.resets_received);
                return Verdict::Remove;
            }
            if self.is_in_window(segment) {
                self.challenge(now, config, counters, replies);
            }
            counters.count_drop(DropReason::InexactReset);
            return Verdict::Keep;
        }
        if let Some(reason) = self.refuses(segment) {
            counters.count_drop(reason);
            if reason != DropReason::MissingAck {
                self.challenge(now, config, counters, replies);
            }
            return Verdict::Keep;
        }
        self.take_timestamp(segment);
        let end = segment.seq + segment.len() as u32;
        if end.le(self.rcv_nxt) {
            // No new data: a repeated segment is answered, a bare ACK is not.
            if segment.len() > 0 {
                self.challenge(now, config, counters, replies);
            }
            return Verdict::Keep;
        }
        if segment.has(Flags::FIN) && end == self.rcv_nxt + 1 {
            self.rcv_nxt = end;
            return Verdict::PeerClosed;
        }
        // SHLD-3 and Linux: there is no reader for the data.
        counters.count_drop(DropReason::UnexpectedData);
        replies.reset(segment, config, counters);
        Verdict::Remove
    }

    /// The reason to drop a segment, if any: its timestamp, its sequence number or its
    /// acknowledgment number.
    fn refuses(&self, segment: &Segment) -> Option<DropReason> {
        if self.is_older_by_timestamp(segment) {
            return Some(DropReason::Paws);
        }
        if !self.is_in_window(segment) {
            return Some(DropReason::OutsideWindow);
        }
        if segment.has(Flags::SYN) {
            return Some(DropReason::UnexpectedSyn);
        }
        if !segment.has(Flags::ACK) {
            return Some(DropReason::MissingAck);
        }
        // RFC 5961 5.
        segment
            .ack
            .gt(self.snd_nxt)
            .then_some(DropReason::UnacceptableAck)
    }

    /// RFC 9293 3.10.7.4, first; an empty segment at the right edge of the window is acceptable, as
    /// everywhere in this stack.
    fn is_in_window(&self, segment: &Segment) -> bool {
        let edge = self.rcv_nxt + (u32::from(self.window) << self.scale);
        let end = segment.seq + segment.len() as u32;
        self.rcv_nxt.le(end) && segment.seq.le(edge)
    }
}
