//! What a link has done.

/// Counts of packets since the link was made.
///
/// `sent + duplicated` is the sum of `delivered`, of the six ways of being lost, and of what is
/// [under way](super::Link::in_flight).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Given to the link.
    pub sent: u64,
    /// Taken from it at the other end.
    pub delivered: u64,
    /// Bytes of those delivered.
    pub delivered_bytes: u64,
    /// Lost at random, independently or in bursts.
    pub lost: u64,
    /// Dropped because the queue was full.
    pub dropped_at_queue: u64,
    /// Dropped because so much was under way that the link's memory had to be bounded.
    pub dropped_in_flight: u64,
    /// Dropped because they were larger than the MTU.
    pub too_big: u64,
    /// Acknowledgments dropped because a later one says the same.
    pub thinned: u64,
    /// Lost while the link was cut.
    pub cut: u64,
    /// Copies made.
    pub duplicated: u64,
    /// Held back so that others would overtake them.
    pub displaced: u64,
    /// Delivered after a packet that was sent later.
    pub reordered: u64,
    /// Given wrong bytes.
    pub corrupted: u64,
    /// Marked as having experienced congestion.
    pub marked: u64,
    /// Bytes that waited in the queue at the most.
    pub queue_high_water: usize,
}
