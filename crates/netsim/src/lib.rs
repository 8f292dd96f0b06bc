//! x
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod bridge;
pub mod device;
mod model;
mod network;
mod seed;

#[cfg(target_os = "linux")]
pub use crate::bridge::{Bridge, Way};
pub use crate::device::Impaired;
pub use crate::model::{
    Corruption, Displacement, GilbertElliott, Jitter, Link, LinkConfig, LinkStats, MtuLimit,
    Schedule,
};
pub use crate::network::{HostId, LinkId, Network, NodeId, Passing, RouterId};
pub use crate::seed::Seed;
pub use millstream_engine::Instant;
