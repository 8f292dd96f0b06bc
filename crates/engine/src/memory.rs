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

use crate::config::MemoryPool;

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
    /// The account of all stacks that share the limit.
    pool: Option<MemoryPool>,
}

impl Budget {
    /// Creates an empty account with a budget of `limit` bytes, which the stacks of `pool` share.
    pub(crate) fn new(limit: usize, pool: Option<MemoryPool>) -> Self {
        let used = 0;
        Self { limit, used, pool }
    }

    /// Replaces the `charged` bytes that were counted for a connection by `held`, the bytes that it
    /// holds now.
    pub(crate) fn settle(&mut self, charged: &mut u32, held: usize) {
        // Two buffers of at most 1 GiB each, and what it takes to keep account of them.
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        if held == *charged {
            return;
        }
        self.used = self.used - *charged as usize + held as usize;
        if let Some(pool) = &self.pool {
            pool.replace(*charged as usize, held as usize);
        }
        *charged = held;
    }

    /// Bytes in use by this stack.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Bytes of the budget that are in use, by whichever stack.
    fn used_in_all(&self) -> usize {
        self.pool.as_ref().map_or(self.used, MemoryPool::used)
    }

    /// Bytes of the budget that are not in use.
    pub(crate) fn left(&self) -> usize {
        self.limit.saturating_sub(self.used_in_all())
    }

    /// How short memory is now.
    pub(crate) fn pressure(&self) -> Pressure {
        let used = self.used_in_all();
        if used >= self.limit.saturating_add(self.limit / 4) {
            Pressure::Critical
        } else if used >= self.limit {
            Pressure::Severe
        } else if used >= self.limit / 4 * 3 {
            Pressure::Moderate
        } else {
            Pressure::None
        }
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        if let Some(pool) = &self.pool {
            pool.replace(self.used, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_with_one_pool_share_one_budget() {
        let pool = MemoryPool::new();
        let mut budgets = [(); 2].map(|()| Budget::new(1000, Some(pool.clone())));
        let mut charged = [0, 0];
        budgets[0].settle(&mut charged[0], 900);
        assert_eq!(budgets[1].pressure(), Pressure::Moderate);
        assert_eq!(budgets[1].left(), 100);
        budgets[1].settle(&mut charged[1], 100);
        assert_eq!(budgets[0].pressure(), Pressure::Severe);
        assert_eq!((budgets[0].used(), pool.used()), (900, 1000));
        budgets[0].settle(&mut charged[0], 300);
        assert_eq!(pool.used(), 400);
        let [first, second] = budgets;
        drop(first);
        assert_eq!((second.pressure(), second.left()), (Pressure::None, 900));
        drop(second);
        assert_eq!(pool.used(), 0);
    }

    #[test]
    fn what_connections_hold_adds_up_to_pressure_and_goes_again() {
        let mut budget = Budget::new(1000, None);
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
