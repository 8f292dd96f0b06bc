//! Loss recovery: how long a round trip takes ([`rtt`]), what is in flight and what of it is lost
//! ([`scoreboard`]), and when a loss episode begins and ends ([`episode`]). [`rack`] judges by time, [`tail_probe`]
//! asks when nothing is heard, [`prr`] meters what goes out meanwhile, [`undo`] finds out that nothing was lost.
//!
//! Nothing here writes the congestion window: [`episode`] tells [`congestion`](crate::congestion).

pub(crate) mod episode;
mod prr;
mod rack;
pub(crate) mod rtt;
pub(crate) mod scoreboard;
pub(crate) mod tail_probe;
mod undo;
