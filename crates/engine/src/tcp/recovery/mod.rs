//! Loss recovery: how long a round trip takes ([`rtt`]), what is in flight and what of it is lost
//! ([`scoreboard`]), and when a loss episode begins and ends ([`episode`]). [`rack`] judges by time, [`tail_probe`]
//! asks when nothing is heard, [`reduction`] lowers the window and
//! [`prr`] meters what goes out meanwhile, [`undo`] and [`frto`] find out that nothing was
//! lost, and [`sampler`] measures how fast the network delivers.
//!
//! Nothing here writes the congestion window: [`episode`] tells [`congestion`](crate::tcp::congestion).

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
