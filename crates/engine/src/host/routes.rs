//! The destinations that the device reaches, and the attributes of routes for connections to them.

use std::net::IpAddr;
use std::sync::Arc;

use super::Stack;
use crate::config::{Route, SocketOptions};

impl Stack {
    /// Whether a route leads to `ip`.
    pub(crate) fn is_routed(&self, ip: IpAddr) -> bool {
        self.config.routes.is_empty()
            || self.is_local(ip)
            || self.route_to(ip).is_some()
            || self.config.addresses.iter().any(|own| own.contains(ip))
    }

    /// The options of a connection to `ip`: those of its socket, with the attributes of the route.
    pub(crate) fn options_toward(
        &self,
        ip: IpAddr,
        options: Arc<SocketOptions>,
    ) -> Arc<SocketOptions> {
        let min_rto = self.route_to(ip).and_then(|route| route.min_rto);
        match min_rto {
            Some(min_rto) if min_rto != options.min_rto => {
                // The route must not make the maximum timeout smaller than the minimum.
                let max_rto = options.max_rto.max(min_rto);
                let options = SocketOptions::clone(&options);
                Arc::new(options.min_rto(min_rto).max_rto(max_rto))
            }
            _ => options,
        }
    }

    /// The route with the longest prefix.
    fn route_to(&self, ip: IpAddr) -> Option<&Route> {
        self.config.routes.get(self.routes.find(ip)?)
    }
}
