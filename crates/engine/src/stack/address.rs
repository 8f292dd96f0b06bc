//! Which addresses are ours, which cannot be true, and which to use for a destination.

use std::net::{IpAddr, Ipv4Addr};

use super::Stack;
use crate::error::DropReason;
use crate::transmit::Transmit;

/// Where a packet comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Device,
    Ourselves,
}

impl Stack {
    pub(super) fn is_local(&self, ip: IpAddr) -> bool {
        self.config.addresses.iter().any(|own| own.address == ip)
    }

    /// RFC 9293 MUST-57 and MUST-63, RFC 1122 3.2.1.3: whether a packet from `src` to `dst` may be believed.
    pub(super) fn check_addresses(
        &self,
        src: IpAddr,
        dst: IpAddr,
        from: Source,
    ) -> Result<(), DropReason> {
        if !self.is_local(dst) {
            if !self.is_single_host(dst) {
                return Err(DropReason::InvalidAddress);
            }
            if !self.attempts.are_possible() || dst.is_loopback() {
                return Err(DropReason::NotForUs);
            }
        }
        if from == Source::Ourselves {
            return Ok(());
        }
        if src == dst {
            return Err(DropReason::Land);
        }
        // From the device nothing can come from ourselves, nor from a loopback address.
        if !self.is_single_host(src) || src.is_loopback() || self.is_local(src) {
            return Err(DropReason::InvalidAddress);
        }
        Ok(())
    }

    /// Whether `ip` names one host: not unspecified, multicast or broadcast.
    pub(super) fn is_single_host(&self, ip: IpAddr) -> bool {
        let directed = self
            .config
            .addresses
            .iter()
            .any(|own| own.broadcast() == Some(ip));
        !(ip.is_unspecified()
            || ip.is_multicast()
            || ip == IpAddr::V4(Ipv4Addr::BROADCAST)
            || directed)
    }

    /// Whether a route leads to `ip`.
    pub(super) fn is_routed(&self, ip: IpAddr) -> bool {
        let routes = &self.config.routes;
        routes.is_empty()
            || self.is_local(ip)
            || routes.iter().any(|route| route.contains(ip))
            || self.config.addresses.iter().any(|own| own.contains(ip))
    }

    /// The address to use toward `remote` (RFC 9293 MUST-44): `remote` itself if it is ours, else one in
    /// its network, else any of its family.
    pub(super) fn source_for(&self, remote: IpAddr) -> Option<IpAddr> {
        let own = &self.config.addresses;
        let family = || {
            own.iter()
                .filter(|own| own.address.is_ipv4() == remote.is_ipv4())
        };
        family()
            .find(|own| own.address == remote)
            .or_else(|| family().find(|own| own.contains(remote)))
            .or_else(|| family().next())
            .map(|own| own.address)
    }

    /// Whether a packet of ours is for one of our own addresses, and must not reach the device.
    pub(super) fn is_to_ourselves(&self, out: &Transmit) -> bool {
        let header = out.header();
        let is = |bytes: &[u8], own: IpAddr| match own {
            IpAddr::V4(own) => bytes == own.octets(),
            IpAddr::V6(own) => bytes == own.octets(),
        };
        let destination = match header.first().map(|byte| byte >> 4) {
            Some(4) => header.get(16..20),
            _ => header.get(24..40),
        };
        destination.is_some_and(|bytes| {
            self.config
                .addresses
                .iter()
                .any(|own| is(bytes, own.address))
        })
    }
}
