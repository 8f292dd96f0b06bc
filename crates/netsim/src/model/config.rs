//! What there is to set on a link.

use std::time::Duration;

use super::burst::GilbertElliott;
use super::chance::Chance;
use super::corrupt::Corruption;
use super::displace::Displacement;
use super::mtu::MtuLimit;
use super::thin::AckThinning;

/// Bytes that a queue holds unless it is told otherwise.
const DEFAULT_QUEUE: usize = 256 * 1024;

/// How one direction of a link treats packets. The default delivers each at once and unharmed.
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

/// A delay of random length, uniformly distributed, on top of the constant one. The default is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Jitter {
    /// The longest.
    pub most: Duration,
    /// Whether a packet whose delay is shorter than its predecessor's arrives before it; otherwise it waits for it.
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
    /// A perfect link.
    pub fn new() -> Self {
        Self::default()
    }

    /// Transmits one packet after the other at this rate, in bits of IP packets per second. A change holds from the next
    /// packet that begins to be transmitted.
    ///
    /// # Panics
    /// If the rate is zero; see [`cut`](Self::cut) for that.
    pub fn rate(mut self, bits_per_second: u64) -> Self {
        assert!(bits_per_second > 0, "a rate is more than zero");
        self.rate = Some(bits_per_second);
        self
    }

    /// Transmits packets in no time, so that there is no queue either.
    pub fn unlimited(mut self) -> Self {
        self.rate = None;
        self
    }

    /// Lets this many bytes wait behind the packet that is being transmitted; a packet that does not fit is
    /// dropped (drop-tail). 256 KiB unless it is set. Without a [`rate`](Self::rate) nothing waits.
    pub fn queue(mut self, bytes: usize) -> Self {
        self.queue = bytes;
        self
    }

    /// Marks ECN-capable packets as having experienced congestion (RFC 3168) when they find this many bytes waiting or
    /// more. Others are dropped when the queue is full, as those are.
    pub fn ecn_threshold(mut self, bytes: usize) -> Self {
        self.ecn_threshold = Some(bytes);
        self
    }

    /// Marks no packets.
    pub fn without_ecn(mut self) -> Self {
        self.ecn_threshold = None;
        self
    }

    /// Does not carry packets larger than this.
    pub fn mtu(mut self, limit: MtuLimit) -> Self {
        self.mtu = Some(limit);
        self
    }

    /// Carries packets of every size.
    pub fn without_mtu(mut self) -> Self {
        self.mtu = None;
        self
    }

    /// Drops acknowledgments that a later one makes superfluous.
    pub fn ack_thinning(mut self, thinning: AckThinning) -> Self {
        self.ack_thinning = Some(thinning);
        self
    }

    /// Drops no acknowledgments but as other packets.
    pub fn without_ack_thinning(mut self) -> Self {
        self.ack_thinning = None;
        self
    }

    /// Loses everything that is transmitted from now on; what is under way still arrives.
    pub fn cut(mut self) -> Self {
        self.cut = true;
        self
    }

    /// Undoes [`cut`](Self::cut).
    pub fn mended(mut self) -> Self {
        self.cut = false;
        self
    }

    /// Loses each packet with this probability, independently of the others.
    ///
    /// # Panics
    /// If the probability is not between 0 and 1.
    pub fn loss(mut self, probability: f64) -> Self {
        self.loss = Chance::new(probability);
        self
    }

    /// Loses packets in bursts, besides those lost [independently](Self::loss).
    pub fn burst_loss(mut self, model: GilbertElliott) -> Self {
        self.burst_loss = Some(model);
        self
    }

    /// Loses no packets in bursts.
    pub fn without_burst_loss(mut self) -> Self {
        self.burst_loss = None;
        self
    }

    /// Changes bytes of packets and leaves their checksums as they were.
    pub fn corruption(mut self, corruption: Corruption) -> Self {
        self.corruption = corruption;
        self
    }

    /// Delivers packets twice with this probability, the second right behind the first.
    ///
    /// # Panics
    /// If the probability is not between 0 and 1.
    pub fn duplication(mut self, probability: f64) -> Self {
        self.duplication = Chance::new(probability);
        self
    }

    /// Lets packets be overtaken by a number of others.
    pub fn displacement(mut self, displacement: Displacement) -> Self {
        self.displacement = displacement;
        self
    }

    /// Delivers packets this long after they have been transmitted. Packets sent after the delay became shorter may
    /// overtake those sent before, as on a path that changes its route.
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
