//! Bad links for tests: slow, long, lossy, reordering, corrupting, congested, cut.
//!
//! A link is described once, by a [`LinkConfig`] and, if it changes, a [`Schedule`]. Then it is used where the test is:
//!
//! | between | with | time |
//! |---|---|---|
//! | engines, routers | [`Network`] | virtual, exact |
//! | stacks for tokio | [`Impaired`], [`device::pair`] | the runtime's, paused or real, in milliseconds |
//! | kernels, or a kernel and a stack | [`Bridge`] | real, a fraction of a millisecond |
//! | anything that has packets | [`Link`] | the caller's |
//!
//! # A first test
//!
//! Two engines, a link that loses every fiftieth packet, and a megabyte that must arrive. Nothing here takes real time.
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
//! let config = |address: [u8; 4]| Config {
//!     addresses: vec![Cidr::new(address.into(), 24)],
//!     ..Config::default()
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
//! // Between events, both applications do what they can.
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
//! All chance comes from one number. A test that panics prints it:
//!
//! ```text
//! the network's seed was 0x9e3779b97f4a7c15 (NETSIM_SEED=0x9e3779b97f4a7c15)
//! ```
//!
//! [`Network::new`] with that number replays the failure to the last packet, on any machine; so does running a test that
//! uses [`Seed::from_env`] with `NETSIM_SEED` set to it. A test that runs many seeds in a loop prints the one that
//! failed. On a real clock, in a [`Bridge`] or an [`Impaired`] device, the seed decides what chance does to the first packet, the
//! second and so on; which packets these are and how full they find the queue is not up to it.
//!
//! # Looking at what happened
//!
//! [`Network::capture`] writes what a node sends and gets to a pcapng file, [`Network::on_packet`] shows every packet to a closure,
//! [`Network::link`] gives a link's counters, and [`Network::stack`] what an engine knows of a connection. Between devices
//! millstream's `Capture` does the first.
//!
//! # What a packet meets
//!
//! In this order: the MTU, the thinning of acknowledgments, the queue with its ECN threshold, the transmitter with its rate, a cut, loss, corruption,
//! displacement, duplication, delay with jitter. [`LinkStats`] counts each. A link is one direction: two of them, alike or not,
//! make a path there and back.
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
