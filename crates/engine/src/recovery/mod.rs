//! Loss recovery: how long a round trip takes ([`rtt`]), what is in flight and what of it is lost
//! ([`scoreboard`]), and when a loss episode begins and ends ([`episode`]).
//!
//! Nothing here writes the congestion window: [`episode`] tells [`congestion`](crate::congestion).

pub(crate) mod episode;
pub(crate) mod rtt;
pub(crate) mod scoreboard;
