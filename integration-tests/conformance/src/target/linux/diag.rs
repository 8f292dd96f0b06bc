//! The states of the kernel's connections, including half-open ones and TIME-WAIT, each requested
//! separately (sock_diag(7)).
//!
//! A request costs the kernel one lookup in its hash table. To list all connections, as /proc does,
//! it walks the whole table, which takes milliseconds and would delay a script.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, bail};
use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{
    AF_INET, AF_INET6, IPPROTO_TCP, TCP_CLOSE_WAIT, TCP_CLOSING, TCP_ESTABLISHED, TCP_FIN_WAIT1,
    TCP_FIN_WAIT2, TCP_LAST_ACK, TCP_SYN_RECV, TCP_SYN_SENT, TCP_TIME_WAIT,
};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_sys::{Socket, protocols::NETLINK_SOCK_DIAG};

/// A half-open connection behind a listener; the crate has no constant for it
/// (include/net/tcp_states.h).
const TCP_NEW_SYN_RECV: u8 = 12;

/// The maximum size of a reply.
const ANSWER: usize = 4096;

/// A netlink socket. It reports on the network namespace in which it was created.
pub(super) struct Diag(Socket);

impl Diag {
    pub(super) fn new() -> Result<Self> {
        let socket = Socket::new(NETLINK_SOCK_DIAG).context("a socket of sock_diag")?;
        Ok(Self(socket))
    }

    /// The state of the connection between two addresses; `CLOSED` if the kernel knows none.
    pub(super) fn state(&self, local: SocketAddr, remote: SocketAddr) -> Result<&'static str> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST;
        let question = SockDiagMessage::InetRequest(question(local, remote));
        let mut message = NetlinkMessage::new(header, question.into());
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.0.send(&bytes, 0)?;

        let mut answer = Vec::with_capacity(ANSWER);
        self.0.recv(&mut answer, 0)?;
        match NetlinkMessage::deserialize(&answer)?.payload {
            NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(found)) => {
                Ok(name(found.header.state).unwrap_or("CLOSED"))
            }
            // There is no such connection.
            NetlinkPayload::Error(_) => Ok("CLOSED"),
            other => bail!("sock_diag answers {other:?}"),
        }
    }
}

fn question(local: SocketAddr, remote: SocketAddr) -> InetRequest {
    InetRequest {
        family: match local.ip() {
            IpAddr::V4(_) => AF_INET,
            IpAddr::V6(_) => AF_INET6,
        },
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::all(),
        socket_id: SocketId {
            source_port: local.port(),
            destination_port: remote.port(),
            source_address: local.ip(),
            destination_address: remote.ip(),
            interface_id: 0,
            // Any socket with these addresses.
            cookie: [0xff; 8],
        },
    }
}

/// `None` for a listener, which the kernel finds if there is no connection.
fn name(number: u8) -> Option<&'static str> {
    Some(match number {
        TCP_ESTABLISHED => "ESTABLISHED",
        TCP_SYN_SENT => "SYN-SENT",
        TCP_SYN_RECV | TCP_NEW_SYN_RECV => "SYN-RECEIVED",
        TCP_FIN_WAIT1 => "FIN-WAIT-1",
        TCP_FIN_WAIT2 => "FIN-WAIT-2",
        TCP_TIME_WAIT => "TIME-WAIT",
        TCP_CLOSE_WAIT => "CLOSE-WAIT",
        TCP_LAST_ACK => "LAST-ACK",
        TCP_CLOSING => "CLOSING",
        _ => return None,
    })
}
