//! An IPv6 address for an interface, by rtnetlink (rtnetlink(7), RFC 3549).
//!
//! An ioctl could add the address too, but not at once: until duplicate address detection has run
//! in the background, the kernel does not use the address, and a connection that it opens in the
//! meantime fails. Only rtnetlink can skip the detection, which has no purpose on an interface
//! without neighbours.

use std::io;
use std::net::Ipv6Addr;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

const NLMSG_ERROR: u16 = 2;
const RTM_NEWADDR: u16 = 20;
/// A request, to be acknowledged, for an object that must not exist yet.
const FLAGS: u16 = 0x1 | 0x4 | 0x200 | 0x400;
const HEADER_LEN: usize = 16;

const AF_INET6: u8 = 10;
/// The address is usable without duplicate address detection.
const IFA_F_NODAD: u8 = 0x02;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// Adds an address to the interface, unless it has the address. The kernel uses it at once.
pub(super) fn add_address(interface: u32, address: Ipv6Addr, prefix: u8) -> io::Result<()> {
    // Protocol number zero is NETLINK_ROUTE.
    let protocol = None;
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        protocol,
    )?;
    rustix::net::send(
        &socket,
        &new_address(interface, address, prefix),
        SendFlags::empty(),
    )?;
    let mut answer = [0; 1024];
    let (len, _) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty())?;
    match error_of(answer.get(..len).unwrap_or_default()) {
        Some(0) => Ok(()),
        Some(code) if code == Errno::EXIST.raw_os_error() => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The message: a `struct nlmsghdr`, a `struct ifaddrmsg` and two attributes.
fn new_address(interface: u32, address: Ipv6Addr, prefix: u8) -> Vec<u8> {
    let mut body = vec![AF_INET6, prefix, IFA_F_NODAD, 0];
    body.extend(interface.to_ne_bytes());
    for attribute in [IFA_LOCAL, IFA_ADDRESS] {
        body.extend(20u16.to_ne_bytes());
        body.extend(attribute.to_ne_bytes());
        body.extend(address.octets());
    }
    let len = (HEADER_LEN + body.len()) as u32;
    let mut message = len.to_ne_bytes().to_vec();
    message.extend(RTM_NEWADDR.to_ne_bytes());
    message.extend(FLAGS.to_ne_bytes());
    // The sequence number and the port, which the kernel does not need.
    message.extend([0; 8]);
    message.extend(body);
    message
}

/// The error number in an acknowledgment, zero if there was none.
fn error_of(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let negative = i32::from_ne_bytes(answer.get(HEADER_LEN..)?.get(..4)?.try_into().ok()?);
    (kind == NLMSG_ERROR).then_some(negative.checked_neg()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_has_the_lengths_that_it_states() {
        let message = new_address(3, "fd88::1".parse().expect("an address"), 64);
        assert_eq!(message.len(), 16 + 8 + 2 * 20);
        assert_eq!(message[..4], 64u32.to_ne_bytes());
        assert_eq!(message[16..24], [10, 64, 2, 0, 3, 0, 0, 0]);
        assert_eq!(message[24..28], [20, 0, 2, 0]);
        assert_eq!(message[44..48], [20, 0, 1, 0]);
    }

    #[test]
    fn an_acknowledgment_has_an_error_number() {
        let mut answer = [0; 36];
        answer[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
        assert_eq!(error_of(&answer), Some(0));
        answer[16..20].copy_from_slice(&(-17i32).to_ne_bytes());
        assert_eq!(error_of(&answer), Some(Errno::EXIST.raw_os_error()));
        assert_eq!(error_of(&answer[..18]), None);
        answer[4] = 3;
        assert_eq!(error_of(&answer), None);
    }
}
