//! The size of segments that the path to the peer carries: what routers say (RFC 1191, RFC 8201), and
//! where they say nothing, what gets through (RFC 4821 7, RFC 8899 4).

use std::num::NonZeroU32;
use std::time::Duration;

use super::{Context, Tcb};
use crate::config::MtuProbing;
use crate::error::DropReason;
use crate::tcp::recovery::scoreboard::DUP_THRESH;
use crate::time::Instant;

/// Smallest path MTU believed (RFC 8201 4 for IPv6; Linux's `min_pmtu` for IPv4).
const MIN_PMTU_V4: u32 = 552;
const MIN_PMTU_V6: u32 = 1280;

/// Payload that is tried first where full segments vanish (Linux's `tcp_base_mss`; RFC 4821 7.2).
const BASE_SEGMENT: u32 = 1024;

/// The search ends when the bounds are so near to each other.
const CLOSE_ENOUGH: u32 = 8;

/// When a search that has ended begins again (RFC 8899 5.1.1, PMTU_RAISE_TIMER).
const RAISE_AFTER: Duration = Duration::from_secs(600);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Path {
    /// Payload of a full segment as the SYNs have it, timestamps counted.
    negotiated: u16,
    /// What the device and the routers allow, as of `generation` of the stack's knowledge.
    mtu: u16,
    /// The largest payload of a segment that was acknowledged; no more than that of a full one.
    proven: u16,
    /// Zero: nothing was asked yet.
    generation: u32,
    /// Where a full segment ends that is larger than any before (the lower half of the position): when it is acknowledged,
    /// its size is proven.
    larger: Option<NonZeroU32>,
    doubts: Option<Box<Doubts>>,
}

/// What few connections ever have.
#[derive(Debug, Default)]
struct Doubts {
    /// Full segments have vanished without a word: the search for the size that does not.
    search: Option<Search>,
    /// A router's word that does not fit what has got through.
    claim: Option<Claim>,
}

/// A router is said to have dropped what was sent at a position.
#[derive(Clone, Copy, Debug)]
struct Claim {
    mtu: u32,
    position: u64,
}

/// A search between two sizes of payload.
#[derive(Clone, Copy, Debug)]
struct Search {
    /// Segments of this size are sent.
    low: u32,
    /// Larger ones are lost.
    high: u32,
    /// The next probe is sent from then on.
    due: Instant,
    /// The probe that may be sent now.
    size: Option<u32>,
    /// The probe in flight: from where to where.
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
    /// The SYNs have agreed on segments of `mss` bytes.
    pub(crate) fn new(mss: u32) -> Self {
        Self {
            negotiated: mss.min(u16::MAX.into()) as u16,
            ..Self::default()
        }
    }

    /// The largest packet believed to get through, in bytes; zero before anything was sent.
    pub(crate) fn mtu(&self) -> u32 {
        self.mtu.into()
    }

    /// The positions that a probe has gone out with, until it is acknowledged or lost.
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

    /// New data is sent from `start` on, `length` bytes in segments of `mss`.
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
    /// A router could not forward so large a packet (RFC 1191, RFC 8201): smaller segments from here on, and
    /// what is in flight and larger than that again (RFC 1191 6.4), without blaming congestion. `position` is that of the
    /// segment that the router quotes.
    ///
    /// Where larger segments have got through before, anybody may have said that who has guessed a sequence number. It counts
    /// then if what is in flight has timed out or does so, and for nothing if what it quotes is acknowledged (RFC 5927 7.2).
    pub(crate) fn on_packet_too_big(&mut self, mtu: u32, position: u64, cx: &mut Context<'_>) {
        if mtu < self.min_pmtu() && self.tuple.local_ip.is_ipv6() {
            // RFC 8201 4: a message that reports less must be discarded.
            cx.counters.count_drop(DropReason::IcmpUnrelated);
            return;
        }
        let mtu = mtu.max(self.min_pmtu());
        let length = self.segment_len_for_mtu(mtu);
        if length >= self.snd.mss {
            return;
        }
        if length >= self.path.proven.into() || self.retries > 0 {
            self.believe_path_mtu(mtu, cx);
            return;
        }
        cx.counters.count_drop(DropReason::IcmpImplausible);
        let claim = &mut self.path.doubts.get_or_insert_default().claim;
        // Of two the one that does less harm if it is a lie. A router that has to say less will say it again.
        if claim.is_none_or(|earlier| earlier.mtu <= mtu) {
            *claim = Some(Claim { mtu, position });
        }
    }

    /// The retransmission timer fired. What a router is said to have dropped, and is not acknowledged, it has dropped.
    pub(crate) fn believe_claim(&mut self, cx: &mut Context<'_>) {
        let Some(doubts) = &mut self.path.doubts else {
            return;
        };
        if let Some(Claim { mtu, position }) = doubts.claim.take()
            && !self.recovery.board.has_sacked(position, position + 1)
            && self.snd.flight() > self.segment_len_for_mtu(mtu).into()
        {
            self.believe_path_mtu(mtu, cx);
        }
    }

    fn believe_path_mtu(&mut self, mtu: u32, cx: &mut Context<'_>) {
        cx.paths.lower(self.tuple.remote_ip, mtu, cx.now);
        self.follow_path_mtu(cx);
        self.recovery.resend_larger(self.snd.mss);
    }

