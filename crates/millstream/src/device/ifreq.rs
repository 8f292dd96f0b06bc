//! The ioctls that create a TUN interface with offloads and configure it (netdevice(7), and the
//! kernel's `if_tun.h`).
#![expect(
    unsafe_code,
    reason = "no safe call exists for these ioctls; each passes memory of the size that the kernel expects"
)]

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::ioctl::{IntegerSetter, Opcode, Setter, Updater, ioctl};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

const TUNSETIFF: Opcode = rustix::ioctl::opcode::write::<i32>(b'T', 202);
const TUNSETOFFLOAD: Opcode = rustix::ioctl::opcode::write::<u32>(b'T', 208);
const TUNSETVNETHDRSZ: Opcode = rustix::ioctl::opcode::write::<i32>(b'T', 216);
const SIOCGIFFLAGS: Opcode = 0x8913;
const SIOCSIFFLAGS: Opcode = 0x8914;
const SIOCSIFADDR: Opcode = 0x8916;
const SIOCSIFNETMASK: Opcode = 0x891c;
const SIOCGIFMTU: Opcode = 0x8921;
const SIOCSIFMTU: Opcode = 0x8922;
const SIOCGIFINDEX: Opcode = 0x8933;
const SIOCGIFTXQLEN: Opcode = 0x8942;
const SIOCSIFTXQLEN: Opcode = 0x8943;

const IFF_UP: u16 = 0x1;
/// A TUN interface without the kernel's own packet header.
const IFF_TUN_NO_PI: u16 = 0x0001 | 0x1000;
/// With the virtio-net header.
const IFF_VNET_HDR: u16 = 0x4000;
const IFF_MULTI_QUEUE: u16 = 0x0100;

/// The peer of the interface completes checksums.
const TUN_F_CSUM: usize = 0x01;
/// The peer accepts TCP super-segments: over IPv4, over IPv6, and with CWR set.
const TUN_F_TSO: usize = 0x02 | 0x04 | 0x08;
/// The peer accepts sequences of equal UDP datagrams, over IPv4 and IPv6 (since Linux 6.2).
const TUN_F_USO: usize = 0x20 | 0x40;

const AF_INET: u16 = 2;

/// `struct ifreq`: a name, and a union whose members are at most 24 bytes long.
#[repr(C)]
struct IfReq {
    name: [u8; 16],
    value: [u8; 24],
}

impl IfReq {
    fn new(name: &str) -> io::Result<Self> {
        let mut request = Self {
            name: [0; 16],
            value: [0; 24],
        };
        // The last byte stays NUL.
        let place = request.name[..15].get_mut(..name.len());
        let place = place.ok_or(io::ErrorKind::InvalidInput)?;
        place.copy_from_slice(name.as_bytes());
        Ok(request)
    }

    fn put(&mut self, bytes: &[u8]) {
        self.value[..bytes.len()].copy_from_slice(bytes);
    }

    fn name(&self) -> String {
        let len = self.name.iter().position(|&byte| byte == 0).unwrap_or(16);
        String::from_utf8_lossy(&self.name[..len]).into_owned()
    }
}

/// Opens one queue of the interface `name`, creating the interface if it does not exist, with or
/// without the virtio-net header of 10 bytes before every frame. An empty name lets the kernel
/// choose. Returns the interface's name.
pub(super) fn open_queue(
    name: &str,
    multi_queue: bool,
    has_header: bool,
) -> io::Result<(OwnedFd, String)> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::open("/dev/net/tun", flags, Mode::empty())?;
    let mut request = IfReq::new(name)?;
    let queue = if multi_queue { IFF_MULTI_QUEUE } else { 0 };
    let header = if has_header { IFF_VNET_HDR } else { 0 };
    request.put(&(IFF_TUN_NO_PI | queue | header).to_ne_bytes());
    // SAFETY: TUNSETIFF reads and writes a `struct ifreq`.
    unsafe { ioctl(&fd, Updater::<TUNSETIFF, IfReq>::new(&mut request)) }?;
    if has_header {
        let len: i32 = millstream_wire::virtio_net::Header::LEN as i32;
        // SAFETY: TUNSETVNETHDRSZ reads an int.
        unsafe { ioctl(&fd, Setter::<TUNSETVNETHDRSZ, i32>::new(len)) }?;
    }
    Ok((fd, request.name()))
}

/// Work on packets that is left to the device that transmits them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Offloads {
    /// Completing TCP checksums.
    pub checksum: bool,
    /// Cutting TCP super-segments of up to 64 KiB into packets.
    pub segmentation: bool,
    /// Cutting sequences of equal UDP datagrams into packets.
    pub datagrams: bool,
}

