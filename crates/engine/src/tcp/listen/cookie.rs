//! SYN cookies (RFC 4987 3.6): when too many connections are half-open, a SYN is answered with an
//! initial sequence number that encodes the negotiated values, and no record is kept. The last
//! acknowledgment of the handshake returns the number.
//!
//! The number holds the time, the peer's segment size rounded down to one of eight, and a keyed
//! hash of these, of the four-tuple and of the peer's initial sequence number. Window scale, SACK
//! and ECN are encoded in the low bits of the local timestamp, which the peer echoes; with a peer
//! without timestamps they are not negotiated (as on Linux).

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::sync::Arc;
use std::time::Duration;

use millstream_wire::SeqNum;
use millstream_wire::tcp::Flags;

use super::half_open::HalfOpen;
use crate::error::DropReason;
use crate::host::Stack;
use crate::id::ListenerId;
use crate::stats::count;
use crate::tcp::connection::Offer;
use crate::tcp::isn::IsnGenerator;
use crate::tcp::segment::Segment;
use crate::time::Instant;
use crate::tuple::FourTuple;

/// A cookie is valid for the rest of the period in which it was made, and for the next period.
const PERIOD: Duration = Duration::from_secs(64);
const PERIOD_MILLIS: u64 = PERIOD.as_millis() as u64;

/// Time after which a listener knows that no cookie that it sent can return.
pub(crate) const LIFETIME: Duration = Duration::from_secs(2 * PERIOD.as_secs());

/// Number of half-open connections beyond the backlog for peers whose cookie has returned: their
/// source addresses are not forged.
const RETURNED: usize = 64;

/// Segment sizes that a cookie can encode: those common on links and in tunnels.
const SIZES: [u16; 8] = [48, 536, 1220, 1300, 1400, 1440, 1460, 8940];

/// Three bits of size above three bits of time above 26 bits of hash.
const SIZE_SHIFT: u32 = 29;
const TIME_SHIFT: u32 = 26;
const THREE_BITS: u32 = 7;
const HASH_MASK: u32 = (1 << TIME_SHIFT) - 1;

/// Timestamp bits that encode options: four bits of window scale, and the flags below.
const OPTION_BITS: u32 = 0x3F;
const SCALE_MASK: u32 = 0x0F;
const NO_SCALE: u32 = 0x0F;
const SACK: u32 = 0x10;
const ECN: u32 = 0x20;

impl IsnGenerator {
    /// The initial sequence number that answers the SYN with sequence number `irs`.
    fn cookie(&self, tuple: &FourTuple, irs: SeqNum, mss: u16, now: Instant) -> SeqNum {
        let size = SIZES.iter().rposition(|&size| size <= mss).unwrap_or(0);
        self.cookie_of(tuple, irs, size as u32, period(now))
    }

    /// The segment size in the cookie `isn`, if the cookie is genuine and not too old.
    fn size_in_cookie(
        &self,
        tuple: &FourTuple,
        irs: SeqNum,
        isn: SeqNum,
        now: Instant,
    ) -> Option<u16> {
        let size = isn.raw() >> SIZE_SHIFT;
        let made = [period(now), period(now).wrapping_sub(1)];
        let mut cookies = made
            .into_iter()
            .map(|made| self.cookie_of(tuple, irs, size, made));
        let size = SIZES.get(size as usize)?;
        cookies.any(|cookie| cookie == isn).then_some(*size)
    }

    fn cookie_of(&self, tuple: &FourTuple, irs: SeqNum, size: u32, period: u32) -> SeqNum {
        let said = [irs.raw(), size, period];
        let hash = tuple.keyed_hash_with(self.key(), b'c', &said) as u32 & HASH_MASK;
        SeqNum::new(size << SIZE_SHIFT | (period & THREE_BITS) << TIME_SHIFT | hash)
    }
}

fn period(now: Instant) -> u32 {
    (now.as_millis() / PERIOD_MILLIS) as u32
}

/// The latest timestamp up to `plain` that encodes the options accepted in the answer to the SYN.
pub(crate) fn stamp(plain: u32, half_open: &HalfOpen) -> u32 {
    latest_with(half_open.agreed_bits(), plain)
}

