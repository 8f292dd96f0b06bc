//! The memory shared by the buffers of all connections: how much is used, and what happens when it
//! runs short.
//!
//! A window that was offered is not taken back (RFC 9293 SHLD-14), so the windows of all peers may
//! add up to more than the budget. Beyond the budget, small windows are offered and little data is
//! kept out of order. Beyond five quarters of the budget, segments for connections that hold a
//! floor of unread data are dropped without an acknowledgment, so that the peer retransmits them.
//! With `n` connections, the total is at most five quarters of the budget, one packet, and `2 n`
//! floors in each direction: one of payload, and one of memory that is not filled yet.
//!
//! The amount counted is the memory that payload keeps alive, not the payload itself; the buffers
//! report it (`tcp::buffer`).

/// How short memory is (Linux's `tcp_mem`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Pressure {
    /// There is enough memory.
    #[default]
    None,
    /// Three quarters of the budget are used: buffers stop growing.
    Moderate,
    /// The budget is used up: less is offered to peers and writers, and little data is kept out of
    /// order.
    Severe,
    /// Five quarters of the budget are used: received data is dropped if it is out of order or if
    /// much data is unread.
    Critical,
}

/// The memory of the buffers of a stack, in bytes.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: usize,
}

impl Budget {
    /// Creates an empty account with a budget of `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, used: 0 }
    }

    /// Replaces the `charged` bytes that were counted for a connection by `held`, the bytes that it
    /// holds now.
    pub(crate) fn settle(&mut self, charged: &mut u32, held: usize) {
        // Two buffers of at most 1 GiB each, and what it takes to keep account of them.
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        self.used = self.used - *charged as usize + held as usize;
        *charged = held;
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Bytes of the budget that are not in use.
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
