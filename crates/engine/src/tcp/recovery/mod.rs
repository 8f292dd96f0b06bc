//! Loss recovery: the duration of a round trip ([`rtt`]), the data in flight and its lost part
//! ([`scoreboard`]), and the beginning and end of a loss episode ([`episode`]). [`rack`] detects
//! loss by time, [`tail_probe`] sends a probe when no acknowledgment arrives, [`reduction`] lowers
//! the window and [`prr`] meters transmissions during the reduction, [`undo`] and [`frto`] detect
//! spurious losses, and [`sampler`] measures the delivery rate.
//!
//! Nothing here writes the congestion window: [`episode`] notifies
//! [`congestion`](crate::congestion).

pub(crate) mod ack_facts;
mod detection;
pub(crate) mod episode;
mod frto;
pub(crate) mod heard;
mod min_rtt;
mod prr;
mod rack;
mod reduction;
mod report;
pub(crate) mod rtt;
mod sampler;
pub(crate) mod scoreboard;
pub(crate) mod tail_probe;
mod undo;
mod verdict;
