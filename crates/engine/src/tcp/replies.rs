//! Replies without a connection: resets, and the segments that half-open connections and TIME-WAIT
//! records send.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use arrayvec::ArrayVec;
use millstream_wire::SeqNum;
use millstream_wire::tcp::{Flags, Header, Options};

use super::emit;
use crate::config::Config;
use crate::ip::fields::IpFields;
use crate::ip::replies::Replies;
use crate::stats::{Counters, count};
use crate::tcp::segment::Segment;

impl Replies {
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
}
