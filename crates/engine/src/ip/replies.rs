//! Packets that belong to no connection or outlive it: resets, SYN-ACKs of half-open connections,
//! acknowledgments from TIME-WAIT, ICMP messages.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::VecDeque;

use arrayvec::ArrayVec;
use bytes::Bytes;

use crate::error::DropReason;
use crate::stats::Counters;
use crate::transmit::{MAX_HEADER, PartialChecksum, Transmit};

/// Maximum number of waiting packets. Further replies are dropped; the peer asks again.
const MAX_REPLIES: usize = 4096;

#[derive(Debug)]
struct Reply {
    header: ArrayVec<u8, MAX_HEADER>,
    payload: Option<Bytes>,
    partial_checksum: Option<PartialChecksum>,
}

/// The queue of these packets.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    queue: VecDeque<Reply>,
}

impl Replies {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn pop(&mut self, out: &mut Transmit) -> bool {
        let Some(reply) = self.queue.pop_front() else {
            return false;
        };
        out.clear();
        out.header = reply.header;
        out.payload.extend(reply.payload);
        out.partial_checksum = reply.partial_checksum;
        true
    }

    /// Queues a packet whose checksums are complete.
    pub(crate) fn packet(
        &mut self,
        header: ArrayVec<u8, MAX_HEADER>,
        payload: Option<Bytes>,
        counters: &mut Counters,
    ) {
        self.push(header, payload, None, counters);
    }

    /// Queues a packet whose checksums may be left to the device.
    pub(crate) fn push(
        &mut self,
        header: ArrayVec<u8, MAX_HEADER>,
        payload: Option<Bytes>,
        partial_checksum: Option<PartialChecksum>,
        counters: &mut Counters,
    ) {
        if self.queue.len() >= MAX_REPLIES {
            counters.count_drop(DropReason::ReplyQueueFull);
            return;
        }
        self.queue.push_back(Reply {
            header,
            payload,
            partial_checksum,
        });
    }
}
