//! The four-tuple that identifies a connection on the wire.

use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};

use siphasher::sip::SipHasher13;

/// Addresses and ports of both ends. Smaller than two `SocketAddr`, because there may be a million
/// (RFC 9293 MUST-45).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FourTuple {
    pub(crate) local_ip: IpAddr,
    pub(crate) remote_ip: IpAddr,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
}

impl FourTuple {
    pub(crate) fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            local_ip: local.ip(),
            remote_ip: remote.ip(),
            local_port: local.port(),
            remote_port: remote.port(),
        }
    }

    pub(crate) fn local(&self) -> SocketAddr {
        SocketAddr::new(self.local_ip, self.local_port)
    }

    pub(crate) fn remote(&self) -> SocketAddr {
        SocketAddr::new(self.remote_ip, self.remote_port)
    }

    /// A keyed hash that outsiders cannot compute. `domain` separates the uses of one key.
    pub(crate) fn keyed_hash(&self, key: &[u8; 16], domain: u8) -> u64 {
        self.keyed_hash_with(key, domain, &[])
    }

    /// A keyed hash as [`keyed_hash`](Self::keyed_hash), over additional data.
    pub(crate) fn keyed_hash_with(&self, key: &[u8; 16], domain: u8, more: &[u32]) -> u64 {
        let mut hasher = SipHasher13::new_with_key(key);
        hasher.write_u8(domain);
        write_ip(&mut hasher, self.local_ip);
        write_ip(&mut hasher, self.remote_ip);
        hasher.write_u32(u32::from(self.local_port) << 16 | u32::from(self.remote_port));
        for &word in more {
            hasher.write_u32(word);
        }
        hasher.finish()
    }
}

fn write_ip(hasher: &mut SipHasher13, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => hasher.write_u32(ip.to_bits()),
        IpAddr::V6(ip) => hasher.write(&ip.octets()),
    }
}