/// The latest timestamp up to `plain` whose low bits equal `bits`.
const fn latest_with(bits: u32, plain: u32) -> u32 {
    plain.wrapping_sub(plain.wrapping_sub(bits) & OPTION_BITS)
}

fn bits_of(agreed: &Offer) -> u32 {
    let mut bits = agreed.window_scale.map_or(NO_SCALE, u32::from);
    bits |= if agreed.sack { SACK } else { 0 };
    bits |= if agreed.ecn { ECN } else { 0 };
    bits
}

/// The part of the peer's offer that a cookie encodes.
fn offer_of(mss: u16, echo: Option<u32>) -> Offer {
    let bare = Offer {
        mss,
        ..Offer::default()
    };
    let Some(bits) = echo else {
        return bare;
    };
    let scale = bits & SCALE_MASK;
    Offer {
        window_scale: (scale != NO_SCALE).then_some(scale as u8),
        sack: bits & SACK != 0,
        timestamps: true,
        ecn: bits & ECN != 0,
        ..bare
    }
}

impl Stack {
    /// Answers a SYN without keeping a record.
    pub(crate) fn send_cookie(&mut self, now: Instant, id: ListenerId, segment: &Segment) {
        let Some(listener) = self.listeners.get_mut(id) else {
            return;
        };
        listener.cookies_until = Some(now + LIFETIME);
        let options = Arc::clone(&listener.options);
        let ours = Offer::ours(&self.config, &options, segment.tuple.local_ip);
        let mut half_open = HalfOpen {
            irs: segment.seq,
            ..self.half_open_of(now, id, &ours, segment, Offer::theirs(segment))
        };
        half_open.answer_by_cookie(&self.isn, now);
        half_open.send_syn_ack(
            now,
            &options,
            &self.config,
            &mut self.counters,
            &mut self.replies,
        );
        count(&mut self.counters.syn_cookies_sent);
    }

    /// Makes the answer to the SYN of an attempt a cookie, so that the attempt can be removed
    /// before the handshake ends without loss.
    pub(crate) fn make_cookie(&mut self, now: Instant, index: u32) {
        let Some(half_open) = self.demux.half_open.at_mut(index) else {
            return;
        };
        half_open.answer_by_cookie(&self.isn, now);
        if let Some(listener) = self.listeners.get_mut(half_open.listener) {
            listener.cookies_until = Some(now + LIFETIME);
        }
        count(&mut self.counters.syn_cookies_sent);
    }

    /// Whether a segment acknowledges a cookie of the listener.
    pub(crate) fn is_for_cookie(&self, now: Instant, id: ListenerId, segment: &Segment) -> bool {
        self.half_open_in_cookie(now, id, segment).is_some()
    }

    /// Makes a connection of a segment that acknowledges a cookie, if there is room. Returns
    /// whether the segment acknowledges one.
    pub(crate) fn take_cookie(&mut self, now: Instant, id: ListenerId, segment: &Segment) -> bool {
        let Some(half_open) = self.half_open_in_cookie(now, id, segment) else {
            return false;
        };
        if self.is_accept_queue_full(id) {
            self.counters.count_drop(DropReason::AcceptQueueFull);
            self.keep_returned(now, half_open);
            return true;
        }
        count(&mut self.counters.syn_cookies_received);
        self.observe_half_open(now, &half_open.tuple);
        let attempt = self.returned_attempt(id);
        self.establish(now, &half_open, attempt, segment.clone());
        if let Some(attempt) = attempt {
            self.announce_returned(id, attempt);
        }
        true
    }

    /// The accept queue is full. The peer regards itself as connected and may wait for data from
    /// this side. If there is room, the connection becomes half-open, so that a SYN-ACK makes the
    /// peer acknowledge again (Linux forgets the connection).
    fn keep_returned(&mut self, now: Instant, half_open: HalfOpen) {
        let Some(listener) = self.listeners.get(half_open.listener) else {
            return;
        };
        let room = listener.backlog.saturating_add(RETURNED);
        if listener.any.is_some() || listener.half_open() >= room {
            return;
        }
        let options = Arc::clone(&listener.options);
        let index = self.keep_half_open(now, half_open);
        self.file_answer(now, index, &options);
    }

