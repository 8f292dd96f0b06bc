//! The size of segments that the path to the peer carries: what routers say (RFC 1191, RFC 8201), and
//! where they say nothing, what gets through (RFC 4821 7, RFC 8899 4).

use std::time::Duration;

use super::{Context, Tcb};
use crate::config::MtuProbing;
use crate::error::DropReason;
use crate::recovery::scoreboard::DUP_THRESH;
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
    negotiated: u32,
    /// What the device and the routers allow, as of `generation` of the stack's knowledge.
    mtu: u32,
    generation: Option<u32>,
    /// Full segments have vanished without a word: the search for the size that does not.
    search: Option<Box<Search>>,
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
            negotiated: mss,
            ..Self::default()
        }
    }

    /// The largest packet believed to get through, in bytes; zero before anything was sent.
    pub(crate) fn mtu(&self) -> u32 {
        self.mtu
    }

    /// The positions that a probe has gone out with, until it is acknowledged or lost.
    pub(crate) fn probe_under_way(&self) -> Option<(u64, u64)> {
        self.search.as_ref()?.probe
    }
}

impl Tcb {
    /// A router could not forward so large a packet (RFC 1191, RFC 8201): smaller segments from here on, and
    /// what is in flight and larger than that again (RFC 1191 6.4), without blaming congestion.
    pub(super) fn on_packet_too_big(&mut self, mtu: u32, cx: &mut Context<'_>) {
        if mtu < self.min_pmtu() && self.tuple.local_ip.is_ipv6() {
            // RFC 8201 4: a message that reports less must be discarded.
            cx.counters.count_drop(DropReason::IcmpUnrelated);
            return;
        }
        let mtu = mtu.max(self.min_pmtu());
        if self.segment_len_for_mtu(mtu) < self.snd.mss {
            cx.paths.lower(self.tuple.remote_ip, mtu, cx.now);
            self.follow_path_mtu(cx);
            self.recovery.resend_larger(self.snd.mss);
        }
    }

    /// Takes over what the stack knows of the path now, and whether it is time for a probe.
    pub(super) fn follow_path_mtu(&mut self, cx: &mut Context<'_>) {
        let generation = cx.paths.generation(cx.now);
        if self.path.generation != Some(generation) {
            let first = self.path.generation.replace(generation).is_none();
            let device = cx.config.mtu.min(u16::MAX.into()) as u32;
            let told = cx.paths.mtu(self.tuple.remote_ip);
            self.path.mtu = told.map_or(device, |mtu| mtu.min(device));
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
            self.path.search = Some(Box::new(Search::new(BASE_SEGMENT, most, now)));
        }
    }

    /// The retransmission timer fired, `retries` times in a row by now. When large segments vanish
    /// again and again, they may be too large for a path that does not say so.
    pub(super) fn suspect_black_hole(&mut self, cx: &Context<'_>) {
        if cx.config.mtu_probing == MtuProbing::Off || self.retries <= self.options.retries1 {
            return;
        }
        // A segment no larger than what is tried next would be sent just as before.
        let largest = self
            .snd
            .mss
            .min(self.snd.flight().min(u32::MAX.into()) as u32);
        let low = match &self.path.search {
            None if BASE_SEGMENT < largest => BASE_SEGMENT,
            None => largest / 2,
            Some(search) => search.low / 2,
        };
        let low = low.max(self.segment_len_for_mtu(self.min_pmtu()));
        if low < largest {
            let search = Search::new(low, self.snd.mss - 1, cx.now);
            self.path.search = Some(Box::new(search));
            self.apply_path_mtu();
        }
    }

    /// The size of the probe that goes out next, if one does. What may follow it at once must be enough to tell of its
    /// loss (RFC 4821 7.4). While there is SACK to report, whose options would make its packet larger, none does.
    pub(super) fn path_probe(&self) -> Option<u64> {
        let size = u64::from(self.path.search.as_ref()?.size?);
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
    pub(super) fn is_path_probe(&self, length: u64) -> bool {
        self.path_probe() == Some(length)
    }

    /// A probe went out.
    pub(super) fn on_path_probe_sent(&mut self, start: u64, end: u64) {
        if let Some(search) = &mut self.path.search {
            search.probe = Some((start, end));
            search.size = None;
        }
    }

    /// A segment from `start` on was taken for lost. If it is the probe, it was too large.
    pub(super) fn on_path_probe_lost(&mut self, start: u64) {
        if let Some(search) = &mut self.path.search
            && let Some((from, to)) = search.probe
            && (from..to).contains(&start)
        {
            search.probe = None;
            search.high = ((to - from) as u32 - 1).max(search.low);
        }
    }

    /// Everything before SND.UNA was acknowledged. If the probe is, segments of its size get through.
    pub(super) fn on_path_probe_acked(&mut self) {
        if let Some(search) = &mut self.path.search
            && let Some((from, to)) = search.probe
            && to <= self.snd.una
        {
            search.probe = None;
            search.low = (to - from) as u32;
            self.apply_path_mtu();
        }
    }

    /// Chooses the size of the next probe: the middle of what is left.
    fn schedule_path_probe(&mut self, now: Instant) {
        let most = self.largest_segment();
        let Some(search) = &mut self.path.search else {
            return;
        };
        if search.probe.is_some() || search.size.is_some() || now < search.due {
            return;
        }
        if search.low >= most {
            self.path.search = None;
        } else if search.high < search.low + CLOSE_ENOUGH {
            search.due = now + RAISE_AFTER;
            search.high = most;
        } else {
            search.size = Some(search.low.midpoint(search.high.min(most) + 1));
        }
    }

    fn apply_path_mtu(&mut self) {
        let most = self.largest_segment();
        let search = self.path.search.as_ref();
        let mss = search.map_or(most, |search| search.low.min(most));
        if mss != self.snd.mss {
            self.set_send_mss(mss);
        }
    }

    /// What the SYNs and the known MTU allow.
    fn largest_segment(&self) -> u32 {
        self.segment_len_for_mtu(self.path.mtu)
            .min(self.path.negotiated)
    }

    fn min_pmtu(&self) -> u32 {
        if self.tuple.local_ip.is_ipv4() {
            MIN_PMTU_V4
        } else {
            MIN_PMTU_V6
        }
    }
}
