//! Messages of multicast membership: queries to read and reports to write, of IGMP (RFC 3376) for
//! IPv4 and MLD (RFC 3810) for IPv6.
//!
//! A host that joins a group from any source needs no list of sources; queries that name sources
//! are read as queries of their group.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::checksum::{self, Sum};
use crate::field::{Fields, room};
use crate::{ParseError, ip, ipv4, ipv6};

/// Protocol number of IGMP.
pub const IGMP: u8 = 2;

/// The group to which IGMPv3 reports are sent (RFC 3376 4.2.14).
pub const REPORTS_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
/// The group to which MLDv2 reports are sent (RFC 3810 5.2.14).
pub const REPORTS_V6: Ipv6Addr = Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 0, 0, 0x16);

/// Message types.
const IGMP_QUERY: u8 = 0x11;
const IGMP_REPORT: u8 = 0x22;
const MLD_QUERY: u8 = 130;
const MLD_REPORT: u8 = 143;

/// Length in bytes of the option that asks routers to look at the packet (RFC 2113, RFC 2711), with
/// its padding.
const ALERT_V4: [u8; 4] = [0x94, 4, 0, 0];
const ALERT_V6: [u8; 8] = [ip::ICMPV6, 0, 5, 2, 0, 0, 1, 0];

/// Length in bytes of the fixed part of a report, and of a record in it without sources.
const REPORT_LEN: usize = 8;
const RECORD_V4: usize = 8;
const RECORD_V6: usize = 20;

/// A question of a router about the groups of its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// The group in question; `None` for all groups.
    pub group: Option<IpAddr>,
    /// The time within which to answer, after a random delay.
    pub max_response: Duration,
}

impl Query {
    /// Reads an IGMP message. `None` if it is a report or another message.
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated) below 8 bytes, [`Checksum`](ParseError::Checksum).
    pub fn parse_v4(message: &[u8]) -> Result<Option<Self>, ParseError> {
        let header = message.first_chunk::<8>().ok_or(ParseError::Truncated)?;
        let mut sum = Sum::new();
        sum.add(message);
        if !checksum::is_valid(sum) {
            return Err(ParseError::Checksum);
        }
        if header[0] != IGMP_QUERY {
            return Ok(None);
        }
        let group = Ipv4Addr::from(header.field::<4, 4>());
        let tenths = match header[1] {
            // IGMPv1 states no time: ten seconds (RFC 3376 4.1.1).
            0 => 100,
            // A message of version 2 has eight bytes, and the code is the time itself.
            code if code < 128 || message.len() == header.len() => u64::from(code),
            code => floating(u32::from(code), 4),
        };
        Ok(Some(Self {
            group: (!group.is_unspecified()).then_some(group.into()),
            max_response: Duration::from_millis(tenths.saturating_mul(100)),
        }))
    }

    /// Reads an ICMPv6 message. `None` if it is no MLD query.
    ///
    /// # Errors
    /// [`Truncated`](ParseError::Truncated) below 24 bytes, [`Checksum`](ParseError::Checksum).
    pub fn parse_v6(
        src: Ipv6Addr,
        dst: Ipv6Addr,
        message: &[u8],
    ) -> Result<Option<Self>, ParseError> {
        if !is_query_v6(message) {
            return Ok(None);
        }
        let header = message.first_chunk::<24>().ok_or(ParseError::Truncated)?;
        let length = message.len() as u32;
        let mut sum = checksum::pseudo_header(src.into(), dst.into(), ip::ICMPV6, length);
        sum.add(message);
        if !checksum::is_valid(sum) {
            return Err(ParseError::Checksum);
        }
        let group = Ipv6Addr::from(header.field::<8, 16>());
        let code = header.be16::<4>();
        let millis = if code < 0x8000 || message.len() == header.len() {
            u64::from(code)
        } else {
            floating(u32::from(code), 12)
        };
        Ok(Some(Self {
            group: (!group.is_unspecified()).then_some(group.into()),
            max_response: Duration::from_millis(millis),
        }))
    }
}

/// Whether an ICMPv6 message is a query about groups.
#[must_use]
pub fn is_query_v6(message: &[u8]) -> bool {
    message.first() == Some(&MLD_QUERY)
}

