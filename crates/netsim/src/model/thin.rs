//! Thinning of acknowledgments, as done by modems, access points and satellite links with a narrow
//! return channel.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;
use millstream_wire::tcp::{Flags, Options, SackBlock, SackBlocks, View};
use millstream_wire::{SeqNum, ip};

use super::LinkConfig;

/// The maximum number of remembered flows: a bound on memory.
const MAX_FLOWS: usize = 1024;

/// The TCP acknowledgments that a link drops because a later one carries the same information.
///
/// Only segments without data and without flags other than ACK are dropped, and never an
/// acknowledgment in favour of a duplicate of it: the data sender counts duplicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckThinning {
    /// Of each flow's acknowledgments that advance the acknowledgment number and carry no SACK
    /// blocks, only every n-th passes (ACK decimation). The first of a flow passes. The last ones
    /// of a flight may be dropped; then the data sender waits until its tail loss probe is
    /// answered.
    Decimation(u32),
    /// An acknowledgment replaces an older one of its flow in the queue if it carries all its
    /// information, SACK blocks included (ACK filtering). Without a [rate](LinkConfig::rate) no
    /// packet waits.
    Filtering,
}

/// Source and destination.
type Flow = (SocketAddr, SocketAddr);

/// A segment that carries no information but acknowledgments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PureAck {
    flow: Flow,
    ack: SeqNum,
    sack: SackBlocks,
}

impl PureAck {
    fn of(packet: &[u8]) -> Option<Self> {
        let packet = ip::Packet::parse(packet).ok()?;
        if packet.protocol() != ip::TCP || packet.fragment().is_some() {
            return None;
        }
        let segment = View::parse(packet.payload()).ok()?;
        if segment.flags() != Flags::ACK || !segment.payload().is_empty() {
            return None;
        }
        let src = SocketAddr::new(packet.src(), segment.src_port());
        let dst = SocketAddr::new(packet.dst(), segment.dst_port());
        Some(Self {
            flow: (src, dst),
            ack: segment.ack(),
            sack: Options::parse(segment.options_bytes()).sack,
        })
    }

    /// Whether it carries all the information of `older`, and more.
    fn supersedes(&self, older: &Self) -> bool {
        let (ours, theirs) = (self.sack.as_slice(), older.sack.as_slice());
        let is_said = |block: &SackBlock| {
            let within =
                |wider: &SackBlock| wider.left.le(block.left) && block.right.le(wider.right);
            block.right.le(self.ack) || ours.iter().any(within)
        };
        self.flow == older.flow
            && self != older
            && older.ack.le(self.ack)
            && !older.reports_a_duplicate()
            && theirs.iter().all(is_said)
    }

    /// Whether its first block is a D-SACK block (RFC 2883 4), which is sent only once.
    fn reports_a_duplicate(&self) -> bool {
        let [first, rest @ ..] = self.sack.as_slice() else {
            return false;
        };
        let within = |wider: &SackBlock| wider.left.le(first.left) && first.right.le(wider.right);
        first.right.le(self.ack) || rest.first().is_some_and(within)
    }
}

/// Drops all acknowledgments but every n-th.
#[derive(Debug, Default)]
pub(super) struct Decimator {
    /// For each flow, the last acknowledgment number and how many acknowledgments were dropped
    /// since one passed.
    flows: HashMap<Flow, (SeqNum, u32)>,
}

impl Decimator {
    /// Whether this packet is dropped.
    pub(super) fn takes(&mut self, config: &LinkConfig, packet: &[u8]) -> bool {
        let Some(AckThinning::Decimation(every)) = config.ack_thinning else {
            return false;
        };
        let Some(PureAck { flow, ack, .. }) = PureAck::of(packet).filter(|ack| ack.sack.is_empty())
        else {
            return false;
        };
        if self.flows.len() >= MAX_FLOWS {
            self.flows.clear();
        }
        let Some((last, dropped)) = self.flows.get_mut(&flow) else {
            self.flows.insert(flow, (ack, 0));
            return false;
        };
        if ack.distance_from(*last) <= 0 {
            return false;
        }
        *last = ack;
        *dropped += 1;
        if *dropped >= every {
            *dropped = 0;
        }
        *dropped > 0
    }
}

/// Puts an acknowledgment in the place of an older one in the queue, and returns the older one.
pub(super) fn filter(waiting: &mut VecDeque<Bytes>, packet: &Bytes) -> Option<Bytes> {
    let newer = PureAck::of(packet)?;
    let is_older = |other: &&mut Bytes| {
        PureAck::of(other.as_ref()).is_some_and(|older| newer.supersedes(&older))
    };
    let older = waiting.iter_mut().rev().find(is_older)?;
    Some(std::mem::replace(older, packet.clone()))
}

