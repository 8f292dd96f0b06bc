//! Several stacks as one host: each has a share of the four-tuples, and hands on what is not of its share.
//!
//! Whose a four-tuple is, a keyed hash says, alike in all stacks of one seed: nobody looks anything up in
//! another stack. Both directions of a connection have the same hash, so that a connection of the host to
//! itself stays in one stack.

use std::collections::VecDeque;

use super::{Datagram, RxChecksum, Stack};
use crate::config::Share;
use crate::error::DropReason;
use crate::time::Instant;
use crate::tuple::FourTuple;

/// Packets that may wait to be handed on.
const CAPACITY: usize = 1024;

/// A packet for another share: see [`Stack::poll_misdirected`].
#[derive(Debug)]
#[must_use = "the packet is lost unless it is taken to its owner"]
pub struct Misdirected {
    owner: u16,
    datagram: Datagram,
    checksum: RxChecksum,
}

impl Misdirected {
    /// The [index](Share::index) of the share whose it is.
    #[must_use]
    pub const fn owner(&self) -> u16 {
        self.owner
    }
}

/// A share, the key that the owner of a four-tuple is found with, and what is to be handed on.
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

    /// The index of the share whose the tuple is.
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
}

impl Stack {
    /// The next packet that came here and is of another [`Share`]; to be given to its owner's
    /// [`handle_misdirected`](Self::handle_misdirected). A bounded number of them waits.
    pub fn poll_misdirected(&mut self) -> Option<Misdirected> {
        self.sharing.misdirected.pop_front()
    }

    /// Takes a packet that came to the stack of another [`Share`], at the time at which it is handed over.
    pub fn handle_misdirected(&mut self, now: Instant, packet: Misdirected) {
        self.take_datagram(now, packet.datagram, packet.checksum);
    }

    /// A datagram about a four-tuple that nothing here is known of: kept to be handed on if that is of another
    /// share, or else given back. `checksum` says whether the owner still has to look.
    pub(crate) fn keep_own(
        &mut self,
        tuple: &FourTuple,
        datagram: Datagram,
        checksum: RxChecksum,
    ) -> Option<Datagram> {
        let owner = self.sharing.owner(tuple);
        if owner == self.sharing.share.index {
            return Some(datagram);
        }
        if self.sharing.misdirected.len() >= CAPACITY {
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
}
