//! Destinations that can be reached through the device, and the attributes of the paths to them.

use std::time::Duration;

use crate::cidr::Cidr;

/// A network that can be reached through the device (RFC 1122 3.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Route {
    /// The destinations. If several routes contain a destination, the one with the longest prefix
    /// applies.
    pub destination: Cidr,
    /// Replaces [`SocketOptions::min_rto`](crate::SocketOptions::min_rto) for connections to these
    /// destinations (the attribute `rto_min` of Linux's routes).
    pub min_rto: Option<Duration>,
}

impl Route {
    /// Creates a route without attributes.
    #[must_use]
    pub const fn new(destination: Cidr) -> Self {
        Self {
            destination,
            min_rto: None,
        }
    }

    setters! {
        min_rto: Option<Duration>,
    }
}

impl From<Cidr> for Route {
    fn from(destination: Cidr) -> Self {
        Self::new(destination)
    }
}
