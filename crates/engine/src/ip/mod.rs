//! The Internet layer of this host (RFC 791, RFC 8200): its addresses, the reassembly
//! of fragments, ICMP, and the path MTU of each destination.

pub(crate) mod address;
pub(crate) mod fields;
pub(crate) mod groups;
pub(crate) mod icmp;
pub(crate) mod icmp_limits;
pub(crate) mod path_mtu;
pub(crate) mod reassembly;
pub(crate) mod route;
pub(crate) mod source_address;
