//! The size of segments that the path to the peer carries: as reported by routers (RFC 1191,
//! RFC 8201) and, without such reports, as found by probing (RFC 4821 7, RFC 8899 4).

use std::num::NonZeroU32;
use std::time::Duration;

use super::{Context, Tcb};
use crate::config::MtuProbing;
use crate::error::DropReason;
use crate::tcp::recovery::scoreboard::DUP_THRESH;
use crate::time::Instant;

/// Smallest accepted path MTU (RFC 8201 4 for IPv6; Linux's `min_pmtu` for IPv4).
const MIN_PMTU_V4: u32 = 552;
const MIN_PMTU_V6: u32 = 1280;

/// Payload that is tried first where full segments are lost (Linux's `tcp_base_mss`; RFC 4821 7.2).
const BASE_SEGMENT: u32 = 1024;

/// Distance in bytes between the bounds at which the search ends.
const CLOSE_ENOUGH: u32 = 8;

/// Time after which a completed search begins again (RFC 8899 5.1.1, PMTU_RAISE_TIMER).
const RAISE_AFTER: Duration = Duration::from_secs(600);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Path {
    /// The MTU of the device and of reports from routers, as of `generation` of the stack's path
    /// information.
    mtu: u16,
    /// The largest payload of an acknowledged segment; at most that of a full segment.
    proven: u16,
    /// Zero if the stack has not been queried yet.
    generation: u32,
    /// The end of a full segment that is larger than any before (the lower half of the position):
    /// when it is acknowledged, its size is proven.
    larger: Option<NonZeroU32>,
    doubts: Option<Box<Doubts>>,
}

/// State that few connections ever need.
#[derive(Debug, Default)]
struct Doubts {
    /// Full segments were lost without a report: the search for a size that arrives.
    search: Option<Search>,
    /// A router's report that contradicts the sizes that have arrived.
    claim: Option<Claim>,
}

/// A report that a router dropped the segment at a position.
#[derive(Clone, Copy, Debug)]
struct Claim {
    mtu: u32,
    position: u64,
}

/// A search between two payload sizes, in bytes.
#[derive(Clone, Copy, Debug)]
struct Search {
    /// The size of the segments sent.
    low: u32,
    /// Larger segments are lost.
    high: u32,
    /// Time from which the next probe may be sent.
    due: Instant,
    /// The size of the probe that may be sent now.
    size: Option<u32>,
    /// The probe in flight: its start and end.
    probe: Option<(u64, u64)>,
}

impl Search {
    fn new(low: u32, high: u32, now: Instant) -> Self {
        Self {
            low,
            high,
            due: now,
            size: None,
            probe: None,
        }
    }
}

impl Path {
    /// The largest packet, in bytes, that presumably arrives; zero before anything was sent.
    pub(crate) fn mtu(&self) -> u32 {
        self.mtu.into()
    }

    /// The positions of a probe that was sent, until it is acknowledged or lost.
    pub(crate) fn probe_under_way(&self) -> Option<(u64, u64)> {
        self.search()?.probe
    }

    fn search(&self) -> Option<&Search> {
        self.doubts.as_ref()?.search.as_ref()
    }

    fn search_mut(&mut self) -> Option<&mut Search> {
        self.doubts.as_mut()?.search.as_mut()
    }

    fn end_search(&mut self) {
        if let Some(doubts) = &mut self.doubts {
            doubts.search = None;
        }
    }

    fn begin_search(&mut self, search: Search) {
        self.doubts.get_or_insert_default().search = Some(search);
    }

    /// `length` bytes of new data from `start` on are sent, in segments of `mss` bytes.
    pub(crate) fn on_sent(&mut self, start: u64, length: u64, mss: u32) {
        if u32::from(self.proven) < mss && self.larger.is_none() && length >= u64::from(mss) {
            self.larger = NonZeroU32::new((start + u64::from(mss)) as u32);
        }
    }

    /// Everything below `una` is acknowledged; full segments have `mss` bytes.
    fn on_acked(&mut self, una: u64, mss: u32) {
        let arrived = |end: NonZeroU32| (una as u32).wrapping_sub(end.get()) < 1 << 31;
        if self.larger.is_some_and(arrived) {
            self.larger = None;
            self.proven = mss.min(u16::MAX.into()) as u16;
        }
        if let Some(doubts) = &mut self.doubts
            && doubts.claim.is_some_and(|claim| claim.position < una)
        {
            doubts.claim = None;
        }
    }