/// Makes the queue, which has virtio-net headers, deliver as much as the kernel permits:
/// super-segments and incomplete checksums, or only the latter, or neither.
pub(super) fn enable_offloads(queue: impl AsFd) -> Offloads {
    // A kernel that can deliver such sequences can cut ours. It is not to deliver them.
    let datagrams = set_offloads(&queue, TUN_F_CSUM | TUN_F_USO).is_ok();
    let segmentation = set_offloads(&queue, TUN_F_CSUM | TUN_F_TSO).is_ok();
    Offloads {
        datagrams: datagrams && segmentation,
        segmentation,
        checksum: segmentation || set_offloads(&queue, TUN_F_CSUM).is_ok(),
    }
}

/// Makes the queue deliver complete packets. Offloads requested by an earlier owner of the
/// interface belong to the interface, not to its descriptor, and would otherwise persist.
pub(super) fn disable_offloads(queue: impl AsFd) -> io::Result<()> {
    set_offloads(&queue, 0)
}

fn set_offloads(queue: impl AsFd, offloads: usize) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes its argument by value.
    let set = unsafe { IntegerSetter::<TUNSETOFFLOAD>::new_usize(offloads) };
    // SAFETY: as above.
    Ok(unsafe { ioctl(&queue, set) }?)
}

/// Configures an interface by name.
#[derive(Debug)]
pub(super) struct Interface {
    socket: OwnedFd,
    name: String,
}

impl Interface {
    pub(super) fn new(name: String) -> io::Result<Self> {
        let socket = rustix::net::socket_with(
            AddressFamily::INET,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok(Self { socket, name })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn index(&self) -> io::Result<u32> {
        self.number::<SIOCGIFINDEX, u32>()
    }

    /// The maximum number of packets that the kernel keeps for each queue of the interface.
    pub(super) fn queue_len(&self) -> io::Result<usize> {
        self.number::<SIOCGIFTXQLEN, usize>()
    }

    pub(super) fn set_queue_len(&self, packets: i32) -> io::Result<()> {
        self.call::<SIOCSIFTXQLEN>(&packets.to_ne_bytes())?;
        Ok(())
    }

    fn call<const REQUEST: Opcode>(&self, value: &[u8]) -> io::Result<[u8; 24]> {
        let mut request = IfReq::new(&self.name)?;
        request.put(value);
        // SAFETY: all of these requests read and write a `struct ifreq`.
        unsafe { ioctl(&self.socket, Updater::<REQUEST, IfReq>::new(&mut request)) }?;
        Ok(request.value)
    }

    /// The kernel's answer to a request, as an integer.
    fn number<const REQUEST: Opcode, N: TryFrom<i32>>(&self) -> io::Result<N> {
        let [a, b, c, d, ..] = self.call::<REQUEST>(&[])?;
        let number = i32::from_ne_bytes([a, b, c, d]);
        N::try_from(number).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    pub(super) fn mtu(&self) -> io::Result<usize> {
        self.number::<SIOCGIFMTU, usize>()
    }

    pub(super) fn set_mtu(&self, mtu: i32) -> io::Result<()> {
        self.call::<SIOCSIFMTU>(&mtu.to_ne_bytes())?;
        Ok(())
    }

    pub(super) fn set_address(&self, address: Ipv4Addr, netmask: Ipv4Addr) -> io::Result<()> {
        self.call::<SIOCSIFADDR>(&sockaddr(address))?;
        self.call::<SIOCSIFNETMASK>(&sockaddr(netmask))?;
        Ok(())
    }

    pub(super) fn up(&self) -> io::Result<()> {
        let [a, b, ..] = self.call::<SIOCGIFFLAGS>(&[])?;
        let flags = u16::from_ne_bytes([a, b]) | IFF_UP;
        self.call::<SIOCSIFFLAGS>(&flags.to_ne_bytes())?;
        Ok(())
    }
}

/// `struct sockaddr_in` without a port.
fn sockaddr(address: Ipv4Addr) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&AF_INET.to_ne_bytes());
    bytes[4..8].copy_from_slice(&address.octets());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_or_are_refused() {
        assert_eq!(IfReq::new("mill0").expect("fits").name(), "mill0");
        assert_eq!(IfReq::new("").expect("fits").name(), "");
        assert!(IfReq::new("a-name-of-16-byt").is_err());
    }

    #[test]
    fn request_numbers_are_those_of_the_kernel() {
        assert_eq!(
            [TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ],
            [0x4004_54ca, 0x4004_54d0, 0x4004_54d8]
        );
        assert_eq!(size_of::<IfReq>(), 40);
    }
}