    /// Takes over what the stack knows of the path now, and whether it is time for a probe.
    pub(crate) fn follow_path_mtu(&mut self, cx: &mut Context<'_>) {
        let generation = cx.paths.generation(cx.now);
        if self.path.generation != generation {
            let first = std::mem::replace(&mut self.path.generation, generation) == 0;
            let device = cx.config.mtu.min(u16::MAX.into()) as u16;
            let told = cx.paths.mtu(self.tuple.remote_ip, cx.now);
            self.path.mtu = told.map_or(device, |mtu| mtu.min(device.into()) as u16);
            if first && cx.config.mtu_probing == MtuProbing::Always {
                self.search_from_the_beginning(cx.now);
            }
            self.apply_path_mtu();
        }
        self.schedule_path_probe(cx.now);
    }

    /// Nothing is known of the path: what is small enough for most gets through (RFC 4821 7.2).
    fn search_from_the_beginning(&mut self, now: Instant) {
        let most = self.largest_segment();
        if BASE_SEGMENT < most {
            self.path.begin_search(Search::new(BASE_SEGMENT, most, now));
        }
    }

    /// The retransmission timer fired, `retries` times in a row by now. When large segments vanish
    /// again and again, they may be too large for a path that does not say so.
    pub(crate) fn suspect_black_hole(&mut self, cx: &Context<'_>) {
        if cx.config.mtu_probing == MtuProbing::Off || self.retries <= self.options.retries1 {
            return;
        }
        // A segment no larger than what is tried next would be sent just as before.
        let largest = self
            .snd
            .mss
            .min(self.snd.flight().min(u32::MAX.into()) as u32);
        let low = match self.path.search() {
            None if BASE_SEGMENT < largest => BASE_SEGMENT,
            None => largest / 2,
            Some(search) => search.low / 2,
        };
        let low = low.max(self.segment_len_for_mtu(self.min_pmtu()));
        if low < largest {
            let search = Search::new(low, self.snd.mss - 1, cx.now);
            self.path.begin_search(search);
            self.apply_path_mtu();
        }
    }

    /// The size of the probe that goes out next, if one does. What may follow it at once must be enough to tell of its
    /// loss (RFC 4821 7.4). While there is SACK to report, whose options would make its packet larger, none does.
    pub(crate) fn path_probe(&self) -> Option<u64> {
        let size = u64::from(self.path.search()?.size?);
        if self.segment_len() < self.snd.mss {
            return None;
        }
        let pipe = self.recovery.pipe(self.sack, self.snd.mss);
        let window = self.snd.right_edge().saturating_sub(self.snd.nxt);
        let room = window.min(self.cwnd().saturating_sub(pipe));
        let followers = u64::from(DUP_THRESH * self.snd.mss);
        let enough = room.min(self.unsent()) >= size + followers;
        (enough && self.recovery.is_open()).then_some(size)
    }

    /// Whether new data of that length goes out as one packet, to see whether it arrives.
    pub(crate) fn is_path_probe(&self, length: u64) -> bool {
        self.path_probe() == Some(length)
    }

    /// A probe went out.
    pub(crate) fn on_path_probe_sent(&mut self, start: u64, end: u64) {
        if let Some(search) = self.path.search_mut() {
            search.probe = Some((start, end));
            search.size = None;
        }
    }

    /// A segment from `start` on was taken for lost. If it is the probe, it was too large.
    pub(crate) fn on_path_probe_lost(&mut self, start: u64) {
        if let Some(search) = self.path.search_mut()
            && let Some((from, to)) = search.probe
            && (from..to).contains(&start)
        {
            search.probe = None;
            search.high = ((to - from) as u32 - 1).max(search.low);
        }
    }

    /// Everything before SND.UNA was acknowledged. If a probe is, or the first full segment of its size, segments of that
    /// size get through.
    pub(crate) fn on_path_acked(&mut self) {
        self.path.on_acked(self.snd.una, self.snd.mss);
        let una = self.snd.una;
        if let Some(search) = self.path.search_mut()
            && let Some((from, to)) = search.probe
            && to <= una
        {
            search.probe = None;
            search.low = (to - from) as u32;
            self.path.proven = (to - from).min(u16::MAX.into()) as u16;
            self.apply_path_mtu();
        }
    }

    /// Chooses the size of the next probe: the middle of what is left.
    fn schedule_path_probe(&mut self, now: Instant) {
        let most = self.largest_segment();
        let Some(search) = self.path.search_mut() else {
            return;
        };
        if search.probe.is_some() || search.size.is_some() || now < search.due {
            return;
        }
        if search.low >= most {
            self.path.end_search();
        } else if search.high < search.low + CLOSE_ENOUGH {
            search.due = now + RAISE_AFTER;
            search.high = most;
        } else {
            search.size = Some(search.low.midpoint(search.high.min(most) + 1));
        }
    }

    fn apply_path_mtu(&mut self) {
        let most = self.largest_segment();
        let search = self.path.search();
        let mss = search.map_or(most, |search| search.low.min(most));
        if mss != self.snd.mss {
            self.path.on_resized(mss);
            self.set_send_mss(mss);
        }
    }

    /// What the SYNs and the known MTU allow.
    fn largest_segment(&self) -> u32 {
        self.segment_len_for_mtu(self.path.mtu())
            .min(self.path.negotiated.into())
    }

    fn min_pmtu(&self) -> u32 {
        if self.tuple.local_ip.is_ipv4() {
            MIN_PMTU_V4
        } else {
            MIN_PMTU_V6
        }
    }
}
