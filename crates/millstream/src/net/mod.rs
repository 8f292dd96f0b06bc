//! Sockets like those of `tokio::net`, and the handle of a stack.

pub(crate) mod any_listener;
#[cfg(feature = "axum")]
mod axum;
pub(crate) mod cidr;
pub(crate) mod connection;
pub(crate) mod listener;
pub(crate) mod listening;
mod options;
pub(crate) mod readiness;
pub(crate) mod scope;
pub(crate) mod socket;
pub(crate) mod split;
pub(crate) mod stack;
pub(crate) mod stream;
pub(crate) mod udp;