/// The number that a code with three bits of exponent and `bits` bits of mantissa denotes
/// (RFC 3376 4.1.1, RFC 3810 5.1.3).
fn floating(code: u32, bits: u32) -> u64 {
    let one = 1u32.wrapping_shl(bits);
    let mantissa = code & one.wrapping_sub(1) | one;
    let exponent = code.wrapping_shr(bits) & 0b111;
    u64::from(mantissa).wrapping_shl(exponent.saturating_add(3))
}

/// What a report says about a group (RFC 3376 4.2.12, RFC 3810 5.2.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Record {
    /// This host is a member: the answer to a query.
    IsMember = 2,
    /// This host has left the group.
    Left = 3,
    /// This host has joined the group.
    Joined = 4,
}

/// The number of records that fit a report in a packet of `mtu` bytes, of IPv4 or of IPv6.
#[must_use]
pub fn records_in(mtu: usize, v4: bool) -> usize {
    let (headers, record) = if v4 {
        (ipv4::HEADER_LEN.saturating_add(ALERT_V4.len()), RECORD_V4)
    } else {
        (ipv6::HEADER_LEN.saturating_add(ALERT_V6.len()), RECORD_V6)
    };
    let room = mtu.saturating_sub(headers).saturating_sub(REPORT_LEN);
    room.checked_div(record).unwrap_or(0)
}

/// The packet of an IGMPv3 report from `src` about `records`.
#[must_use]
pub fn report_v4(src: Ipv4Addr, records: &[(Ipv4Addr, Record)]) -> Vec<u8> {
    let mut report = vec![IGMP_REPORT, 0, 0, 0, 0, 0];
    report.extend((records.len() as u16).to_be_bytes());
    for (group, record) in records {
        report.extend([*record as u8, 0, 0, 0]);
        report.extend(group.octets());
    }
    let mut sum = Sum::new();
    sum.add(&report);
    put_checksum(&mut report, sum);
    let header = ip::Header {
        tos: 0xC0,
        hop_limit: 1,
        payload_len: report.len().saturating_add(ALERT_V4.len()),
        ..ip::Header::new(src.into(), REPORTS_V4.into(), IGMP)
    };
    let mut packet = vec![0; ipv4::HEADER_LEN];
    header.emit(&mut packet);
    packet.extend(ALERT_V4);
    ipv4::with_options(&mut packet);
    packet.extend(report);
    packet
}

/// The packet of an MLDv2 report from `src` about `records`.
#[must_use]
pub fn report_v6(src: Ipv6Addr, records: &[(Ipv6Addr, Record)]) -> Vec<u8> {
    let mut report = vec![MLD_REPORT, 0, 0, 0, 0, 0];
    report.extend((records.len() as u16).to_be_bytes());
    for (group, record) in records {
        report.extend([*record as u8, 0, 0, 0]);
        report.extend(group.octets());
    }
    let (from, to) = (src.into(), REPORTS_V6.into());
    let mut sum = checksum::pseudo_header(from, to, ip::ICMPV6, report.len() as u32);
    sum.add(&report);
    put_checksum(&mut report, sum);
    let header = ip::Header {
        hop_limit: 1,
        payload_len: report.len().saturating_add(ALERT_V6.len()),
        ..ip::Header::new(from, to, 0)
    };
    let mut packet = vec![0; ipv6::HEADER_LEN];
    header.emit(&mut packet);
    packet.extend(ALERT_V6);
    packet.extend(report);
    packet
}

