//! Initial sequence numbers (RFC 6528 3, RFC 9293 3.4.1) and timestamp offsets (RFC 7323 5.4): a
//! keyed hash of the four-tuple, to which the former add a clock.

use millstream_wire::SeqNum;

use crate::time::Instant;
use crate::tuple::FourTuple;

/// Nanoseconds per tick of the ISN clock: 4 us (MUST-8).
const ISN_TICK_NANOS: u64 = 4_000;

/// The generator, with its secret (MUST-9).
#[derive(Debug)]
pub(crate) struct IsnGenerator {
    key: [u8; 16],
    /// The preset initial sequence number of the next connection.
    next: Option<SeqNum>,
}

impl IsnGenerator {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Self { key, next: None }
    }

    pub(crate) fn key(&self) -> &[u8; 16] {
        &self.key
    }

    /// Presets the initial sequence number of the next connection.
    pub(crate) fn set_next(&mut self, isn: SeqNum) {
        self.next = Some(isn);
    }

    /// ISN = M + F(four-tuple, secret), unless it was preset. RFC 9293 SHLD-1.
    pub(crate) fn isn(&mut self, tuple: &FourTuple, now: Instant) -> SeqNum {
        if let Some(chosen) = self.next.take() {
            return chosen;
        }
        let clock = (now.as_nanos() / ISN_TICK_NANOS) as u32;
        SeqNum::new((tuple.keyed_hash(&self.key, b'i') as u32).wrapping_add(clock))
    }

    /// The offset of a connection's timestamps. It is the same for each incarnation of a
    /// four-tuple, so that the timestamps of the next one are newer (RFC 6191).
    pub(crate) fn timestamp_offset(&self, tuple: &FourTuple) -> u32 {
        tuple.keyed_hash(&self.key, b't') as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(port: u16) -> FourTuple {
        FourTuple::new(([10, 0, 0, 1], port).into(), ([10, 0, 0, 2], 80).into())
    }

    /// RFC 9293 MUST-8, SHLD-1.
    #[test]
    fn the_same_tuple_gets_later_numbers_later() {
        let mut isn = IsnGenerator::new([7; 16]);
        let first = isn.isn(&tuple(1), Instant::ZERO);
        let second = isn.isn(&tuple(1), Instant::from_micros(4_000));
        assert_eq!(second.distance_from(first), 1000);
    }

    /// RFC 9293 MUST-9, SHLD-1.
    #[test]
    fn tuples_and_secrets_tell_nothing_of_each_other() {
        let mut isn = IsnGenerator::new([7; 16]);
        let at = Instant::ZERO;
        assert_ne!(isn.isn(&tuple(1), at), isn.isn(&tuple(2), at));
        assert_ne!(
            isn.isn(&tuple(1), at),
            IsnGenerator::new([8; 16]).isn(&tuple(1), at)
        );
    }

    #[test]
    fn a_number_that_was_chosen_is_used_once() {
        let mut isn = IsnGenerator::new([7; 16]);
        let usual = isn.isn(&tuple(1), Instant::ZERO);
        isn.set_next(usual + 1);
        assert_eq!(isn.isn(&tuple(1), Instant::ZERO), usual + 1);
        assert_eq!(isn.isn(&tuple(1), Instant::ZERO), usual);
    }
}
