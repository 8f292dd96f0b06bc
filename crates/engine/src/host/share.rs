//! Several stacks that act as one host: each has a share of the four-tuples, and forwards the
//! packets of other shares.
//!
//! A keyed hash, equal in all stacks with the same seed, determines the owner of a four-tuple, so
//! that no stack queries another. Both directions of a connection have the same hash; a connection
//! of the host to itself therefore stays in one stack. UDP sockets are distributed by their port.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::{RxChecksum, Stack};
use crate::config::Share;
use crate::error::DropReason;
use crate::ip::datagram::Datagram;
use crate::time::Instant;
use crate::tuple::FourTuple;

/// Maximum number of packets that wait to be forwarded.
const MAX_MISDIRECTED: usize = 1024;

/// A packet for another share: see [`Stack::poll_misdirected`].
#[derive(Debug)]
#[must_use = "the packet is lost unless it is taken to its owner"]
pub struct Misdirected {
    owner: u16,
    datagram: Datagram,
    checksum: RxChecksum,
}

impl Misdirected {
    /// The [index](Share::index) of the share that owns the packet.
    #[must_use]
    pub const fn owner(&self) -> u16 {
        self.owner
    }
}

/// A share, the key that determines the owner of a four-tuple, and the packets to be forwarded.
#[derive(Debug)]
pub(crate) struct Sharing {
    share: Share,
    key: [u8; 16],
    misdirected: VecDeque<Misdirected>,
}

impl Sharing {
    pub(crate) fn new(share: Share, key: [u8; 16]) -> Self {
        Self {
            share,
            key,
            misdirected: VecDeque::new(),
        }
    }

    /// The index of the share that owns the tuple.
    pub(crate) fn owner(&self, tuple: &FourTuple) -> u16 {
        if self.share == Share::WHOLE {
            return 0;
        }
        let reverse = FourTuple::new(tuple.remote(), tuple.local());
        let alike = if tuple.local() <= tuple.remote() {
            tuple
        } else {
            &reverse
        };
        let owner = alike.keyed_hash(&self.key, b's') % u64::from(self.share.count.get());
        owner as u16
    }

    pub(crate) fn owns(&self, tuple: &FourTuple) -> bool {
        self.owner(tuple) == self.share.index
    }

    /// The index of the share that owns a UDP port, on whatever address. A socket receives from
    /// any peer, so that only its port can tell where it is.
    pub(crate) fn port_owner(&self, port: u16) -> u16 {
        if self.share == Share::WHOLE {
            return 0;
        }
        let anyone = SocketAddr::from(([0; 4], 0));
        let tuple = FourTuple::new(SocketAddr::from(([0; 4], port)), anyone);
        let owner = tuple.keyed_hash(&self.key, b'u') % u64::from(self.share.count.get());
        owner as u16
    }

    pub(crate) fn owns_port(&self, port: u16) -> bool {
        self.port_owner(port) == self.share.index
    }

    /// The index of this share.
    pub(crate) fn index(&self) -> u16 {
        self.share.index
    }

    /// Whether this is the only share.
    pub(crate) fn is_whole(&self) -> bool {
        self.share == Share::WHOLE
    }
}

impl Stack {
    /// The next packet that arrived here and belongs to another [`Share`]. Pass it to the owner's
    /// [`handle_misdirected`](Self::handle_misdirected). The number of waiting packets is bounded.
    pub fn poll_misdirected(&mut self) -> Option<Misdirected> {
        self.sharing.misdirected.pop_front()
    }

    /// Takes a packet that arrived at the stack of another [`Share`], at the time of the call.
    pub fn handle_misdirected(&mut self, now: Instant, packet: Misdirected) {
        self.take_datagram(now, packet.datagram, packet.checksum);
    }

    /// Handles a datagram for a four-tuple unknown here: keeps it for forwarding if it belongs to
    /// another share, and otherwise returns it. `checksum` tells whether the owner still has to
    /// verify the checksum.
    pub(crate) fn keep_own(
        &mut self,
        tuple: &FourTuple,
        datagram: Datagram,
        checksum: RxChecksum,
    ) -> Option<Datagram> {
        self.keep_for(self.sharing.owner(tuple), datagram, checksum)
    }

    /// Keeps a datagram for forwarding if it belongs to another share, and otherwise returns it.
    pub(crate) fn keep_for(
        &mut self,
        owner: u16,
        datagram: Datagram,
        checksum: RxChecksum,
    ) -> Option<Datagram> {
        if owner == self.sharing.share.index {
            return Some(datagram);
        }
        if self.sharing.misdirected.len() >= MAX_MISDIRECTED {
            self.counters.count_drop(DropReason::MisdirectedQueueFull);
            return None;
        }
        self.sharing.misdirected.push_back(Misdirected {
            owner,
            datagram,
            checksum,
        });
        None
    }

    /// Keeps a copy of a datagram for each of the other shares.
    pub(super) fn copy_to_others(&mut self, datagram: &Datagram, checksum: RxChecksum) {
        let Share { index, count } = self.sharing.share;
        for owner in (0..count.get()).filter(|owner| *owner != index) {
            let copy = Datagram {
                packet: datagram.packet.clone(),
                body: datagram.body.clone(),
                ..*datagram
            };
            self.keep_for(owner, copy, checksum);
        }
    }
}
