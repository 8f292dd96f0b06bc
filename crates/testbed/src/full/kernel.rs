//! The kernel's sockets at the other end of the link, and its information about them.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};

use crate::packet;

/// The congestion control for kernel sockets: the rate of the machine's default algorithm may say
/// little about the other end.
const CONGESTION_CONTROL: &[u8] = b"cubic";

/// A kernel socket that can bind an address in TIME-WAIT, with CUBIC if available.
///
/// # Errors
/// The kernel's error.
pub fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    use_cubic(&SockRef::from(&socket))?;
    Ok(socket)
}

/// Makes a kernel socket, and sockets accepted from it, use CUBIC if available.
///
/// # Errors
/// The kernel's error.
pub fn use_cubic(socket: &Socket) -> io::Result<()> {
    match socket.set_tcp_congestion(CONGESTION_CONTROL) {
        // A kernel built without CUBIC: its default is sufficient for the tests.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A listening kernel socket; port 0 selects a free one.
///
/// # Errors
/// The kernel's error.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address)?;
    socket.bind(address)?;
    socket.listen(1024)
}

/// Connects a kernel socket.
///
/// # Errors
/// The kernel's error.
pub async fn connect(peer: SocketAddr) -> io::Result<TcpStream> {
    socket(peer)?.connect(peer).await
}

/// Connects a kernel socket from a given address.
///
/// # Errors
/// The kernel's error.
pub async fn connect_from(local: SocketAddr, peer: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket(local)?;
    socket.bind(local)?;
    socket.connect(peer).await
}

/// Closes a kernel socket with a reset, which discards its unsent data.
///
/// # Errors
/// The kernel's error.
pub fn reset(stream: TcpStream) -> io::Result<()> {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    drop(stream);
    Ok(())
}

/// The kernel's count of its TCP sockets in this namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketCounts {
    /// Open sockets, listeners included.
    pub in_use: u64,
    /// Connections in TIME-WAIT.
    pub time_wait: u64,
}

/// Reads [`SocketCounts`].
///
/// # Errors
/// If /proc does not contain them.
pub fn socket_counts() -> Result<SocketCounts> {
    let text = fs::read_to_string("/proc/self/net/sockstat")?;
    let v6 = fs::read_to_string("/proc/self/net/sockstat6").unwrap_or_default();
    let number = |text: &str, line: &str, word: &str| -> Option<u64> {
        let words: Vec<_> = text
            .lines()
            .find_map(|l| l.strip_prefix(line))?
            .split_whitespace()
            .collect();
        let at = words.iter().position(|w| *w == word)?;
        words.get(at + 1)?.parse().ok()
    };
    let of_v4 =
        |word| number(&text, "TCP:", word).with_context(|| format!("sockstat has no {word}"));
    Ok(SocketCounts {
        in_use: of_v4("inuse")? + number(&v6, "TCP6:", "inuse").unwrap_or(0),
        time_wait: of_v4("tw")?,
    })
}

/// The kernel's TCP sockets from /proc, without those in TIME-WAIT, for the report on a failed
/// case.
#[must_use]
pub fn socket_table() -> String {
    // The fourth column is the state, in hexadecimal; 6 is TIME-WAIT.
    let waits = |line: &&str| line.split_whitespace().nth(3) == Some("06");
    let mut table = String::new();
    for name in ["tcp", "tcp6"] {
        let lines = fs::read_to_string(format!("/proc/self/net/{name}")).unwrap_or_default();
        for line in lines.lines().filter(|line| !waits(line)).take(40) {
            table.push_str(line.trim_end());
            table.push('\n');
        }
    }
    table
}

/// Sends an echo request and returns the data of the reply.
///
/// # Errors
/// If no raw socket is available, or reading fails.
pub async fn ping(from: IpAddr, to: IpAddr, ident: u16, data: &[u8]) -> Result<Vec<u8>> {
    let (domain, protocol, reply) = match to {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, 0),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, 129),
    };
    let socket = Socket::new(domain, Type::RAW, Some(protocol)).context("raw socket")?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect(&SocketAddr::new(to, 0).into())?;

    // The kernel computes the checksum of ICMPv6 itself (RFC 3542 3.1).
    let message = packet::echo_message(from, to, ident, 1, data);
    // tokio's type only waits for the descriptor, sends and receives, which works for a raw socket,
    // too.
    let socket = UdpSocket::from_std(socket.into())?;
    let sent = socket.send(&message).await?;
    ensure!(sent == message.len(), "an echo request was cut");

    let mut buffer = vec![0; 65_536];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // IPv4 raw sockets also return the IP header.
        let header = if to.is_ipv4() {
            usize::from(buffer[0] & 0xF) * 4
        } else {
            0
        };
        let Some(answer) = buffer[..length].get(header..) else {
            continue;
        };
        if answer.len() >= 8 && answer[0] == reply && answer[4..6] == ident.to_be_bytes() {
            return Ok(answer[8..].to_vec());
        }
    }
}
