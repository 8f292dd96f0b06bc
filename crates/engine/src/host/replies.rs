//! Packets that belong to no connection or outlive it: resets, SYN-ACKs of half-open connections,
//! acknowledgments from TIME-WAIT, ICMP messages.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::VecDeque;

use arrayvec::ArrayVec;
use bytes::Bytes;
use millstream_wire::SeqNum;
use millstream_wire::tcp::{Flags, Header, Options};

use crate::config::Config;
use crate::error::DropReason;
use crate::ip::fields::IpFields;
use crate::stats::{Counters, count};
use crate::tcp::emit;
use crate::tcp::segment::Segment;
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

    /// Queues a TCP segment without payload.
    pub(crate) fn tcp(
        &mut self,
        ip: &IpFields,
        tcp: &Header,
        config: &Config,
        counters: &mut Counters,
    ) {
        let mut header = ArrayVec::new();
        let partial = config.offload.transmit_checksum;
        let partial_checksum = emit::tcp_segment(&mut header, ip, tcp, &[], partial);
        self.push(header, None, partial_checksum, counters);
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

    /// Answers a segment that belongs to no connection with a reset (RFC 9293 3.10.7.1), unless it
    /// is a reset itself.
    pub(crate) fn reset(&mut self, segment: &Segment, config: &Config, counters: &mut Counters) {
        if segment.has(Flags::RST) {
            return;
        }
        let (seq, ack, flags) = if segment.has(Flags::ACK) {
            (segment.ack, SeqNum::new(0), Flags::RST)
        } else {
            let end = segment.seq + segment.len() as u32;
            (SeqNum::new(0), end, Flags::RST | Flags::ACK)
        };
        let header = Header {
            src_port: segment.tuple.local_port,
            dst_port: segment.tuple.remote_port,
            seq,
            ack,
            flags,
            window: 0,
            urgent: 0,
            options: Options::default(),
        };
        let ip = IpFields {
            src: segment.tuple.local_ip,
            dst: segment.tuple.remote_ip,
            tos: 0,
            hop_limit: config.socket.hop_limit,
            ident: 0,
        };
        self.tcp(&ip, &header, config, counters);
        count(&mut counters.resets_sent);
    }

    fn push(
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
