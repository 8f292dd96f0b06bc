//! The memory that the buffers of all connections share: how much is used, and what follows when it
//! runs short.
//!
//! A window that was offered is not taken back (RFC 9293 SHLD-14), so what peers may send adds up to more than the
//! budget. Beyond the budget they are offered little, and little is kept out of order; beyond a quarter more what comes
//! is dropped on connections that hold a floor of unread data, unacknowledged, so that it comes again. With `n` connections
//! no more is held than five quarters of the budget, one packet, and `2 n` floors in each direction: one of payload, and one of
//! memory that is not filled yet.
//!
//! What counts is memory that payload keeps alive, not payload: buffers say how much that is (`buf`).

/// How short memory is (Linux's `tcp_mem`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Pressure {
    /// There is enough.
    #[default]
    None,
    /// Three quarters of the budget are used: buffers no longer grow.
    Moderate,
    /// The budget is used up: what is offered to peers and writers shrinks, and out of order little is kept.
    Severe,
    /// A quarter more than the budget is used: what peers send is dropped where much is unread, and where it is out of
    /// order.
    Critical,
}

/// What the buffers of a stack hold, in bytes of memory.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: usize,
}

impl Budget {
    /// Nothing is held; `limit` bytes may be.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, used: 0 }
    }

    /// A connection for which `charged` bytes were counted now holds `held`.
    pub(crate) fn settle(&mut self, charged: &mut usize, held: usize) {
        self.used = self.used - *charged + held;
        *charged = held;
    }

    /// Bytes held.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Bytes of the budget that are not held.
    pub(crate) fn left(&self) -> usize {
        self.limit.saturating_sub(self.used)
    }

    /// How short memory is now.
    pub(crate) fn pressure(&self) -> Pressure {
        if self.used >= self.limit.saturating_add(self.limit / 4) {
            Pressure::Critical
        } else if self.used >= self.limit {
            Pressure::Severe
        } else if self.used >= self.limit / 4 * 3 {
            Pressure::Moderate
        } else {
            Pressure::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_connections_hold_adds_up_to_pressure_and_goes_again() {
        let mut budget = Budget::new(1000);
        let (mut one, mut other) = (0, 0);
        budget.settle(&mut one, 700);
        assert_eq!(budget.pressure(), Pressure::None);
        budget.settle(&mut other, 50);
        assert_eq!(budget.pressure(), Pressure::Moderate);
        budget.settle(&mut other, 300);
        assert_eq!((budget.used(), budget.pressure()), (1000, Pressure::Severe));
        assert_eq!(budget.left(), 0);
        budget.settle(&mut other, 550);
        assert_eq!(budget.pressure(), Pressure::Critical);
        budget.settle(&mut other, 300);
        budget.settle(&mut one, 0);
        assert_eq!((budget.used(), budget.pressure()), (300, Pressure::None));
        assert_eq!(budget.left(), 700);
    }
}
