//! The Internet layer (RFC 791, RFC 8200) as data and rules: kinds of addresses, datagrams and the
//! reassembly of fragments, limits of ICMP, and the path MTU of each destination. `host` applies
//! them.

pub(crate) mod address;
pub(crate) mod datagram;
pub(crate) mod fields;
pub(crate) mod groups;
pub(crate) mod icmp_limits;
pub(crate) mod path_mtu;
pub(crate) mod reassembly;
pub(crate) mod replies;
pub(crate) mod route_table;
pub(crate) mod source_address;
