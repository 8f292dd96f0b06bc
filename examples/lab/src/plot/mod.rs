//! Time-sequence graphs of the connections in a capture, in the manner of tcptrace.
//!
//! [`read()`] makes of a capture its [`Connection`]s, each with a [`Series`] a direction: what there is to draw.
//! [`svg()`] draws one, and [`png()`] makes a bitmap of that.
//!
//! Where a packet has a pcapng comment (`opt_comment` of its enhanced packet block) with the word `cwnd=N`, `N` is
//! taken for the congestion window of its sender, in bytes, after the packet was sent.

mod chart;
mod png;
mod ranges;
mod read;
mod series;

pub use self::chart::svg;
pub use self::png::png;
pub use self::read::{Capture, cwnd_of, read};
pub use self::series::{Bar, Connection, Point, Sack, Series};
