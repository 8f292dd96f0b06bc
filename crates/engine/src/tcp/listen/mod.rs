//! Passive opens (RFC 9293 3.10.7.2): listeners, their half-open connections, SYN cookies, and the
//! attempts at a listener for every address.

pub(crate) mod attempt;
pub(crate) mod cookie;
pub(crate) mod half_open;
pub(crate) mod listener;
pub(crate) mod networks;
