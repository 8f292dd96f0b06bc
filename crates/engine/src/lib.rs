//! The protocol engine of millstream: TCP (RFC 9293), UDP (RFC 768), IPv4, IPv6 and ICMP without
//! input or output.
//!
//! [`Stack`] takes packets and the time, and returns packets, events and the time of the next call.
//! It owns no socket, clock, thread or source of randomness, so that the same calls with the same
//! seed always give the same packets.
#![forbid(unsafe_code)]
// No packet may bring a stack down. Calls that cannot fail for another reason state it in place.
// Files that calculate with values from a peer have an additional lint for arithmetic.
#![cfg_attr(
    not(test),
    warn(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

mod cidr;
#[macro_use]
mod config;
pub mod congestion;
mod error;
mod event;
mod host;
mod id;
mod ip;
mod memory;
mod read;
mod stats;
mod table;
mod tcp;
mod time;
mod timer;
mod transmit;
mod tuple;
mod udp;

pub use crate::cidr::Cidr;
pub use crate::config::limits::InvalidOption;
pub use crate::config::{
    Config, ConnectionOptions, EcnMode, Fragmentation, Keepalive, ListenOptions, MemoryPool,
    MtuProbing, Offload, QueueLen, Route, Share, SocketOptions, SynCookies, UdpOptions,
};
pub use crate::congestion::{CongestionControl, UnknownCongestionControl};
pub use crate::error::{
    BindError, ConnectError, ConnectionError, DropReason, ListenError, MembershipError, UdpError,
    UdpSendError, WriteError,
};
pub use crate::event::{Event, Readiness};
pub use crate::host::{
    Accepted, Admission, Attempt, Binding, Misdirected, RxChecksum, SocketSummary, Stack,
};
pub use crate::id::{AttemptId, ConnectionId, ListenerId, UdpId};
pub use crate::memory::Pressure;
pub use crate::read::Read;
pub use crate::stats::Counters;
pub use crate::tcp::info::{CaState, TcpInfo};
pub use crate::tcp::observer::{OnTransition, Transition};
pub use crate::tcp::state::{Arrow, State, Stimulus, TRANSITIONS};
pub use crate::time::Instant;
pub use crate::timer::wheel::{TimerId, Wheel};
pub use crate::transmit::{PartialChecksum, Transmit};
pub use crate::udp::message::UdpSend;
pub use crate::udp::receive::UdpDatagram;
