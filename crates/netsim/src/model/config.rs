//! The settings of a link.

use std::time::Duration;

use super::burst::GilbertElliott;
use super::chance::Chance;
use super::corrupt::Corruption;
use super::displace::Displacement;
use super::mtu::MtuLimit;
use super::thin::AckThinning;

/// The default size of a queue in bytes.
const DEFAULT_QUEUE: usize = 256 * 1024;

/// How one direction of a link treats packets. The default delivers each packet at once and
/// unchanged.
///
/// ```
/// use std::time::Duration;
/// use millstream_netsim::{GilbertElliott, LinkConfig};
///
/// let radio = LinkConfig::new()
///     .rate(20_000_000)
///     .queue(100_000)
///     .delay(Duration::from_millis(30))
///     .burst_loss(GilbertElliott::new(0.001, 0.3));
/// # let _ = radio;
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct LinkConfig {
    pub(super) rate: Option<u64>,
    pub(super) queue: usize,
    pub(super) ecn_threshold: Option<usize>,
    pub(super) mtu: Option<MtuLimit>,
    pub(super) ack_thinning: Option<AckThinning>,
    pub(super) cut: bool,
    pub(super) loss: Chance,
    pub(super) burst_loss: Option<GilbertElliott>,
    pub(super) corruption: Corruption,
    pub(super) duplication: Chance,
    pub(super) displacement: Displacement,
    pub(super) delay: Duration,
    pub(super) jitter: Jitter,
}

/// A delay of random length, uniformly distributed, in addition to the constant delay. The default
/// is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Jitter {
    /// The longest random delay.
    pub most: Duration,
    /// Whether a packet with a shorter delay may arrive before its predecessor; otherwise it waits
    /// for the predecessor.
    pub reorders: bool,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            rate: None,
            queue: DEFAULT_QUEUE,
            ecn_threshold: None,
            mtu: None,
            ack_thinning: None,
            cut: false,
            loss: Chance::default(),
            burst_loss: None,
            corruption: Corruption::default(),
            duplication: Chance::default(),
            displacement: Displacement::default(),
            delay: Duration::ZERO,
            jitter: Jitter::default(),
        }
    }
}

impl LinkConfig {
    /// A link without impairments.
    pub fn new() -> Self {
        Self::default()
    }

    /// Transmits one packet after another at this rate, in bits of IP packets per second. A change
    /// applies from the next packet whose transmission begins.
    ///
    /// # Panics
    /// If the rate is zero; use [`cut`](Self::cut) for that.
    pub fn rate(mut self, bits_per_second: u64) -> Self {
        assert!(bits_per_second > 0, "a rate must be greater than zero");
        self.rate = Some(bits_per_second);
        self
    }

    /// Transmits packets instantly, so that no queue builds up either.
    pub fn unlimited(mut self) -> Self {
        self.rate = None;
        self
    }

    /// Sets the size of the queue behind the packet in transmission, in bytes; a packet that does
    /// not fit is dropped (drop-tail). The default is 256 KiB. Without a [`rate`](Self::rate) no
    /// packet waits.
    pub fn queue(mut self, bytes: usize) -> Self {
        self.queue = bytes;
        self
    }

    /// Marks ECN-capable packets as having experienced congestion (RFC 3168) when at least this
    /// many bytes are waiting on their arrival. A full queue drops all packets, ECN-capable or not.
    pub fn ecn_threshold(mut self, bytes: usize) -> Self {
        self.ecn_threshold = Some(bytes);
        self
    }

    /// Marks no packets.
    pub fn without_ecn(mut self) -> Self {
        self.ecn_threshold = None;
        self
    }

    /// Rejects packets larger than this limit.
    pub fn mtu(mut self, limit: MtuLimit) -> Self {
        self.mtu = Some(limit);
        self
    }

    /// Carries packets of any size.
    pub fn without_mtu(mut self) -> Self {
        self.mtu = None;
        self
    }

    /// Drops acknowledgments that a later acknowledgment makes superfluous.
    pub fn ack_thinning(mut self, thinning: AckThinning) -> Self {
        self.ack_thinning = Some(thinning);
        self
    }

    /// Treats acknowledgments like all other packets.
    pub fn without_ack_thinning(mut self) -> Self {
        self.ack_thinning = None;
        self
    }

    /// Loses all packets that are transmitted from now on; packets in flight still arrive.
    pub fn cut(mut self) -> Self {
        self.cut = true;
        self
    }

    /// Undoes [`cut`](Self::cut).
    pub fn mended(mut self) -> Self {
        self.cut = false;
        self
    }

    /// Loses each packet with this probability, independently of all others.
    ///
    /// # Panics
    /// If the probability is not between 0 and 1.
    pub fn loss(mut self, probability: f64) -> Self {
        self.loss = Chance::new(probability);
        self
    }

    /// Loses packets in bursts, in addition to the [independent](Self::loss) losses.
    pub fn burst_loss(mut self, model: GilbertElliott) -> Self {
        self.burst_loss = Some(model);
        self
    }

    /// Loses no packets in bursts.
    pub fn without_burst_loss(mut self) -> Self {
        self.burst_loss = None;
        self
    }

    /// Changes bytes of packets without updating their checksums.
    pub fn corruption(mut self, corruption: Corruption) -> Self {
        self.corruption = corruption;
        self
    }

    /// Delivers packets twice with this probability, the copy directly behind the original.
    ///
    /// # Panics
    /// If the probability is not between 0 and 1.
    pub fn duplication(mut self, probability: f64) -> Self {
        self.duplication = Chance::new(probability);
        self
    }

    /// Lets a given number of later packets overtake a packet.
    pub fn displacement(mut self, displacement: Displacement) -> Self {
        self.displacement = displacement;
        self
    }

    /// Delivers packets this long after their transmission. After the delay is reduced, new packets
    /// may overtake earlier ones, as on a path whose route changes.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Adds a delay of random length.
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }
}