fn put_checksum(report: &mut [u8], sum: Sum) {
    let (header, _) = room::<REPORT_LEN>(report);
    header.put::<2, 2>(sum.finish().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);

    fn igmp_query(code: u8, group: Ipv4Addr, v3: bool) -> Vec<u8> {
        let mut message = vec![IGMP_QUERY, code, 0, 0];
        message.extend(group.octets());
        if v3 {
            message.extend([2, 125, 0, 0]);
        }
        let mut sum = Sum::new();
        sum.add(&message);
        put_checksum(&mut message, sum);
        message
    }

    #[test]
    fn the_time_to_answer_is_a_floating_point_number() {
        let time = |code, v3| {
            let query = Query::parse_v4(&igmp_query(code, GROUP, v3)).unwrap();
            query.unwrap().max_response.as_millis()
        };
        assert_eq!(time(100, true), 10_000);
        assert_eq!(time(0, false), 10_000);
        assert_eq!(time(200, false), 20_000);
        // RFC 3376 4.1.1: (mant | 0x10) << (exp + 3), in tenths of a second.
        assert_eq!(time(0x80, true), 12_800);
        assert_eq!(time(0xFF, true), 3_174_400);
    }

    #[test]
    fn a_query_names_a_group_or_all() {
        let all = igmp_query(100, Ipv4Addr::UNSPECIFIED, true);
        let group = |message: &[u8]| Query::parse_v4(message).unwrap().unwrap().group;
        assert_eq!(group(&all), None);
        assert_eq!(group(&igmp_query(100, GROUP, true)), Some(GROUP.into()));
        let mut wrong = all.clone();
        wrong[1] = 7;
        assert_eq!(Query::parse_v4(&wrong), Err(ParseError::Checksum));
        assert_eq!(Query::parse_v4(&all[..7]), Err(ParseError::Truncated));
    }

    #[test]
    fn reports_are_packets_that_routers_look_at() {
        let records = [
            (GROUP, Record::Joined),
            (Ipv4Addr::new(239, 9, 9, 9), Record::Left),
        ];
        let packet = report_v4([10, 0, 0, 1].into(), &records);
        let parsed = ip::Packet::parse(&packet).unwrap();
        assert_eq!(
            (
                parsed.dst(),
                parsed.protocol(),
                parsed.hop_limit(),
                parsed.options_len()
            ),
            (REPORTS_V4.into(), IGMP, 1, 4)
        );
        assert_eq!(Query::parse_v4(parsed.payload()), Ok(None));
        assert_eq!(
            parsed.payload()[6..],
            [0, 2, 4, 0, 0, 0, 239, 1, 2, 3, 3, 0, 0, 0, 239, 9, 9, 9]
        );

        let group: Ipv6Addr = "ff15::1".parse().unwrap();
        let src: Ipv6Addr = "fe80::1".parse().unwrap();
        let packet = report_v6(src, &[(group, Record::IsMember)]);
        let parsed = ip::Packet::parse(&packet).unwrap();
        assert_eq!(
            (parsed.protocol(), parsed.hop_limit(), parsed.options_len()),
            (ip::ICMPV6, 1, 8)
        );
        assert!(
            crate::icmp::Message::parse(&parsed).is_ok(),
            "the checksum is right"
        );
        assert_eq!(parsed.payload()[6..12], [0, 1, 2, 0, 0, 0]);
    }

    #[test]
    fn an_mld_query_is_told_from_other_messages() {
        let (src, dst): (Ipv6Addr, Ipv6Addr) =
            ("fe80::1".parse().unwrap(), "ff02::1".parse().unwrap());
        let mut message = vec![MLD_QUERY, 0, 0, 0, 0x27, 0x10, 0, 0];
        message.extend([0; 16]);
        let mut sum = checksum::pseudo_header(src.into(), dst.into(), ip::ICMPV6, 24);
        sum.add(&message);
        put_checksum(&mut message, sum);
        let query = Query::parse_v6(src, dst, &message).unwrap().unwrap();
        assert_eq!(
            (query.group, query.max_response),
            (None, Duration::from_secs(10))
        );
        message[0] = 131;
        assert_eq!(Query::parse_v6(src, dst, &message), Ok(None));
        message[0] = MLD_QUERY;
        message[5] ^= 1;
        assert_eq!(
            Query::parse_v6(src, dst, &message),
            Err(ParseError::Checksum)
        );
    }

    #[test]
    fn as_many_records_as_fit_the_packet() {
        for v4 in [true, false] {
            let count = records_in(1280, v4);
            let len = if v4 {
                report_v4(GROUP, &vec![(GROUP, Record::IsMember); count]).len()
            } else {
                let group = Ipv6Addr::LOCALHOST;
                report_v6(group, &vec![(group, Record::IsMember); count]).len()
            };
            assert!(len <= 1280 && len + 20 > 1280, "{len}");
        }
    }
}
