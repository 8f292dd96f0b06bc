//! One direction of a link, without input or output: packets and the time in, packets out.
//!
//! [`Link`] is the complete model, and `link.rs` has the order in which a packet passes the
//! mechanisms. Each mechanism has a file: `mtu`, `thin` (of acknowledgments), `rate` (queue and
//! transmitter) with `ecn`, `loss` and `burst`, `corrupt`, `displace`, `flight` (delay and jitter).
//! `config` has the settings, `schedule` their changes over time, `stats` the counters.
//!
//! Each mechanism draws from a stream of random numbers of its own, so that enabling one does not
//! change the numbers that the others draw.

mod burst;
mod chance;
mod config;
mod corrupt;
mod displace;
mod ecn;
mod flight;
mod link;
mod loss;
mod mtu;
mod rate;
mod schedule;
mod stats;
#[cfg(test)]
mod testing;
mod thin;

pub use self::burst::GilbertElliott;
pub use self::config::{Jitter, LinkConfig};
pub use self::corrupt::Corruption;
pub use self::displace::Displacement;
pub use self::link::Link;
pub use self::mtu::MtuLimit;
pub use self::schedule::Schedule;
pub use self::stats::LinkStats;
pub use self::thin::AckThinning;
