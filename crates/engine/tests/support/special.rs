//! The special-purpose addresses of RFC 6890 and its registries, and whether a packet from the wire
//! may have them.

/// A range of addresses, and the treatment of packets that have one of them.
pub(crate) struct Special {
    pub(crate) range: &'static str,
    pub(crate) address: &'static str,
    /// Whether a packet from the range is accepted.
    pub(crate) source: bool,
    /// Whether a listener on every address accepts a packet to the range.
    pub(crate) destination: bool,
    /// The same two answers of Linux, if it is configured to own every address.
    pub(crate) linux: (bool, bool),
}

const fn row(
    range: &'static str,
    address: &'static str,
    (source, destination): (bool, bool),
    linux: (bool, bool),
) -> Special {
    Special {
        range,
        address,
        source,
        destination,
        linux,
    }
}

const BOTH: (bool, bool) = (true, true);
const NONE: (bool, bool) = (false, false);

pub(crate) const SPECIAL: &[Special] = &[
    row("this host on this network", "0.0.0.0", NONE, NONE),
    row("the rest of 0.0.0.0/8", "0.1.2.3", NONE, BOTH),
    row("private use, 10/8", "10.9.9.9", BOTH, BOTH),
    row("our network's own address", "10.0.0.0", BOTH, BOTH),
    row(
        "our network's broadcast address",
        "10.0.0.255",
        NONE,
        (true, false),
    ),
    row("shared address space, 100.64/10", "100.64.0.9", BOTH, BOTH),
    row("loopback, 127/8", "127.0.0.1", NONE, NONE),
    row("the rest of 127/8", "127.9.9.9", NONE, NONE),
    row("link-local, 169.254/16", "169.254.1.2", BOTH, BOTH),
    row("private use, 172.16/12", "172.16.0.9", BOTH, BOTH),
    row("protocol assignments, 192.0.0/24", "192.0.0.9", BOTH, BOTH),
    row("documentation, 192.0.2/24", "192.0.2.9", BOTH, BOTH),
    row(
        "6to4 relay anycast, 192.88.99/24",
        "192.88.99.1",
        BOTH,
        BOTH,
    ),
    row("private use, 192.168/16", "192.168.0.9", BOTH, BOTH),
    row("benchmarking, 198.18/15", "198.18.0.9", BOTH, BOTH),
    row("documentation, 198.51.100/24", "198.51.100.9", BOTH, BOTH),
    row("documentation, 203.0.113/24", "203.0.113.9", BOTH, BOTH),
    row("multicast, 224/4", "224.0.0.1", NONE, NONE),
    row(
        "multicast, administratively scoped",
        "239.1.2.3",
        NONE,
        NONE,
    ),
    row("reserved, 240/4", "240.1.2.3", NONE, BOTH),
    row("limited broadcast", "255.255.255.255", NONE, NONE),
    row("unspecified", "::", NONE, BOTH),
    row("loopback", "::1", NONE, NONE),
    row("IPv4-compatible, deprecated", "::10.0.0.7", BOTH, BOTH),
    row("IPv4-mapped loopback", "::ffff:127.0.0.1", NONE, NONE),
    row("IPv4-mapped unspecified", "::ffff:0.0.0.0", NONE, NONE),
    row("IPv4-mapped multicast", "::ffff:224.0.0.1", NONE, NONE),
    row("IPv4-mapped", "::ffff:10.0.0.7", NONE, NONE),
    row("translation, 64:ff9b::/96", "64:ff9b::a00:7", BOTH, BOTH),
    row(
        "local translation, 64:ff9b:1::/48",
        "64:ff9b:1::7",
        BOTH,
        BOTH,
    ),
    row("discard only, 100::/64", "100::7", BOTH, BOTH),
    row("Teredo, 2001::/32", "2001::7", BOTH, BOTH),
    row("benchmarking, 2001:2::/48", "2001:2::7", BOTH, BOTH),
    row("ORCHIDv2, 2001:20::/28", "2001:20::7", BOTH, BOTH),
    row("documentation, 2001:db8::/32", "2001:db8::7", BOTH, BOTH),
    row("6to4, 2002::/16", "2002:a00:7::1", BOTH, BOTH),
    row("documentation, 3fff::/20", "3fff::7", BOTH, BOTH),
    row("segment routing, 5f00::/16", "5f00::7", BOTH, BOTH),
    row("unique local, fc00::/7", "fd00::7", BOTH, BOTH),
    row("link-local, fe80::/10", "fe80::7", BOTH, BOTH),
    row("site-local, deprecated", "fec0::7", BOTH, BOTH),
    row("multicast, this interface", "ff01::1", NONE, NONE),
    row("multicast, this link", "ff02::1", NONE, NONE),
    row("multicast, everywhere", "ff0e::7", NONE, NONE),
];
