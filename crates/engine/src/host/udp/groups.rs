//! Multicast membership: joining and leaving, queries of routers, and reports to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use arrayvec::ArrayVec;
use bytes::Bytes;
use millstream_wire::membership::{self, Query, REPORTS_V4, REPORTS_V6};
use millstream_wire::{ipv4, ipv6};

use crate::error::{DropReason, MembershipError};
use crate::host::Stack;
use crate::id::UdpId;
use crate::ip::address::Kind;
use crate::ip::datagram::Datagram;
use crate::table::place::Place;
use crate::time::Instant;

/// Maximum number of groups of one socket.
const MAX_GROUPS: usize = 256;

impl Stack {
    /// Makes a socket a member of a multicast group, from whatever source (`IP_ADD_MEMBERSHIP`,
    /// `IPV6_JOIN_GROUP`). Routers of the link are told by IGMPv3 or MLDv2.
    ///
    /// # Errors
    ///
    /// See [`MembershipError`].
    pub fn udp_join(
        &mut self,
        now: Instant,
        id: UdpId,
        group: IpAddr,
    ) -> Result<(), MembershipError> {
        let held = self.udp.held_mut(id).ok_or(MembershipError::Closed)?;
        let fits = group.is_ipv4() || held.socket.v6;
        if Kind::of(group) != Kind::Multicast || !fits {
            return Err(MembershipError::NotMulticast(group));
        }
        let groups = &mut held.socket.groups;
        if groups.contains(&group) {
            return Err(MembershipError::AlreadyMember(group));
        }
        if groups.len() >= MAX_GROUPS {
            return Err(MembershipError::TooMany);
        }
        groups.push(group);
        self.udp.groups.join(group, now);
        self.send_reports(now);
        Ok(())
    }

    /// Ends a socket's membership in a group.
    ///
    /// # Errors
    ///
    /// See [`MembershipError`].
    pub fn udp_leave(
        &mut self,
        now: Instant,
        id: UdpId,
        group: IpAddr,
    ) -> Result<(), MembershipError> {
        let held = self.udp.held_mut(id).ok_or(MembershipError::Closed)?;
        if Kind::of(group) != Kind::Multicast {
            return Err(MembershipError::NotMulticast(group));
        }
        let groups = &mut held.socket.groups;
        let at = groups.iter().position(|own| *own == group);
        groups.swap_remove(at.ok_or(MembershipError::NotMember(group))?);
        self.leave_groups(now, &[group]);
        Ok(())
    }

    /// Ends one membership in each of the groups.
    pub(super) fn leave_groups(&mut self, now: Instant, groups: &[IpAddr]) {
        for group in groups {
            self.udp.groups.leave(*group, now);
        }
        if !groups.is_empty() {
            self.send_reports(now);
        }
    }

    /// Ends the reports about groups, all of which have been left.
    pub(super) fn end_groups(&mut self) {
        self.udp.groups.end();
        self.file_reports();
    }

    /// Takes an IGMP message, or an ICMPv6 message that is a query.
    pub(crate) fn on_membership(&mut self, now: Instant, datagram: &Datagram) {
        let message = datagram.payload();
        let query = match (datagram.src, datagram.dst) {
            // RFC 3810 5.1.14.
            (IpAddr::V6(src), _) if !src.is_unicast_link_local() => Ok(None),
            (IpAddr::V6(src), IpAddr::V6(dst)) => Query::parse_v6(src, dst, message),
            _ => Query::parse_v4(message),
        };
        match query {
            Ok(Some(query)) => {
                self.udp
                    .groups
                    .on_query(&query, datagram.dst.is_ipv4(), now);
                self.file_reports();
            }
            Ok(None) => self.counters.count_drop(DropReason::IcmpUnrelated),
            Err(_) => self.counters.count_drop(DropReason::MalformedIcmp),
        }
    }

    /// The time of a report has come.
    pub(in crate::host) fn on_membership_timer(&mut self, now: Instant) {
        self.udp.filed = None;
        self.send_reports(now);
    }

    /// Queues the reports that are due.
    fn send_reports(&mut self, now: Instant) {
        let records = self.udp.groups.take_due(now);
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (group, record) in records {
            match group {
                IpAddr::V4(group) => v4.push((group, record)),
                IpAddr::V6(group) => v6.push((group, record)),
            }
        }
        let mtu = self.config.mtu;
        if !v4.is_empty() {
            let src = self.report_source_v4();
            for records in v4.chunks(membership::records_in(mtu, true).max(1)) {
                let packet = membership::report_v4(src, records);
                self.send_report(now, packet, ipv4::HEADER_LEN);
            }
        }
        if !v6.is_empty() {
            let src = self.report_source_v6();
            for records in v6.chunks(membership::records_in(mtu, false).max(1)) {
                let packet = membership::report_v6(src, records);
                self.send_report(now, packet, ipv6::HEADER_LEN);
            }
        }
        self.file_reports();
    }

    fn send_report(&mut self, now: Instant, packet: Vec<u8>, header_len: usize) {
        if !self.icmp_limits.allow(now, self.config.icmp_rate) {
            self.counters.count_drop(DropReason::IcmpRateLimited);
            return;
        }
        let packet = Bytes::from(packet);
        let mut header = ArrayVec::new();
        header.extend(packet.iter().copied().take(header_len));
        let payload = packet.slice(header_len..);
        self.replies
            .packet(header, Some(payload), &mut self.counters);
    }

    fn report_source_v4(&self) -> Ipv4Addr {
        match self.source_for(REPORTS_V4.into()) {
            Some(IpAddr::V4(own)) => own,
            _ => Ipv4Addr::UNSPECIFIED,
        }
    }

    /// A link-local address or, if there is none, the unspecified one (RFC 3810 5.2.13).
    fn report_source_v6(&self) -> Ipv6Addr {
        match self.source_for(REPORTS_V6.into()) {
            Some(IpAddr::V6(own)) if own.is_unicast_link_local() => own,
            _ => Ipv6Addr::UNSPECIFIED,
        }
    }

    /// Sets the timer of the reports to the next one.
    fn file_reports(&mut self) {
        let next = self.udp.groups.next_due();
        match (next, self.udp.filed) {
            (Some(due), None) => {
                let timer = self.wheel.insert(due, Place::Membership.key());
                self.udp.filed = Some((timer, due));
            }
            (Some(due), Some((timer, filed))) if due != filed => {
                self.wheel.rearm(timer, due);
                self.udp.filed = Some((timer, due));
            }
            (None, Some((timer, _))) => {
                self.wheel.cancel(timer);
                self.udp.filed = None;
            }
            _ => {}
        }
    }
}
