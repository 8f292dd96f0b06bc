//! Input: from a packet to the record of its four-tuple.
//!
//! A packet comes from the device or from the stack itself. Its addresses are checked, its
//! fragments are put together, and each datagram goes to its protocol. A TCP segment goes to a
//! connection, to a half-open record, to a record in TIME-WAIT, or to none of these.

use std::ops::Range;

use bytes::{Buf, Bytes};
use millstream_wire::{ip, membership, tcp};

use super::Stack;
use crate::error::DropReason;
use crate::ip::address::Source;
use crate::ip::datagram::Datagram;
use crate::stats::count;
use crate::table::place::Place;
use crate::tcp::recovery::heard::Heard;
use crate::tcp::segment::Segment;
use crate::time::Instant;
use crate::transmit::Transmit;
use crate::tuple::FourTuple;

/// Maximum number of waiting packets from the stack to itself.
const LOOPBACK_CAPACITY: usize = 1024;

/// Whether the receiving device has verified the transport checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RxChecksum {
    /// Not verified: the stack verifies it.
    Unverified,
    /// Verified by the device, or the packet never left this machine.
    Trusted,
}

impl Stack {
    /// Takes an IP packet from the device at the time of its arrival.
    pub fn handle_packet(&mut self, now: Instant, packet: Bytes, checksum: RxChecksum) {
        self.handle_late_packet(now, now, packet, checksum);
    }

    /// Takes an IP packet that has waited since `arrived`. Round-trip times and reordering are
    /// judged by that time; timers that the packet starts run from `now`.
    pub fn handle_late_packet(
        &mut self,
        now: Instant,
        arrived: Instant,
        packet: Bytes,
        checksum: RxChecksum,
    ) {
        count(&mut self.counters.packets_received);
        let arrived = arrived.min(now);
        self.take_packet(now, arrived, packet, checksum, Source::Device);
    }

    /// States that no packets were read for a while until `now`, for example because the process
    /// was stopped. Packets handed in from now on may have waited during that time although they
    /// seem to arrive now or later. Data sent before is therefore used for no measurement, neither
    /// of the round-trip time (RFC 6298 3, RFC 8985 6.2) nor of the delivery rate.
    pub fn handle_standstill(&mut self, now: Instant) {
        self.resumed = self.resumed.max(now);
    }

    /// Checks a packet and passes on its datagram, if it is complete.
    pub(super) fn take_packet(
        &mut self,
        now: Instant,
        arrived: Instant,
        packet: Bytes,
        checksum: RxChecksum,
        from: Source,
    ) {
        let Ok(ip) = ip::Packet::parse(&packet) else {
            self.refuse_malformed(now, &packet, from);
            return;
        };
        let (src, dst) = (ip.src(), ip.dst());
        if let Err(reason) = self.check_addresses(src, dst, from) {
            self.take_group_packet(now, arrived, (packet, checksum), from, reason);
            return;
        }
        if let Some(fragment) = ip.fragment() {
            if let Some(datagram) = self.reassemble(now, arrived, &ip, &fragment) {
                // No device verifies the checksum of a fragmented datagram.
                self.take_datagram(now, datagram, RxChecksum::Unverified);
            }
            return;
        }
        let datagram = Datagram {
            arrived,
            src,
            dst,
            protocol: ip.protocol(),
            ecn: ip.ecn(),
            body: ip.payload_range(),
            packet,
        };
        self.take_datagram(now, datagram, checksum);
    }

    /// Adds a fragment. Returns the datagram that it completes.
    pub(super) fn reassemble(
        &mut self,
        now: Instant,
        arrived: Instant,
        ip: &ip::Packet<'_>,
        fragment: &ip::Fragment,
    ) -> Option<Datagram> {
        let (wheel, counters) = (&mut self.wheel, &mut self.counters);
        self.reassembly
            .add((now, arrived), ip, fragment, wheel, counters)
    }

    /// Passes a datagram to its protocol.
    pub(super) fn take_datagram(&mut self, now: Instant, datagram: Datagram, checksum: RxChecksum) {
        match datagram.protocol {
            ip::TCP => self.on_tcp(now, datagram, checksum),
            ip::ICMP | ip::ICMPV6 => self.on_icmp(now, datagram),
            ip::UDP if self.is_local(datagram.dst) || self.is_group(datagram.dst) => {
                self.on_udp(now, datagram, checksum);
            }
            membership::IGMP if self.is_group(datagram.dst) => self.on_membership(now, &datagram),
            _ => self.refuse_protocol(now, &datagram),
        }
    }

    /// Checks a TCP segment and passes it to the record of its four-tuple.
    fn on_tcp(&mut self, now: Instant, datagram: Datagram, checksum: RxChecksum) {
        let (src, dst, ecn) = (datagram.src, datagram.dst, datagram.ecn);
        let Ok(view) = tcp::View::parse(datagram.payload()) else {
            self.counters.count_drop(DropReason::MalformedTcp);
            return;
        };
        if checksum == RxChecksum::Unverified && !view.checksum_ok(src, dst) {
            self.counters.count_drop(DropReason::Checksum);
            return;
        }
        let tuple = FourTuple {
            local_ip: dst,
            remote_ip: src,
            local_port: view.dst_port(),
            remote_port: view.src_port(),
        };
        let heard = Heard {
            at: datagram.arrived,
            resumed: self.resumed,
        };
        let mut segment = Segment::without_payload(tuple, heard, &view);
        let header_len = view.header_len();
        let place = self.demux.find(&tuple);
        let datagram = match place {
            Some(_) => datagram,
            None => match self.keep_own(&tuple, datagram, RxChecksum::Trusted) {
                Some(own) => own,
                None => return,
            },
        };
        let payload = datagram.body.start.saturating_add(header_len)..datagram.body.end;
        segment.payload = cut(datagram.packet, payload);
        segment.ecn = ecn;
        match place {
            Some(Place::Connection(index)) => self.on_segment_for_connection(now, index, segment),
            Some(Place::HalfOpen(index)) => self.on_segment_for_half_open(now, index, segment),
            Some(Place::TimeWait(index)) => self.on_segment_in_time_wait(now, index, &segment),
            Some(Place::Reassembly(_) | Place::Membership) | None => {
                self.on_segment_without_connection(now, &segment, None);
            }
        }
    }

    /// Passes a segment to its connection.
    pub(crate) fn on_segment_for_connection(&mut self, now: Instant, index: u32, segment: Segment) {
        self.share_queue(now, index, &segment);
        self.with_connection(now, index, |tcb, cx| tcb.on_segment(segment, cx));
    }

    /// Keeps a packet that the stack sends to itself until the next packet is polled.
    pub(super) fn deliver_to_ourselves(&mut self, out: &Transmit) {
        if self.loopback.len() >= LOOPBACK_CAPACITY {
            self.counters.count_drop(DropReason::ReplyQueueFull);
            return;
        }
        let mut packet = Vec::with_capacity(out.len());
        out.write_to(&mut packet);
        self.loopback.push_back(packet.into());
    }
}

/// The bytes of `packet` at `range`, without a change of its reference count.
pub(super) fn cut(mut packet: Bytes, range: Range<usize>) -> Bytes {
    packet.truncate(range.end);
    packet.advance(range.start);
    packet
}
