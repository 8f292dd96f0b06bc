//! Several datagrams in a call.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, ready};

use millstream_engine::{Instant, UdpDatagram, UdpId};

use super::send::queue;
use super::{UdpSocket, What};
use crate::error::IntoIo;
use crate::shard::Core;

/// Maximum number of datagrams that one call returns.
const MAX_DATAGRAMS: usize = 64;

/// Datagrams of one sender that lie one after another in a buffer (`UDP_GRO`). All of them have
/// [`segment_size`](Self::segment_size) bytes, except that the last may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Coalesced {
    /// Bytes in the buffer.
    pub len: usize,
    /// Bytes of each datagram but the last; zero if the only one is empty.
    pub segment_size: usize,
    /// The sender of all of them.
    pub from: SocketAddr,
    /// The address to which all of them were sent.
    pub to: IpAddr,
    /// The type-of-service byte or traffic class of all of them.
    pub tos: u8,
}

impl UdpSocket {
    /// Sends `payload` as datagrams of `segment_size` bytes, of which the last may be shorter, to
    /// `target` or, if it is `None`, to the peer of a connected socket. There is one copy and one
    /// pass through the stack for all of them. The datagrams are not fragmented. Returns the length
    /// of `payload`.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to); `EMSGSIZE` also if `payload` is longer than one datagram can
    /// be, or `segment_size` exceeds what the path carries.
    ///
    /// # Cancel safety
    /// All datagrams are sent or none: if the future is dropped before it completes, none.
    pub async fn send_segmented(
        &self,
        payload: &[u8],
        segment_size: u16,
        target: Option<SocketAddr>,
    ) -> io::Result<usize> {
        let send = self
            .message(payload, target)?
            .segment_size(Some(segment_size));
        self.when(What::Send, queue(&send)).await
    }

    /// Like [`send_segmented`](Self::send_segmented), without waiting.
    ///
    /// # Errors
    /// As [`send_segmented`](Self::send_segmented), and [`WouldBlock`](io::ErrorKind::WouldBlock).
    pub fn try_send_segmented(
        &self,
        payload: &[u8],
        segment_size: u16,
        target: Option<SocketAddr>,
    ) -> io::Result<usize> {
        let send = self
            .message(payload, target)?
            .segment_size(Some(segment_size));
        self.try_step(What::Send, queue(&send))
    }

    /// Waits for a datagram and copies it to `buf`, followed by further datagrams that already wait,
    /// as far as they have the same sender, destination and bits of the IP header, the same length
    /// (the last may be shorter), and room: at most 64.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// No datagram is lost.
    pub async fn recv_coalesced(&self, buf: &mut [u8]) -> io::Result<Coalesced> {
        let step = take_alike(buf.len());
        Ok(copy(&self.when(What::Receive, step).await?, buf))
    }

    /// Like [`recv_coalesced`](Self::recv_coalesced), for one task, as
    /// [`poll_recv`](Self::poll_recv).
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn poll_recv_coalesced(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<Coalesced>> {
        let step = take_alike(buf.len());
        let taken = ready!(self.poll_in_place(cx, What::Receive, step))?;
        Poll::Ready(Ok(copy(&taken, buf)))
    }

    /// Like [`recv_coalesced`](Self::recv_coalesced), without waiting.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), and [`WouldBlock`](io::ErrorKind::WouldBlock).
    pub fn try_recv_coalesced(&self, buf: &mut [u8]) -> io::Result<Coalesced> {
        let step = take_alike(buf.len());
        Ok(copy(&self.try_step(What::Receive, step)?, buf))
    }
}

/// A step that takes the oldest datagram and those after it that may share its buffer of `room`
/// bytes.
fn take_alike(
    room: usize,
) -> impl FnMut(&mut Core, Instant, UdpId) -> Poll<io::Result<Taken>> + Unpin {
    move |core, _, id| poll_alike(core, id, room)
}

fn poll_alike(core: &mut Core, id: UdpId, room: usize) -> Poll<io::Result<Taken>> {
    let first = match core.engine.udp_recv(id) {
        Ok(Some(first)) => first,
        Ok(None) => return Poll::Pending,
        Err(error) => return Poll::Ready(Err(error.into_io())),
    };
    let size = first.payload.len();
    let mut taken = Taken {
        first,
        more: Vec::new(),
    };
    let (mut len, mut last) = (size, size);
    while size > 0 && last == size && taken.more.len() + 1 < MAX_DATAGRAMS {
        if !core.engine.udp_has_datagram(id, |next| {
            last = next.payload.len();
            taken.is_alike(next) && last > 0 && last <= size && len + last <= room
        }) {
            break;
        }
        let Ok(Some(next)) = core.engine.udp_recv(id) else {
            break;
        };
        len += next.payload.len();
        taken.more.push(next);
    }
    Poll::Ready(Ok(taken))
}

/// Datagrams that have been taken and are to be copied.
struct Taken {
    first: UdpDatagram,
    more: Vec<UdpDatagram>,
}

impl Taken {
    fn is_alike(&self, other: &UdpDatagram) -> bool {
        let key = |datagram: &UdpDatagram| (datagram.from, datagram.to, datagram.tos);
        key(&self.first) == key(other)
    }
}

fn copy(taken: &Taken, buf: &mut [u8]) -> Coalesced {
    let UdpDatagram {
        payload,
        from,
        to,
        tos,
        ..
    } = &taken.first;
    let mut len = payload.len().min(buf.len());
    buf[..len].copy_from_slice(&payload[..len]);
    let segment_size = len;
    for next in &taken.more {
        let end = len + next.payload.len();
        buf[len..end].copy_from_slice(&next.payload);
        len = end;
    }
    Coalesced {
        len,
        segment_size,
        from: *from,
        to: *to,
        tos: *tos,
    }
}
