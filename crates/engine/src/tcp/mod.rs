//! TCP (RFC 9293): listeners, connections, and the records that outlive connections.

pub(crate) mod autotune;
pub(crate) mod buffer;
pub(crate) mod challenge;
pub(crate) mod connection;
pub(crate) mod emit;
pub(crate) mod fin_wait_2;
pub(crate) mod info;
pub(crate) mod isn;
pub(crate) mod listen;
pub(crate) mod observer;
pub(crate) mod recovery;
pub(crate) mod replies;
pub(crate) mod segment;
pub(crate) mod state;
pub(crate) mod time_wait;
pub(crate) mod timestamps;
