//! SYN cookies (RFC 4987 3.6): when too many connections are half-open, a SYN is answered with an
//! initial sequence number that encodes the negotiated values, and no record is kept. The last
//! acknowledgment of the handshake returns the number.
//!
//! The number holds the time, the peer's segment size rounded down to one of eight, and a keyed
//! hash of these, of the four-tuple and of the peer's initial sequence number. Window scale, SACK
//! and ECN are encoded in the low bits of the local timestamp, which the peer echoes; with a peer
//! without timestamps they are not negotiated (as on Linux).

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::time::Duration;

use millstream_wire::SeqNum;

use super::half_open::HalfOpen;
use crate::tcp::connection::Offer;
use crate::tcp::isn::IsnGenerator;
use crate::time::Instant;
use crate::tuple::FourTuple;

/// A cookie is valid for the rest of the period in which it was made, and for the next period.
const PERIOD: Duration = Duration::from_secs(64);
const PERIOD_MILLIS: u64 = PERIOD.as_millis() as u64;

/// Time after which a listener knows that no cookie that it sent can return.
pub(crate) const LIFETIME: Duration = Duration::from_secs(2 * PERIOD.as_secs());

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
    pub(crate) fn size_in_cookie(
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
pub(crate) fn offer_of(mss: u16, echo: Option<u32>) -> Offer {
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

impl HalfOpen {
    /// Encodes the negotiated values in the local initial sequence number and, with timestamps, in
    /// the local timestamp. What cannot be encoded is not offered.
    pub(crate) fn answer_by_cookie(&mut self, isn: &IsnGenerator, now: Instant) {
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
