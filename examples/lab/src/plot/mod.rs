//! Time-sequence graphs of the connections in a capture, in the style of tcptrace.
//!
//! [`read()`] extracts from a capture its [`Connection`]s, each with a [`Series`] for each
//! direction. [`svg()`] draws one connection, and [`png()`] turns the result into a bitmap.
//!
//! If a packet has a pcapng comment (`opt_comment` of its enhanced packet block) with the word
//! `cwnd=N`, then `N` is taken as the congestion window of its sender, in bytes, after the packet
//! was sent.

mod chart;
mod png;
mod ranges;
mod read;
mod series;

pub use self::chart::svg;
pub use self::png::png;
pub use self::read::{Capture, cwnd_of, read};
pub use self::series::{Bar, Connection, Point, Sack, Series};