    /// Full segments have `mss` bytes from now on.
    fn on_resized(&mut self, mss: u32) {
        self.larger = None;
        self.proven = self.proven.min(mss.min(u16::MAX.into()) as u16);
    }
}

impl Tcb {
    /// A router reports a packet that was too large to forward (RFC 1191, RFC 8201): segments
    /// become smaller, and larger ones in flight are retransmitted (RFC 1191 6.4) without a
    /// congestion response. `position` is that of the segment that the router quotes.
    ///
    /// If larger segments have arrived before, the report may be forged by an attacker that has
    /// guessed a sequence number. It is then believed if the data in flight has timed out or does
    /// so, and discarded if the quoted data is acknowledged (RFC 5927 7.2).
    pub(crate) fn on_packet_too_big(&mut self, mtu: u32, position: u64, cx: &mut Context<'_>) {
        if mtu < self.min_pmtu() && self.tuple.local_ip.is_ipv6() {
            // RFC 8201 4: a message that reports less must be discarded.
            cx.counters.count_drop(DropReason::IcmpUnrelated);
            return;
        }
        let mtu = mtu.max(self.min_pmtu());
        let length = self.segment_len_for_mtu(mtu);
        if length >= self.sender.snd.mss {
            return;
        }
        if length >= self.sender.path.proven.into() || self.sender.retries > 0 {
            self.believe_path_mtu(mtu, cx);
            return;
        }
        cx.counters.count_drop(DropReason::IcmpImplausible);
        let claim = &mut self.sender.path.doubts.get_or_insert_default().claim;
        // Of two reports the one that does less harm if forged is kept. A router with a smaller MTU
        // will repeat its report.
        if claim.is_none_or(|earlier| earlier.mtu <= mtu) {
            *claim = Some(Claim { mtu, position });
        }
    }

    /// The retransmission timer fired. A reported drop of data that is still unacknowledged is
    /// believed.
    pub(crate) fn believe_claim(&mut self, cx: &mut Context<'_>) {
        let Some(doubts) = &mut self.sender.path.doubts else {
            return;
        };
        if let Some(Claim { mtu, position }) = doubts.claim.take()
            && !self
                .sender
                .recovery
                .board
                .has_sacked(position, position + 1)
            && self.sender.snd.flight() > self.segment_len_for_mtu(mtu).into()
        {
            self.believe_path_mtu(mtu, cx);
        }
    }

    fn believe_path_mtu(&mut self, mtu: u32, cx: &mut Context<'_>) {
        cx.paths.lower(self.tuple.remote_ip, mtu, cx.now);
        self.follow_path_mtu(cx);
        self.sender.recovery.resend_larger(self.sender.snd.mss);
    }

    /// Applies the stack's current path information, and determines whether a probe is due.
    pub(crate) fn follow_path_mtu(&mut self, cx: &mut Context<'_>) {
        let generation = cx.paths.generation(cx.now);
        if self.sender.path.generation != generation {
            let first = std::mem::replace(&mut self.sender.path.generation, generation) == 0;
            let device = cx.config.mtu.min(u16::MAX.into()) as u16;
            let told = cx.paths.mtu(self.tuple.remote_ip, cx.now);
            self.sender.path.mtu = told.map_or(device, |mtu| mtu.min(device.into()) as u16);
            if first && cx.config.mtu_probing == MtuProbing::Always {
                self.search_from_the_beginning(cx.now);
            }
            self.apply_path_mtu();
        }
        self.schedule_path_probe(cx.now);
    }

    /// Nothing is known of the path: begins with a size that fits nearly all paths (RFC 4821 7.2).
    fn search_from_the_beginning(&mut self, now: Instant) {
        let most = self.largest_segment();
        if BASE_SEGMENT < most {
            self.sender
                .path
                .begin_search(Search::new(BASE_SEGMENT, most, now));
        }
    }

