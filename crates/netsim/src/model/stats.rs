//! The counters of a link.

/// Packet counters since the link was created.
///
/// `sent + duplicated` is the sum of `delivered`, of the six kinds of loss, and of the packets
/// [in flight](super::Link::in_flight).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Put on the link.
    pub sent: u64,
    /// Taken from it at the other end.
    pub delivered: u64,
    /// Bytes of the delivered packets.
    pub delivered_bytes: u64,
    /// Lost at random, independently or in bursts.
    pub lost: u64,
    /// Dropped because the queue was full.
    pub dropped_at_queue: u64,
    /// Dropped because the number of packets in flight had reached the bound on memory.
    pub dropped_in_flight: u64,
    /// Dropped because they were larger than the MTU.
    pub too_big: u64,
    /// Acknowledgments dropped because a later one carries the same information.
    pub thinned: u64,
    /// Lost while the link was cut.
    pub cut: u64,
    /// Copies delivered in addition to the originals.
    pub duplicated: u64,
    /// Held back so that others would overtake them.
    pub displaced: u64,
    /// Delivered after a packet that was sent later.
    pub reordered: u64,
    /// Given wrong bytes.
    pub corrupted: u64,
    /// Marked as having experienced congestion.
    pub marked: u64,
    /// The largest number of bytes that waited in the queue.
    pub queue_high_water: usize,
}