    /// The half-open connection as it was when the listener sent the cookie that this segment
    /// acknowledges, if it does.
    fn half_open_in_cookie(
        &self,
        now: Instant,
        id: ListenerId,
        segment: &Segment,
    ) -> Option<HalfOpen> {
        let listener = self.listeners.get(id)?;
        if listener.cookies_until.is_none_or(|until| until < now) || segment.has(Flags::SYN) {
            return None;
        }
        let (irs, iss) = (segment.seq - 1, segment.ack - 1);
        let mss = self.isn.size_in_cookie(&segment.tuple, irs, iss, now)?;
        let echo = segment.options.timestamps.map(|timestamps| timestamps.echo);
        let ours = Offer::ours(&self.config, &listener.options, segment.tuple.local_ip);
        Some(HalfOpen {
            irs,
            iss,
            // The send time of the SYN-ACK is unknown.
            resent: true,
            cookie: true,
            ..self.half_open_of(now, id, &ours, segment, offer_of(mss, echo))
        })
    }
}

impl HalfOpen {
    /// Encodes the negotiated values in the local initial sequence number and, with timestamps, in
    /// the local timestamp. What cannot be encoded is not offered.
    fn answer_by_cookie(&mut self, isn: &IsnGenerator, now: Instant) {
        self.iss = isn.cookie(&self.tuple, self.irs, self.peer_offer.mss, now);
        self.cookie = true;
        let stamped = self.our_offer.timestamps;
        self.peer_offer = offer_of(self.peer_offer.mss, stamped.then(|| self.agreed_bits()));
        self.our_offer = self.our_offer.answered_by(&self.peer_offer);
    }

    /// The timestamp bits of the options accepted in the answer to the SYN.
    fn agreed_bits(&self) -> u32 {
        let (ours, theirs) = (&self.our_offer, &self.peer_offer);
        // The scale is the peer's; the local one is known. RFC 7323 2.3: values above 14 mean 14.
        let scale = ours.window_scale.and(theirs.window_scale);
        bits_of(&Offer {
            window_scale: scale.map(|scale| scale.min(14)),
            ..*ours
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tuple(port: u16) -> FourTuple {
        FourTuple::new(([10, 0, 0, 1], 80).into(), ([10, 0, 0, 2], port).into())
    }

    proptest! {
        #[test]
        fn a_cookie_says_what_went_in(irs: u32, mss: u16, port: u16, at in 0u64..1 << 40, later in 0u64..64_000) {
            let isn = IsnGenerator::new([7; 16]);
            let (tuple, irs) = (tuple(port), SeqNum::new(irs));
            let cookie = isn.cookie(&tuple, irs, mss, Instant::from_millis(at));
            let now = Instant::from_millis(at + later);
            let size = isn.size_in_cookie(&tuple, irs, cookie, now);
            let size = size.expect("it is not older than a period");
            prop_assert!(size <= mss.max(SIZES[0]));
            prop_assert!(SIZES.iter().all(|&other| other <= size || other > mss));
            let too_old = Instant::from_millis(at + 128_000);
            prop_assert_eq!(isn.size_in_cookie(&tuple, irs, cookie, too_old), None);
            prop_assert_eq!(isn.size_in_cookie(&tuple, irs + 1, cookie, now), None);
            prop_assert_eq!(isn.size_in_cookie(&tuple, irs, cookie + 1, now), None);
            let stranger = IsnGenerator::new([8; 16]);
            prop_assert_eq!(stranger.size_in_cookie(&tuple, irs, cookie, now), None);
        }

        #[test]
        fn a_timestamp_says_what_is_agreed_on_and_is_not_of_the_future(
            plain: u32, scale in prop::option::of(0u8..=14), sack: bool, ecn: bool,
        ) {
            let agreed = Offer { mss: 1460, window_scale: scale, sack, timestamps: true, ecn };
            let stamp = latest_with(bits_of(&agreed), plain);
            prop_assert!(plain.wrapping_sub(stamp) < 64);
            let offer = offer_of(1460, Some(stamp));
            prop_assert_eq!(offer.window_scale, scale);
            prop_assert_eq!((offer.sack, offer.ecn, offer.timestamps), (sack, ecn, true));
        }
    }
}