    /// The retransmission timer fired for the `retries`th time in a row. Large segments that are
    /// lost repeatedly may be too large for a path that does not report it.
    pub(crate) fn suspect_black_hole(&mut self, cx: &Context<'_>) {
        if cx.config.mtu_probing == MtuProbing::Off || self.sender.retries <= self.options.retries1
        {
            return;
        }
        // A segment no larger than the next size to try would be sent unchanged.
        let largest = self
            .sender
            .snd
            .mss
            .min(self.sender.snd.flight().min(u32::MAX.into()) as u32);
        let low = match self.sender.path.search() {
            None if BASE_SEGMENT < largest => BASE_SEGMENT,
            None => largest / 2,
            Some(search) => search.low / 2,
        };
        let low = low.max(self.segment_len_for_mtu(self.min_pmtu()));
        if low < largest {
            let search = Search::new(low, self.sender.snd.mss - 1, cx.now);
            self.sender.path.begin_search(search);
            self.apply_path_mtu();
        }
    }

    /// The size of the probe to send next, if any. Enough data must be able to follow it at once to
    /// reveal its loss (RFC 4821 7.4). No probe is sent while SACK blocks are to be reported,
    /// because their options would enlarge the packet.
    pub(crate) fn path_probe(&self) -> Option<u64> {
        let size = u64::from(self.sender.path.search()?.size?);
        if self.segment_len() < self.sender.snd.mss {
            return None;
        }
        let pipe = self.sender.pipe(self.agreed.sack);
        let window = self
            .sender
            .snd
            .right_edge()
            .saturating_sub(self.sender.snd.nxt);
        let room = window.min(self.sender.cwnd().saturating_sub(pipe));
        let followers = u64::from(DUP_THRESH * self.sender.snd.mss);
        let enough = room.min(self.sender.unsent()) >= size + followers;
        (enough && self.sender.recovery.is_open()).then_some(size)
    }

    /// Whether new data of that length is sent as one packet, as a probe of the path.
    pub(crate) fn is_path_probe(&self, length: u64) -> bool {
        self.path_probe() == Some(length)
    }

    /// A probe was sent.
    pub(crate) fn on_path_probe_sent(&mut self, start: u64, end: u64) {
        if let Some(search) = self.sender.path.search_mut() {
            search.probe = Some((start, end));
            search.size = None;
        }
    }

    /// The segment at `start` was marked lost. If it is the probe, the probe was too large.
    pub(crate) fn on_path_probe_lost(&mut self, start: u64) {
        if let Some(search) = self.sender.path.search_mut()
            && let Some((from, to)) = search.probe
            && (from..to).contains(&start)
        {
            search.probe = None;
            search.high = ((to - from) as u32 - 1).max(search.low);
        }
    }

    /// Everything before SND.UNA was acknowledged. If that includes a probe, or the first full
    /// segment of its size, segments of that size arrive.
    pub(crate) fn on_path_acked(&mut self) {
        self.sender
            .path
            .on_acked(self.sender.snd.una, self.sender.snd.mss);
        let una = self.sender.snd.una;
        if let Some(search) = self.sender.path.search_mut()
            && let Some((from, to)) = search.probe
            && to <= una
        {
            search.probe = None;
            search.low = (to - from) as u32;
            self.sender.path.proven = (to - from).min(u16::MAX.into()) as u16;
            self.apply_path_mtu();
        }
    }

    /// Chooses the size of the next probe: the middle of the remaining interval.
    fn schedule_path_probe(&mut self, now: Instant) {
        let most = self.largest_segment();
        let Some(search) = self.sender.path.search_mut() else {
            return;
        };
        if search.probe.is_some() || search.size.is_some() || now < search.due {
            return;
        }
        if search.low >= most {
            self.sender.path.end_search();
        } else if search.high < search.low + CLOSE_ENOUGH {
            search.due = now + RAISE_AFTER;
            search.high = most;
        } else {
            search.size = Some(search.low.midpoint(search.high.min(most) + 1));
        }
    }

    fn apply_path_mtu(&mut self) {
        let most = self.largest_segment();
        let search = self.sender.path.search();
        let mss = search.map_or(most, |search| search.low.min(most));
        if mss != self.sender.snd.mss {
            self.sender.path.on_resized(mss);
            self.sender.set_mss(mss);
        }
    }

    /// The largest payload that the SYNs and the known MTU allow.
    fn largest_segment(&self) -> u32 {
        self.segment_len_for_mtu(self.sender.path.mtu())
            .min(self.agreed.send_mss.into())
    }

    fn min_pmtu(&self) -> u32 {
        if self.tuple.local_ip.is_ipv4() {
            MIN_PMTU_V4
        } else {
            MIN_PMTU_V6
        }
    }
}
