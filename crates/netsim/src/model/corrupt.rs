//! Corruption: changed bytes under an unchanged checksum.

use bytes::{Bytes, BytesMut};
use fastrand::Rng;

use super::chance::Chance;

/// The share of packets that arrive with wrong bytes, and how many bytes. The default is none.
///
/// The wrong bytes are anywhere in the packet, headers included, and differ from the original ones.
/// The Internet checksum always detects one wrong byte and nearly always several; an IPv6 header
/// has no checksum of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[must_use]
pub struct Corruption {
    chance: Chance,
    bytes: usize,
}

impl Corruption {
    /// Changes one byte of each packet with this probability.
    ///
    /// # Panics
    /// If the probability is not between 0 and 1.
    pub fn new(probability: f64) -> Self {
        Self {
            chance: Chance::new(probability),
            bytes: 1,
        }
    }

    /// Changes this many bytes of a packet, at positions that may coincide.
    pub fn bytes(mut self, count: usize) -> Self {
        self.bytes = count;
        self
    }
}

/// Changes packets.
#[derive(Debug)]
pub(super) struct Corrupter {
    chance: Rng,
    places: Rng,
}

impl Corrupter {
    pub(super) fn new(seeds: &mut Rng) -> Self {
        Self {
            chance: seeds.fork(),
            places: seeds.fork(),
        }
    }

    /// Returns whether the packet was changed.
    pub(super) fn treat(&mut self, config: &Corruption, packet: &mut Bytes) -> bool {
        if !config.chance.happens(&mut self.chance) || packet.is_empty() {
            return false;
        }
        let mut bytes = BytesMut::from(std::mem::take(packet));
        for _ in 0..config.bytes {
            let place = self.places.usize(..bytes.len());
            bytes[place] ^= self.places.u8(1..);
        }
        *packet = bytes.freeze();
        config.bytes > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_at_any_position_is_changed() {
        let sent = Bytes::from(vec![0x5A; 40]);
        let mut corrupter = Corrupter::new(&mut Rng::with_seed(5));
        let mut hit = [0_u32; 40];
        for _ in 0..4000 {
            let mut packet = sent.clone();
            assert!(corrupter.treat(&Corruption::new(1.0), &mut packet));
            let wrong: Vec<usize> = (0..40).filter(|&at| packet[at] != sent[at]).collect();
            assert_eq!(wrong.len(), 1, "one byte of {packet:?}");
            hit[wrong[0]] += 1;
        }
        assert!(hit.iter().all(|&times| times > 50), "{hit:?}");
        assert!(
            sent.iter().all(|&byte| byte == 0x5A),
            "the original is unchanged"
        );
    }

    #[test]
    fn several_bytes_or_none_are_changed() {
        let mut corrupter = Corrupter::new(&mut Rng::with_seed(6));
        let mut packet = Bytes::from(vec![0; 1500]);
        assert!(corrupter.treat(&Corruption::new(1.0).bytes(8), &mut packet));
        let wrong = packet.iter().filter(|&&byte| byte != 0).count();
        assert!((2..=8).contains(&wrong), "{wrong} bytes");

        let mut packet = Bytes::from_static(b"untouched");
        assert!(!corrupter.treat(&Corruption::default(), &mut packet));
        assert_eq!(packet, "untouched");
    }
}
