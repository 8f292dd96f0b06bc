//! SYN cookies (RFC 4987 3.6): when too many connections are half-open, a SYN is answered with an initial sequence number from
//! which the handshake's last acknowledgment tells what was agreed on, and nothing is kept.
//!
//! The number holds the time, the peer's segment size rounded down to one of eight, and a keyed hash of these, the four-tuple
//! and the peer's own number. Window scale, SACK and ECN stand in the low bits of our timestamp, which the peer echoes; with a
//! peer that has no timestamps they are not agreed on (as on Linux).

use std::sync::Arc;
use std::time::Duration;

use millstream_wire::SeqNum;
use millstream_wire::tcp::Flags;

use super::Stack;
use super::half_open::{Decision, HalfOpen};
use super::isn::IsnGenerator;
use crate::config::SocketOptions;
use crate::error::DropReason;
use crate::id::ListenerId;
use crate::segment::Segment;
use crate::tcb::Offer;
use crate::time::Instant;
use crate::tuple::FourTuple;

/// A cookie is good for the rest of the period in which it was made, and the next.
const PERIOD: Duration = Duration::from_secs(64);

/// Since when a listener that sent a cookie knows that none can come back.
pub(super) const LIFETIME: Duration = Duration::from_secs(2 * PERIOD.as_secs());

/// Segment sizes that a cookie can name: what is common on links and in tunnels.
const SIZES: [u16; 8] = [48, 536, 1220, 1300, 1400, 1440, 1460, 8940];

/// Three bits of size over three of time over 26 of hash.
const SIZE_SHIFT: u32 = 29;
const TIME_SHIFT: u32 = 26;
const THREE_BITS: u32 = 7;
const HASH_MASK: u32 = (1 << TIME_SHIFT) - 1;

/// Bits of a timestamp that hold options: four of window scale, and these.
const OPTION_BITS: u32 = 0x3F;
const SCALE_MASK: u32 = 0x0F;
const NO_SCALE: u32 = 0x0F;
const SACK: u32 = 0x10;
const ECN: u32 = 0x20;

impl IsnGenerator {
    /// The initial sequence number that stands for an answer to the SYN of number `irs`.
    fn cookie(&self, tuple: &FourTuple, irs: SeqNum, mss: u16, now: Instant) -> SeqNum {
        let size = SIZES.iter().rposition(|&size| size <= mss).unwrap_or(0);
        self.cookie_of(tuple, irs, size as u32, period(now))
    }

    /// The segment size in the cookie `isn`, if it is one of ours that is not too old.
    fn size_in_cookie(
        &self,
        tuple: &FourTuple,
        irs: SeqNum,
        isn: SeqNum,
        now: Instant,
    ) -> Option<u16> {
        let size = isn.raw() >> SIZE_SHIFT;
        let made = [period(now), period(now).wrapping_sub(1)];
        made.iter()
            .any(|&made| self.cookie_of(tuple, irs, size, made) == isn)
            .then(|| SIZES[size as usize])
    }

    fn cookie_of(&self, tuple: &FourTuple, irs: SeqNum, size: u32, period: u32) -> SeqNum {
        let said = [irs.raw(), size, period];
        let hash = tuple.keyed_hash_with(self.key(), b'c', &said) as u32 & HASH_MASK;
        SeqNum::new(size << SIZE_SHIFT | (period & THREE_BITS) << TIME_SHIFT | hash)
    }
}

fn period(now: Instant) -> u32 {
    (now.as_millis() / PERIOD.as_millis() as u64) as u32
}

/// The latest timestamp up to `plain` that names what is agreed on.
fn stamp(plain: u32, agreed: &Offer) -> u32 {
    // RFC 7323 2.3: what is above 14 means 14.
    let scale = agreed.window_scale.map(|scale| scale.min(14));
    let mut bits = scale.map_or(NO_SCALE, u32::from);
    bits |= if agreed.sack { SACK } else { 0 };
    bits |= if agreed.ecn { ECN } else { 0 };
    plain.wrapping_sub(plain.wrapping_sub(bits) & OPTION_BITS)
}

/// The peer's offer as far as a cookie holds it.
fn offer_of(mss: u16, echo: Option<u32>) -> Offer {
    let bits = echo.unwrap_or(NO_SCALE);
    let scale = bits & SCALE_MASK;
    Offer {
        mss,
        window_scale: (scale != NO_SCALE).then_some(scale as u8),
        sack: bits & SACK != 0,
        timestamps: echo.is_some(),
        ecn: bits & ECN != 0,
    }
}

