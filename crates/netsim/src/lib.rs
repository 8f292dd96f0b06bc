//! Bad links for tests: slow, long, lossy, reordering, corrupting, congested, cut.
//!
//! A link is described once, by a [`LinkConfig`] and, if it changes, a [`Schedule`]. The same
//! description serves all of these:
//!
//! | between | with | time |
//! |---|---|---|
//! | engines, routers | [`Network`] | virtual, exact |
//! | stacks for tokio | [`Impaired`], [`device::pair`] | the runtime's, paused or real, in milliseconds |
//! | kernels, or a kernel and a stack | [`Bridge`] | real, a fraction of a millisecond |
//! | any source and sink of packets | [`Link`] | the caller's |
//!
//! # A first test
//!
//! Two engines, a link that loses every fiftieth packet, and a megabyte that must arrive. Nothing
//! here takes real time.
//!
//! ```
//! use std::net::SocketAddr;
//! use std::time::Duration;
//!
//! use bytes::Bytes;
//! use millstream_engine::{Cidr, Config, ListenOptions, Read, SocketOptions};
//! use millstream_netsim::{LinkConfig, Network};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut network = Network::new(1);
//! let config = |address: [u8; 4]| {
//!     Config::default().addresses(vec![Cidr::new(address.into(), 24)])
//! };
//! let client = network.host(config([10, 0, 0, 1]));
//! let server = network.host(config([10, 0, 0, 2]));
//! let link = LinkConfig::new()
//!     .rate(20_000_000)
//!     .delay(Duration::from_millis(25))
//!     .loss(0.02);
//! let (there, _back) = network.connect(client, server, link.clone(), link);
//!
//! // Commands are the engine's own.
//! let address: SocketAddr = "10.0.0.2:7".parse()?;
//! let binding = network.on(server, |stack, _| stack.bind(address, true))?;
//! let listener = network.on(server, |stack, _| stack.listen(binding, ListenOptions::default()))?;
//! let sender = network.on(client, |stack, now| {
//!     stack.connect(now, None, address, SocketOptions::default())
//! })?;
//!
//! let mut accepted = None;
//! let connected = network.drive(Duration::from_secs(60), |network| {
//!     accepted = network.on(server, |stack, _| stack.accept(listener));
//!     accepted.is_some()
//! });
//! assert!(connected);
//! let receiver = accepted.expect("is connected").id;
//!
//! // Between events, both applications write and read as much as they can.
//! let mut rest = Bytes::from(vec![b'x'; 1 << 20]);
//! let mut received: Vec<Bytes> = Vec::new();
//! let done = network.drive(Duration::from_secs(600), |network| {
//!     network.on(client, |stack, now| {
//!         if !rest.is_empty() {
//!             stack.write_bytes(now, sender, &mut rest).expect("is open");
//!             if rest.is_empty() {
//!                 stack.shutdown_write(now, sender).expect("is open");
//!             }
//!         }
//!     });
//!     let read = network.on(server, |stack, now| {
//!         stack.read(now, receiver, usize::MAX, &mut received)
//!     });
//!     read.expect("is open") == Read::Eof
//! });
//! assert!(done);
//! assert_eq!(received.concat(), vec![b'x'; 1 << 20]);
//! assert!(network.link(there).stats().lost > 0);
//! // The link's rate is a bound, in virtual time.
//! assert!(network.now().as_millis() > 419);
//! # Ok(()) }
//! ```
//!
//! # Replaying a failure
//!
//! All random decisions follow from one number. A test that panics prints it:
//!
//! ```text
//! the network's seed was 0x9e3779b97f4a7c15 (NETSIM_SEED=0x9e3779b97f4a7c15)
//! ```
//!
//! [`Network::new`] with that number replays the failure packet by packet, on any machine; so does
//! a test that uses [`Seed::from_env`] if it runs with `NETSIM_SEED` set to that number. A test
//! that runs many seeds in a loop prints the one that failed. On a real clock, in a [`Bridge`] or
//! an [`Impaired`] device, the seed fixes the random decisions for the first packet, the second and
//! so on; it does not fix which packets these are nor how full the queue is.
//!
//! # Inspecting a run
//!
//! [`Network::capture`] writes the packets that a node sends and receives to a pcapng file,
//! [`Network::on_packet`] passes every packet to a closure, [`Network::link`] gives a link's
//! counters, and [`Network::stack`] gives access to an engine and its connections. For devices,
//! millstream's `Capture` writes the pcapng file.
//!
//! # The order of the mechanisms
//!
//! A packet passes, in this order: the MTU, the thinning of acknowledgments, the queue with its ECN
//! threshold, the transmitter with its rate, a cut, loss, corruption, displacement, duplication,
//! delay with jitter. [`LinkStats`] counts the effects of each. A link is one direction: two links,
//! which may differ, make a path in both directions.
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

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
    AckThinning, Corruption, Displacement, GilbertElliott, Jitter, Link, LinkConfig, LinkStats,
    MtuLimit, Schedule,
};
pub use crate::network::{HostId, LinkId, Network, NodeId, Passing, RouterId};
pub use crate::seed::Seed;
pub use millstream_engine::Instant;
