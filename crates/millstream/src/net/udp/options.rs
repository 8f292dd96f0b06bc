//! The options of a [`UdpSocket`], and its multicast groups.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use millstream_engine::{Instant, MembershipError, UdpId, UdpOptions};

use super::UdpSocket;
use crate::error::{IntoIo, no_device, not_connected};
use crate::net::options::{hop_limit, told};
use crate::shard::Core;

impl UdpSocket {
    /// Whether the socket may send to broadcast addresses (`SO_BROADCAST`).
    ///
    /// # Errors
    /// The stack has ended.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.option(|options| options.broadcast)
    }

    /// Sets `SO_BROADCAST`.
    ///
    /// # Errors
    /// The stack has ended.
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        self.set_options(|options| options.broadcast = on)
    }

    /// Whether members of a group on this stack receive what the socket sends to the group.
    ///
    /// # Errors
    /// The stack has ended.
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.option(|options| options.multicast_loop)
    }

    /// Sets `IP_MULTICAST_LOOP`; there is one setting for both families.
    ///
    /// # Errors
    /// The stack has ended.
    pub fn set_multicast_loop_v4(&self, on: bool) -> io::Result<()> {
        self.set_options(|options| options.multicast_loop = on)
    }

    /// As [`multicast_loop_v4`](Self::multicast_loop_v4), for IPv6.
    ///
    /// # Errors
    /// The stack has ended.
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.multicast_loop_v4()
    }

    /// As [`set_multicast_loop_v4`](Self::set_multicast_loop_v4), for IPv6.
    ///
    /// # Errors
    /// The stack has ended.
    pub fn set_multicast_loop_v6(&self, on: bool) -> io::Result<()> {
        self.set_multicast_loop_v4(on)
    }

    /// The time to live or hop limit of datagrams to groups.
    ///
    /// # Errors
    /// The stack has ended.
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        self.option(|options| options.multicast_hop_limit.into())
    }

    /// Sets the time to live or hop limit of datagrams to groups, from 0, which keeps them on this
    /// stack, to 255. The default is 1.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): out of range. The stack has ended.
    pub fn set_multicast_ttl_v4(&self, ttl: u32) -> io::Result<()> {
        let ttl = byte(ttl)?;
        self.set_options(|options| options.multicast_hop_limit = ttl)
    }

    /// The time to live (IPv4) or hop limit (IPv6) of datagrams to single hosts.
    ///
    /// # Errors
    /// The stack has ended.
    pub fn ttl(&self) -> io::Result<u32> {
        self.option(|options| options.hop_limit.into())
    }

    /// Sets the time to live, or hop limit: 1 to 255. `u32::MAX`, the kernel's -1, restores the
    /// default.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): out of range. The stack has ended.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let ttl = hop_limit(ttl, UdpOptions::default().hop_limit)?;
        self.set_options(|options| options.hop_limit = ttl)
    }

    /// The type-of-service byte of sent datagrams: DSCP and ECN.
    ///
    /// # Errors
    /// The stack has ended.
    pub fn tos_v4(&self) -> io::Result<u32> {
        self.option(|options| options.tos.into())
    }

    /// Sets the type-of-service byte, with a DSCP in the upper six bits (RFC 2474) and the ECN bits
    /// in the lower two (RFC 3168); there is one setting for both families.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): more than a byte. The stack has ended.
    pub fn set_tos_v4(&self, tos: u32) -> io::Result<()> {
        let tos = byte(tos)?;
        self.set_options(|options| options.tos = tos)
    }

    /// As [`tos_v4`](Self::tos_v4): the traffic class.
    ///
    /// # Errors
    /// The stack has ended.
    pub fn tclass_v6(&self) -> io::Result<u32> {
        self.tos_v4()
    }

    /// As [`set_tos_v4`](Self::set_tos_v4): the traffic class.
    ///
    /// # Errors
    /// As [`set_tos_v4`](Self::set_tos_v4).
    pub fn set_tclass_v6(&self, tclass: u32) -> io::Result<()> {
        self.set_tos_v4(tclass)
    }

    /// As [`tos_v4`](Self::tos_v4), by its older name.
    ///
    /// # Errors
    /// The stack has ended.
    pub fn tos(&self) -> io::Result<u32> {
        self.tos_v4()
    }

    /// As [`set_tos_v4`](Self::set_tos_v4), by its older name.
    ///
    /// # Errors
    /// As [`set_tos_v4`](Self::set_tos_v4).
    pub fn set_tos(&self, tos: u32) -> io::Result<()> {
        self.set_tos_v4(tos)
    }

    /// All options of the socket.
    ///
    /// # Errors
    /// The stack has ended.
    pub fn options(&self) -> io::Result<UdpOptions> {
        self.option(UdpOptions::clone)
    }

    /// Changes any of the options; those that count when a socket is bound change nothing.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): a value is invalid, and nothing was changed.
    /// The stack has ended.
    pub fn set_options(&self, change: impl FnOnce(&mut UdpOptions)) -> io::Result<()> {
        told(self.command(|core, _, id| core.engine.udp_set_options(id, change)))
    }

    /// The largest payload that reaches the peer of a connected socket in one packet, as far as
    /// routers have reported.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected). The stack has ended.
    pub fn max_payload(&self) -> io::Result<usize> {
        self.command(|core, now, id| core.engine.udp_max_payload(now, id))?
            .ok_or_else(not_connected)
    }

    /// Joins an IPv4 group. `interface` is the unspecified address, or an address of the stack.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): not a group.
    /// [`AddrInUse`](io::ErrorKind::AddrInUse): the socket is a member already. `ENODEV`: not an
    /// address of the stack. The stack has ended.
    pub fn join_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.check_interface(interface)?;
        self.join(multiaddr.into())
    }

    /// Joins an IPv6 group. `interface` is the index of an interface: 0 for any, or 1, the stack's
    /// only one.
    ///
    /// # Errors
    /// As [`join_multicast_v4`](Self::join_multicast_v4).
    pub fn join_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        check_index(interface)?;
        self.join((*multiaddr).into())
    }

    /// Leaves an IPv4 group.
    ///
    /// # Errors
    /// [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable): the socket is not a member. Otherwise
    /// as [`join_multicast_v4`](Self::join_multicast_v4).
    pub fn leave_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.check_interface(interface)?;
        self.leave(multiaddr.into())
    }

    /// Leaves an IPv6 group.
    ///
    /// # Errors
    /// As [`leave_multicast_v4`](Self::leave_multicast_v4).
    pub fn leave_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        check_index(interface)?;
        self.leave((*multiaddr).into())
    }

    fn join(&self, group: IpAddr) -> io::Result<()> {
        self.report(|core, now, id| core.engine.udp_join(now, id, group))
    }

    fn leave(&self, group: IpAddr) -> io::Result<()> {
        self.report(|core, now, id| core.engine.udp_leave(now, id, group))
    }

    /// Changes a membership, which routers are told.
    fn report(
        &self,
        change: impl FnOnce(&mut Core, Instant, UdpId) -> Result<(), MembershipError>,
    ) -> io::Result<()> {
        self.command(change)?.map_err(IntoIo::into_io)
    }

    fn check_interface(&self, interface: Ipv4Addr) -> io::Result<()> {
        let is_own = self.shard.inspect(|core| {
            let addresses = &core.engine.config().addresses;
            addresses
                .iter()
                .any(|own| own.address == IpAddr::V4(interface))
        });
        if interface.is_unspecified() || is_own {
            return Ok(());
        }
        Err(no_device())
    }

    fn option<R>(&self, read: impl FnOnce(&UdpOptions) -> R) -> io::Result<R> {
        self.ask(|core, id| core.engine.udp_options(id).map(read))
    }
}

fn check_index(interface: u32) -> io::Result<()> {
    if interface > 1 {
        return Err(no_device());
    }
    Ok(())
}

fn byte(value: u32) -> io::Result<u8> {
    u8::try_from(value)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a value from 0 to 255"))
}
