//! The send and receive sequence spaces (RFC 9293 3.3.1), in positions.
//!
//! A *position* is a sequence number relative to the connection's initial one, extended to 64 bits:
//! it never wraps, so that all other files compare plain integers. The SYN has the position
//! [`SYN`], the first byte of payload [`FIRST_BYTE`]. They begin at 2^32 and not at zero, so that
//! an old segment from before the SYN has a position too.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use millstream_wire::SeqNum;

/// Position of the SYN.
pub(crate) const SYN: u64 = 1 << 32;
/// Position of the first byte of payload.
pub(crate) const FIRST_BYTE: u64 = SYN + 1;

/// The position of `seq` in the space that starts with `isn`: the candidate nearest to `near`.
fn position(isn: SeqNum, near: u64, seq: SeqNum) -> u64 {
    let distance = seq.distance_from(seq_num(isn, near));
    near.wrapping_add_signed(i64::from(distance))
}

/// The sequence number of `position`.
fn seq_num(isn: SeqNum, position: u64) -> SeqNum {
    isn + (position.wrapping_sub(SYN) as u32)
}

/// The position `len` bytes after `position`. Positions never come near the end of their 64 bits.
pub(crate) fn after(position: u64, len: usize) -> u64 {
    position.saturating_add(len as u64)
}

/// The send sequence space: RFC 9293's SND variables (MUST-1, REC-1).
#[derive(Debug)]
pub(crate) struct SendSpace {
    /// Initial send sequence number.
    pub(crate) iss: SeqNum,
    /// Oldest position not acknowledged.
    pub(crate) una: u64,
    /// Next position to send for the first time.
    pub(crate) nxt: u64,
    /// The peer's window in bytes, from `una`.
    pub(crate) wnd: u32,
    /// Largest window that the peer ever offered.
    pub(crate) max_wnd: u32,
    /// The position of the peer's segment that last updated the window.
    pub(crate) wl1: u64,
    /// The acknowledgment of the segment that last updated the window.
    pub(crate) wl2: u64,
    /// Position after the last urgent byte, while there is one to send.
    pub(crate) up: Option<u64>,
    /// End of the last segment sent that was not full (Minshall's variant of Nagle).
    pub(crate) small_end: u64,
    /// Payload bytes of a full segment: the peer's MSS and the path's MTU less options.
    pub(crate) mss: u32,
}

impl SendSpace {
    pub(crate) fn new(iss: SeqNum) -> Self {
        Self {
            iss,
            una: SYN,
            nxt: SYN,
            wnd: 0,
            max_wnd: 0,
            wl1: 0,
            wl2: 0,
            up: None,
            small_end: SYN,
            mss: 536,
        }
    }

    /// Sets the window from a segment (RFC 9293 3.10.7.4, SND.WL1 and SND.WL2).
    pub(crate) fn set_window(&mut self, wnd: u32, seg_seq: u64, seg_ack: u64) {
        self.wnd = wnd;
        self.max_wnd = self.max_wnd.max(wnd);
        self.wl1 = seg_seq;
        self.wl2 = seg_ack;
    }

    pub(crate) fn seq_num(&self, position: u64) -> SeqNum {
        seq_num(self.iss, position)
    }

    /// The position of an acknowledgment number.
    pub(crate) fn position(&self, seq: SeqNum) -> u64 {
        position(self.iss, self.una, seq)
    }

    /// Position after the last one that the peer's window allows. (RFC 9293 MUST-34: a shrunk
    /// window may place it left of `nxt`.)
    pub(crate) fn right_edge(&self) -> u64 {
        self.una.saturating_add(self.wnd.into())
    }

    /// Sequence space that is sent but not acknowledged.
    pub(crate) fn flight(&self) -> u64 {
        debug_assert!(self.una <= self.nxt);
        self.nxt.saturating_sub(self.una)
    }
}

/// The receive sequence space: RFC 9293's RCV variables.
#[derive(Debug)]
pub(crate) struct ReceiveSpace {
    /// The peer's initial sequence number.
    pub(crate) irs: SeqNum,
    /// Next position expected.
    pub(crate) nxt: u64,
    /// Right edge of the offered window; never moves left (RFC 9293 SHLD-14).
    pub(crate) edge: u64,
    /// The last acknowledgment sent (RFC 7323's Last.ACK.sent).
    pub(crate) acked: u64,
    /// Position of the peer's FIN, once it has been seen.
    pub(crate) fin: Option<u64>,
    /// Position after the peer's last urgent byte.
    pub(crate) up: Option<u64>,
}

impl ReceiveSpace {
    pub(crate) fn new(irs: SeqNum) -> Self {
        Self {
            irs,
            nxt: FIRST_BYTE,
            edge: FIRST_BYTE,
            acked: SYN,
            fin: None,
            up: None,
        }
    }

    pub(crate) fn seq_num(&self, position: u64) -> SeqNum {
        seq_num(self.irs, position)
    }

    pub(crate) fn position(&self, seq: SeqNum) -> u64 {
        position(self.irs, self.nxt, seq)
    }

    /// Bytes that the peer may still send.
    pub(crate) fn wnd(&self) -> u64 {
        self.edge.saturating_sub(self.nxt)
    }

    /// Whether the peer's FIN has been received in order.
    pub(crate) fn fin_received(&self) -> bool {
        self.fin.is_some_and(|fin| self.nxt > fin)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn positions_and_sequence_numbers_are_inverse(
            isn: u32, advanced in 0u64..1 << 40, offset in -(1i64 << 30)..1 << 30,
        ) {
            let isn = SeqNum::new(isn);
            let near = SYN + advanced;
            let there = near.saturating_add_signed(offset);
            prop_assert_eq!(position(isn, near, seq_num(isn, there)), there);
        }
    }

    #[test]
    fn a_sequence_number_before_the_syn_has_a_position() {
        let isn = SeqNum::new(5);
        assert_eq!(position(isn, FIRST_BYTE, SeqNum::new(u32::MAX)), SYN - 6);
    }
}
