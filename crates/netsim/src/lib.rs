//! x
#![forbid(unsafe_code)]

mod model;
mod network;
mod seed;

pub use crate::model::{
    Corruption, Displacement, GilbertElliott, Jitter, Link, LinkConfig, LinkStats, MtuLimit,
    Schedule,
};
pub use crate::network::{HostId, LinkId, Network, NodeId, Passing, RouterId};
pub use crate::seed::Seed;
pub use millstream_engine::Instant;
