//! x
#![forbid(unsafe_code)]

mod model;

pub use crate::model::{
    Corruption, Displacement, GilbertElliott, Jitter, Link, LinkConfig, LinkStats, MtuLimit,
    Schedule,
};
pub use millstream_engine::Instant;
