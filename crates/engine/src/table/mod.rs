//! Containers that know nothing of packets: records with names, lists through them, fair shares.

pub(crate) mod fair_shares;
pub(crate) mod keyed;
pub(crate) mod list;
pub(crate) mod place;
pub(crate) mod slab;
