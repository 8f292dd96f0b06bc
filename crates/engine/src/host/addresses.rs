//! The addresses of this stack: which packets are for it, and which may not exist.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Stack;
use crate::error::DropReason;
use crate::ip::address::{Kind, Source};
use crate::ip::source_address;
use crate::transmit::Transmit;

impl Stack {
    /// Whether `ip` denotes this stack: one of its addresses, or any loopback address, as on Linux.
    pub(crate) fn is_local(&self, ip: IpAddr) -> bool {
        self.is_configured(ip) || Kind::of(ip) == Kind::Loopback
    }

    /// Whether `dst`, the destination of a packet, is another host, for which only a listener of
    /// every address takes connections. The packet is then counted.
    pub(crate) fn is_for_another(&mut self, dst: IpAddr) -> bool {
        let another = !self.is_local(dst);
        if another {
            self.counters.count_drop(DropReason::NotForUs);
        }
        another
    }

    fn is_configured(&self, ip: IpAddr) -> bool {
        self.config.addresses.iter().any(|own| own.address == ip)
    }

    /// RFC 9293 MUST-57 and MUST-63: checks whether a packet from `src` to `dst` is acceptable.
    pub(crate) fn check_addresses(
        &self,
        src: IpAddr,
        dst: IpAddr,
        from: Source,
    ) -> Result<(), DropReason> {
        self.check_destination(dst, from)?;
        self.check_source(src, dst, from)
    }

    /// Checks whether `dst` is a valid destination: an own address, or any address that can appear
    /// on a wire if there is a listener for every address.
    fn check_destination(&self, dst: IpAddr, from: Source) -> Result<(), DropReason> {
        match self.kind(dst) {
            Kind::Loopback if from == Source::Ourselves => Ok(()),
            Kind::Loopback => Err(DropReason::InvalidAddress),
            _ if self.is_configured(dst) => Ok(()),
            Kind::Host if self.attempts.are_possible() => Ok(()),
            Kind::Host => Err(DropReason::NotForUs),
            _ => Err(DropReason::InvalidAddress),
        }
    }

    /// Checks whether `src` is a valid source: from the device, any single host other than this
    /// one.
    fn check_source(&self, src: IpAddr, dst: IpAddr, from: Source) -> Result<(), DropReason> {
        if from == Source::Ourselves {
            return Ok(());
        }
        if src == dst {
            return Err(DropReason::Land);
        }
        if self.kind(src) != Kind::Host || self.is_configured(src) {
            return Err(DropReason::InvalidAddress);
        }
        Ok(())
    }

    /// The kind of `ip` on the stack's networks, each of which has its own broadcast address.
    pub(crate) fn kind(&self, ip: IpAddr) -> Kind {
        let own = &self.config.addresses;
        match Kind::of(ip) {
            Kind::Host if own.iter().any(|own| own.broadcast() == Some(ip)) => Kind::Broadcast,
            kind => kind,
        }
    }

    /// The address to use toward `remote`, if the application has chosen none.
    pub(crate) fn source_for(&self, remote: IpAddr) -> Option<IpAddr> {
        source_address::source_for(&self.config.addresses, remote)
    }

    /// The destination that a program means by `ip`: an unspecified address means the host itself,
    /// as on Linux. `bound` is the socket's own address.
    pub(crate) fn meant_by(ip: IpAddr, bound: Option<IpAddr>) -> IpAddr {
        match (ip.to_canonical(), bound) {
            (IpAddr::V4(Ipv4Addr::UNSPECIFIED), Some(own @ IpAddr::V4(_)))
                if !own.is_unspecified() =>
            {
                own
            }
            (IpAddr::V4(Ipv4Addr::UNSPECIFIED), _) => Ipv4Addr::LOCALHOST.into(),
            (IpAddr::V6(Ipv6Addr::UNSPECIFIED), _) => Ipv6Addr::LOCALHOST.into(),
            (ip, _) => ip,
        }
    }

    /// Whether an outgoing packet is for this stack itself and must not reach the device.
    pub(crate) fn is_to_ourselves(&self, out: &Transmit) -> bool {
        let header = out.header();
        let destination = match header.first().map(|byte| byte >> 4) {
            Some(4) => octets::<4>(header, 16).map(IpAddr::from),
            _ => octets::<16>(header, 24).map(IpAddr::from),
        };
        destination.is_some_and(|ip| self.is_local(ip))
    }
}

fn octets<const N: usize>(header: &[u8], at: usize) -> Option<[u8; N]> {
    header.get(at..)?.first_chunk().copied()
}
