//! Safe wrappers for lwIP and its shim (`lwip/shim.c`): an interface and sockets.
#![expect(unsafe_code, reason = "lwIP is a library in C")]

use std::ffi::{c_int, c_void};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};
use std::sync::Once;

/// `struct lwip_peer` of the shim.
#[repr(C)]
struct Attached {
    _opaque: [u8; 0],
}

/// `SHUT_WR` of `sys/socket.h`.
const SHUT_WR: c_int = 1;

// SAFETY: these are the declarations of `lwip/shim.c` and of Debian's `posix/sockets.h`.
unsafe extern "C" {
    fn lwip_peer_init();
    fn lwip_peer_attach(tun: c_int, address: u32, netmask: u32, mtu: u16) -> *mut Attached;
    fn lwip_peer_input(peer: *mut Attached, bytes: *const c_void, length: u16);
    fn lwip_peer_detach(peer: *mut Attached);
    fn lwip_peer_listen(address: u32, port: u16) -> c_int;
    fn lwip_peer_connect(address: u32, port: u16) -> c_int;
    fn lwip_accept(socket: c_int, name: *mut c_void, length: *mut u32) -> c_int;
    fn lwip_recv(socket: c_int, bytes: *mut c_void, length: usize, flags: c_int) -> isize;
    fn lwip_send(socket: c_int, bytes: *const c_void, length: usize, flags: c_int) -> isize;
    fn lwip_shutdown(socket: c_int, how: c_int) -> c_int;
    fn lwip_close(socket: c_int) -> c_int;
}

/// Starts lwIP, which can exist only once in a process.
fn init() {
    static STARTED: Once = Once::new();
    // SAFETY: it is called once.
    STARTED.call_once(|| unsafe { lwip_peer_init() });
}

/// An IPv4 address in network byte order, as C expects it.
fn in_network_order(address: Ipv4Addr) -> u32 {
    u32::from_ne_bytes(address.octets())
}

/// lwIP's side of a TUN interface. Dropping it aborts the connections of its address.
pub(crate) struct Interface<T> {
    attached: NonNull<Attached>,
    tun: T,
}

// SAFETY: the shim touches what `attached` points to only under lwIP's lock.
unsafe impl<T: Send> Send for Interface<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Interface<T> {}

impl<T: AsRawFd> Interface<T> {
    /// Makes lwIP send the packets of `address`, at most `mtu` bytes each, to the TUN interface.
    ///
    /// # Errors
    /// If lwIP has no room for another interface.
    pub(crate) fn attach(tun: T, address: Ipv4Addr, prefix: u8, mtu: u16) -> io::Result<Self> {
        init();
        let netmask = Ipv4Addr::from(u32::MAX << (32 - prefix));
        let (address, netmask) = (in_network_order(address), in_network_order(netmask));
        // SAFETY: lwIP is started, and the descriptor stays open until `detach`.
        let attached = unsafe { lwip_peer_attach(tun.as_raw_fd(), address, netmask, mtu) };
        let attached = NonNull::new(attached).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { attached, tun })
    }
}

impl<T> Interface<T> {
    /// Passes a packet from the TUN interface to lwIP.
    pub(crate) fn input(&self, packet: &[u8]) {
        // A longer buffer is not an IP packet.
        let Ok(length) = u16::try_from(packet.len()) else {
            return;
        };
        // SAFETY: the interface is attached, and `length` bytes are copied during the call.
        unsafe { lwip_peer_input(self.attached.as_ptr(), packet.as_ptr().cast(), length) };
    }

    /// The TUN interface.
    pub(crate) fn tun(&self) -> &T {
        &self.tun
    }
}

impl<T> Drop for Interface<T> {
    fn drop(&mut self) {
        // SAFETY: it is attached, there is no other reference to it, and `tun` is closed later.
        unsafe { lwip_peer_detach(self.attached.as_ptr()) };
    }
}

/// A socket. Its calls block; one thread may read while another writes.
pub(crate) struct Socket(c_int);

impl Socket {
    /// Creates a listening socket.
    ///
    /// # Errors
    /// The error from lwIP.
    pub(crate) fn listen(address: SocketAddrV4) -> io::Result<Self> {
        init();
        // SAFETY: lwIP is started.
        Self::new(unsafe { lwip_peer_listen(in_network_order(*address.ip()), address.port()) })
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// The error from lwIP, also if no connection arrives.
    pub(crate) fn accept(&self) -> io::Result<Self> {
        // SAFETY: the socket is open; null means that the peer's name is not wanted.
        Self::new(unsafe { lwip_accept(self.0, ptr::null_mut(), ptr::null_mut()) })
    }

    /// Connects to `address`.
    ///
    /// # Errors
    /// The error from lwIP.
    pub(crate) fn connect(address: SocketAddrV4) -> io::Result<Self> {
        init();
        // SAFETY: lwIP is started.
        Self::new(unsafe { lwip_peer_connect(in_network_order(*address.ip()), address.port()) })
    }

    /// Closes the writing direction, after all written data.
    ///
    /// # Errors
    /// The error from lwIP.
    pub(crate) fn shut_down(&self) -> io::Result<()> {
        // SAFETY: the socket is open.
        let status = unsafe { lwip_shutdown(self.0, SHUT_WR) };
        succeeded(status as isize).map(|_| ())
    }

    fn new(socket: c_int) -> io::Result<Self> {
        succeeded(socket as isize).map(|_| Self(socket))
    }
}

impl Read for &Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: the socket is open, and lwIP writes at most that many bytes to the buffer.
        succeeded(unsafe { lwip_recv(self.0, buffer.as_mut_ptr().cast(), buffer.len(), 0) })
    }
}

impl Write for &Socket {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        // SAFETY: the socket is open, and lwIP copies the bytes during the call.
        succeeded(unsafe { lwip_send(self.0, data.as_ptr().cast(), data.len(), 0) })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // SAFETY: the socket is open, and is not used afterwards. An error cannot be handled here.
        unsafe { lwip_close(self.0) };
    }
}

/// The return value of a call, or the error that it left in `errno`.
fn succeeded(returned: isize) -> io::Result<usize> {
    usize::try_from(returned).map_err(|_| io::Error::last_os_error())
}