impl Stack {
    /// Answers a SYN and keeps nothing.
    pub(super) fn send_cookie(&mut self, now: Instant, id: ListenerId, segment: &Segment) {
        let Some(listener) = self.listeners.get_mut(id) else {
            return;
        };
        listener.cookies_until = Some(now + LIFETIME);
        let options = Arc::clone(&listener.options);
        let (tuple, irs) = (&segment.tuple, segment.seq);
        let theirs = Offer::theirs(segment);
        let mut half_open = HalfOpen {
            irs,
            iss: self.isn.cookie(tuple, irs, theirs.mss, now),
            ..self.half_open_by_cookie(now, id, &options, segment, theirs)
        };
        if half_open.our_offer.timestamps {
            // The offset for this one moment at which the timestamp says what it has to.
            let clock = now.as_millis() as u32;
            let plain = clock.wrapping_add(half_open.timestamp_offset);
            half_open.timestamp_offset = stamp(plain, &agreed(&half_open)).wrapping_sub(clock);
        } else {
            half_open.our_offer = Offer {
                mss: half_open.our_offer.mss,
                ..offer_of(0, None)
            };
        }
        half_open.send_syn_ack(
            now,
            &options,
            &self.config,
            &mut self.counters,
            &mut self.replies,
        );
        self.counters.syn_cookies_sent += 1;
    }

    /// Whether a segment acknowledges a cookie of the listener's.
    pub(super) fn is_for_cookie(&self, now: Instant, id: ListenerId, segment: &Segment) -> bool {
        self.half_open_in_cookie(now, id, segment).is_some()
    }

    /// Makes a connection, if there is room for it, of a segment that acknowledges a cookie. Returns whether it does.
    pub(super) fn take_cookie(&mut self, now: Instant, id: ListenerId, segment: &Segment) -> bool {
        let Some(half_open) = self.half_open_in_cookie(now, id, segment) else {
            return false;
        };
        let listener = self.listeners.get(id);
        if listener.is_some_and(|listener| listener.ready.len() >= listener.backlog) {
            // L: the peer's next segment tries again.
            self.counters.count_drop(DropReason::AcceptQueueFull);
            return true;
        }
        self.counters.syn_cookies_received += 1;
        self.observe_half_open(now, &half_open.tuple);
        self.establish(now, &half_open, None, segment.clone());
        true
    }

    /// What was half-open when a listener sent a cookie, if this segment acknowledges one.
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
        Some(HalfOpen {
            irs,
            iss,
            // How long the SYN-ACK was under way is not known.
            retries: 1,
            ..self.half_open_by_cookie(now, id, &listener.options, segment, offer_of(mss, echo))
        })
    }

    /// All but the sequence numbers.
    fn half_open_by_cookie(
        &self,
        now: Instant,
        id: ListenerId,
        options: &SocketOptions,
        segment: &Segment,
        theirs: Offer,
    ) -> HalfOpen {
        let ours = Offer::ours(&self.config, options, segment.tuple.local_ip);
        HalfOpen {
            tuple: segment.tuple,
            listener: id,
            timer: None,
            iss: SeqNum::new(0),
            irs: SeqNum::new(0),
            our_offer: ours.answered_by(&theirs),
            peer_offer: theirs,
            peer_window: segment.window,
            peer_timestamp: segment.options.timestamps.map_or(0, |t| t.value),
            timestamp_offset: self.isn.timestamp_offset(&segment.tuple),
            sent_at: now,
            last_challenge: None,
            retries: 0,
            decision: Decision::NotAsked,
        }
    }
}

/// What the answer to a SYN agrees on. The scale is the peer's: ours is known.
fn agreed(half_open: &HalfOpen) -> Offer {
    let HalfOpen {
        our_offer,
        peer_offer,
        ..
    } = half_open;
    Offer {
        window_scale: our_offer.window_scale.and(peer_offer.window_scale),
        ..*our_offer
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
            let stamp = stamp(plain, &agreed);
            prop_assert!(plain.wrapping_sub(stamp) < 64);
            let offer = offer_of(1460, Some(stamp));
            prop_assert_eq!(offer.window_scale, scale);
            prop_assert_eq!((offer.sack, offer.ecn, offer.timestamps), (sack, ecn, true));
        }
    }
}