#[cfg(test)]
mod tests {
    use millstream_testbed::packet;
    use millstream_wire::tcp::Header;

    use super::super::testing::{Addresses, V4, V6};
    use super::*;

    /// An acknowledgment from `port`; `change` modifies its other fields.
    fn segment(
        (src, dst): Addresses,
        port: u16,
        ack: u32,
        change: impl FnOnce(&mut Header),
    ) -> Bytes {
        let mut tcp = Header {
            src_port: port,
            dst_port: 80,
            flags: Flags::ACK,
            ack: SeqNum::new(ack),
            ..Header::default()
        };
        change(&mut tcp);
        packet::tcp(src, dst, &tcp, &[]).into()
    }

    fn ack(number: u32) -> Bytes {
        segment(V4, 7, number, |_| {})
    }

    fn sack(number: u32, blocks: &[(u32, u32)]) -> Bytes {
        segment(V4, 7, number, |tcp| {
            for &(left, right) in blocks {
                let [left, right] = [left, right].map(SeqNum::new);
                assert!(tcp.options.sack.push(SackBlock { left, right }));
            }
        })
    }

    #[test]
    fn every_nth_acknowledgment_of_a_flow_passes() {
        let config = LinkConfig::new().ack_thinning(AckThinning::Decimation(3));
        let mut decimator = Decimator::default();
        let mut passes = |packet: &Bytes| !decimator.takes(&config, packet);
        let passed: Vec<u32> = (1..=10).filter(|&n| passes(&ack(n))).collect();
        assert_eq!(passed, [1, 4, 7, 10]);
        // Each flow is counted separately.
        assert!(passes(&segment(V4, 8, 1, |_| {})));
        assert!(passes(&segment(V6, 7, 1, |_| {})));
        assert!(!passes(&ack(11)));
    }

    #[test]
    fn decimation_handles_sequence_numbers_that_wrap() {
        let config = LinkConfig::new().ack_thinning(AckThinning::Decimation(2));
        let mut decimator = Decimator::default();
        let mut passes = |number: u32| !decimator.takes(&config, &ack(number));
        let numbers = [u32::MAX - 1, u32::MAX, 0, 1];
        assert_eq!(numbers.map(&mut passes), [true, false, true, false]);
    }

    #[test]
    fn segments_with_more_than_an_acknowledgment_number_pass() {
        let config = LinkConfig::new().ack_thinning(AckThinning::Decimation(u32::MAX));
        let mut decimator = Decimator::default();
        let mut passes = |packet: &Bytes| !decimator.takes(&config, packet);
        assert!(passes(&ack(1)), "the first");
        assert!(!passes(&ack(2)));
        assert!(passes(&ack(2)), "a duplicate");
        assert!(passes(&sack(3, &[(10, 20)])));
        let echo = Flags::ACK | Flags::ECE;
        assert!(passes(&segment(V4, 7, 3, |tcp| tcp.flags = echo)));
        assert!(passes(
            &segment(V4, 7, 3, |tcp| tcp.flags = Flags::ACK | Flags::FIN)
        ));
        assert!(passes(&Bytes::from_static(b"noise")));
    }

    #[test]
    fn the_newest_acknowledgment_replaces_the_waiting_one() {
        let other = segment(V4, 8, 1, |_| {});
        let mut waiting = VecDeque::from([other.clone(), ack(5)]);
        assert_eq!(filter(&mut waiting, &ack(6)), Some(ack(5)));
        assert_eq!(waiting, [other, ack(6)]);
        // Neither a duplicate nor an older acknowledgment replaces it.
        for packet in [ack(6), ack(4)] {
            assert_eq!(filter(&mut waiting, &packet), None);
        }
    }

    #[test]
    fn filtering_loses_no_information() {
        let older = sack(100, &[(200, 300), (150, 160)]);
        for (newer, takes) in [
            (sack(100, &[(200, 310), (150, 160)]), true),
            (sack(100, &[(150, 160), (120, 130), (200, 300)]), true),
            (sack(160, &[(200, 300)]), true),
            (ack(300), true),
            (older.clone(), false),
            (sack(100, &[(400, 500), (200, 300)]), false),
            (sack(90, &[(200, 300), (150, 160)]), false),
            (ack(200), false),
        ] {
            let mut waiting = VecDeque::from([older.clone()]);
            let taken = filter(&mut waiting, &newer).is_some();
            assert_eq!(taken, takes, "{:?}", PureAck::of(&newer));
        }
        // A D-SACK block, below the acknowledgment number or within another block.
        for report in [sack(100, &[(50, 60)]), sack(100, &[(210, 220), (200, 300)])] {
            assert_eq!(filter(&mut VecDeque::from([report]), &ack(400)), None);
        }
    }
}
