//! The ports of UDP sockets: who may share one, and the choice of a free one.

use std::net::{IpAddr, SocketAddr};

use super::{Holders, PortTable};
use crate::tuple::FourTuple;

impl PortTable {
    /// Whether a UDP socket may be bound to `addr`. It may share the address with others only if all
    /// of them set `reuse`. With `v6_only`, the unspecified IPv6 address does not overlap IPv4.
    pub(crate) fn is_free_for_datagrams(
        &self,
        addr: SocketAddr,
        reuse: bool,
        v6_only: bool,
    ) -> bool {
        let mut holders = if v6_only && addr.ip().is_unspecified() {
            self.ports
                .get(&addr.port())
                .map_or_else(Holders::default, |port| port.v6)
        } else {
            self.overlapping(addr)
        };
        if addr.is_ipv4() {
            (holders.v6_sharing, holders.v6_exclusive) = (0, 0);
        }
        let sharing = holders.sharing + holders.v6_sharing;
        holders.exclusive + holders.v6_exclusive == 0 && (reuse || sharing == 0)
    }

    /// A port on which no UDP socket is bound to `address` or to an overlapping one. `fits` tells
    /// whether the port may be chosen at all.
    pub(crate) fn datagram_port(
        &mut self,
        address: IpAddr,
        v6_only: bool,
        fits: impl Fn(u16) -> bool,
    ) -> Option<u16> {
        let anywhere = FourTuple {
            local_ip: address,
            remote_ip: address,
            local_port: 0,
            remote_port: 0,
        };
        let start = self.random(&anywhere) as u32;
        let (port, _) = self.search(&anywhere, start, |table, port| {
            let addr = SocketAddr::new(address, port);
            fits(port) && table.is_free_for_datagrams(addr, false, v6_only)
        })?;
        Some(port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::ports::Hold;

    fn table() -> PortTable {
        PortTable::new(40_000..=40_003, [3; 16])
    }

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// What a UDP socket that is bound already leaves to another, as on Linux.
    #[test]
    fn udp_sockets_share_an_address_only_if_all_agree() {
        const DUAL: (&str, bool) = ("[::]:53", false);
        const V6: (&str, bool) = ("[::]:53", true);
        const V4: (&str, bool) = ("0.0.0.0:53", false);
        const HOST_V4: (&str, bool) = ("10.0.0.1:53", false);
        const HOST_V6: (&str, bool) = ("[fd00::1]:53", false);
        for (first, second, overlap) in [
            (DUAL, DUAL, true),
            (DUAL, V6, true),
            (DUAL, V4, true),
            (DUAL, HOST_V4, true),
            (DUAL, HOST_V6, true),
            (V6, V6, true),
            (V6, V4, false),
            (V6, HOST_V4, false),
            (V6, HOST_V6, true),
            (V4, HOST_V4, true),
            (V4, HOST_V6, false),
            (HOST_V4, HOST_V4, true),
            (HOST_V4, HOST_V6, false),
        ] {
            for (first, second) in [(first, second), (second, first)] {
                for (reuse, again) in [(false, false), (false, true), (true, false), (true, true)] {
                    let mut table = table();
                    let how = |reuse, v6_only| match v6_only {
                        true => Hold::V6Only { reuse },
                        false => Hold::Socket { reuse },
                    };
                    table.hold(addr(first.0), how(reuse, first.1));
                    let free = table.is_free_for_datagrams(addr(second.0), again, second.1);
                    let expected = !overlap || (reuse && again);
                    assert_eq!(free, expected, "{first:?} {reuse}, {second:?} {again}");
                    table.release(addr(first.0), how(reuse, first.1));
                    assert!(table.is_free_for_datagrams(addr(second.0), false, second.1));
                }
            }
        }
    }
}
