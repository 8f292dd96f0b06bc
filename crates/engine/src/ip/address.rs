//! The stack's own addresses, and the addresses that cannot appear in a packet (RFC 1122 3.2.1.3,
//! RFC 1812 5.3.7, RFC 4291, RFC 6890).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::error::DropReason;
use crate::host::Stack;
use crate::transmit::Transmit;

/// The origin of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Device,
    Ourselves,
}

/// The kind of an address, the same for all hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It may belong to one host.
    Host,
    /// The host itself, on any host: never on a wire (RFC 1122 3.2.1.3 (g), RFC 4291 2.5.3).
    Loopback,
    Unspecified,
    Multicast,
    /// All hosts of the link.
    Broadcast,
    /// Invalid in packets: the rest of 0.0.0.0/8 and of 240.0.0.0/4, and IPv4-mapped IPv6
    /// addresses, which denote IPv4 to the programs of one host (RFC 4291 2.5.5.2) and would be
    /// mistaken for that if they came from a wire.
    Reserved,
}

impl Kind {
    pub(crate) fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => match ip.octets()[0] {
                0 if ip.is_unspecified() => Self::Unspecified,
                0 => Self::Reserved,
                127 => Self::Loopback,
                224..=239 => Self::Multicast,
                240..=255 if ip.is_broadcast() => Self::Broadcast,
                240..=255 => Self::Reserved,
                _ => Self::Host,
            },
            IpAddr::V6(ip) if ip.is_multicast() => Self::Multicast,
            // All others begin with zeros.
            IpAddr::V6(ip) if ip.segments()[0] != 0 => Self::Host,
            IpAddr::V6(ip) if ip.is_unspecified() => Self::Unspecified,
            IpAddr::V6(ip) if ip.is_loopback() => Self::Loopback,
            IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => Self::Reserved,
            IpAddr::V6(_) => Self::Host,
        }
    }
}

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
