//! The congestion control of a connection and the pacer that spaces its segments. They are created
//! when needed, usually with the first acknowledgment of data: there may be very many connections
//! that send nothing.
//!
//! What is called for each segment is marked for inlining: this module is compiled apart from its
//! callers.

use std::time::Duration;

use super::pacing::Pacer;
use super::{Congestion, create, initial_window, rescaled};
use crate::congestion::CongestionControl;
use crate::time::Instant;

/// What the application wants of pacing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PacingWish {
    /// Segments are paced, whatever the algorithm needs.
    pub(crate) pacing: bool,
    /// Upper bound of the rate, in bytes per second.
    pub(crate) most: u64,
}

impl PacingWish {
    /// The bound that is none.
    pub(crate) const UNLIMITED: u64 = u64::MAX;

    fn asks_for_pacing(self) -> bool {
        self.pacing || self.most < Self::UNLIMITED
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Control {
    kind: CongestionControl,
    mss: u32,
    initial_window: u32,
    running: Option<Box<Running>>,
}

#[derive(Debug)]
struct Running {
    algorithm: Box<dyn Congestion>,
    pacer: Option<Pacer>,
}

impl Control {
    /// Creates the state for an initial window of `segments` full segments of `mss` bytes.
    pub(crate) fn new(kind: CongestionControl, segments: u8, mss: u32) -> Self {
        Self {
            kind,
            mss: mss.max(1),
            initial_window: initial_window(segments, mss),
            running: None,
        }
    }

    /// The algorithm, created if necessary.
    #[inline]
    pub(crate) fn as_mut(&mut self) -> &mut dyn Congestion {
        self.running().algorithm.as_mut()
    }

    /// Changes to another algorithm, with the current window and threshold.
    pub(crate) fn change(&mut self, kind: CongestionControl) {
        if kind != self.kind {
            self.kind = kind;
            if let Some(running) = &mut self.running {
                let algorithm = &mut running.algorithm;
                let (cwnd, ssthresh) = (algorithm.cwnd(), algorithm.ssthresh());
                *algorithm = create(kind, self.initial_window, self.mss);
                algorithm.take_over(cwnd, ssthresh);
            }
        }
    }

    /// `bytes` of data are sent.
    #[inline]
    pub(crate) fn on_sent(
        &mut self,
        now: Instant,
        bytes: u64,
        wish: PacingWish,
        srtt: Option<Duration>,
    ) {
        if self.pacer().is_none() && (wish.asks_for_pacing() || self.kind.wants_first_flight()) {
            self.running();
            self.set_pace(now, wish, srtt);
        }
        if let Some(pacer) = self
            .running
            .as_mut()
            .and_then(|running| running.pacer.as_mut())
        {
            pacer.on_sent(now, bytes.min(u64::from(u32::MAX)) as u32);
        }
    }

    /// Data is sent while nothing is outstanding; the previous data was sent `silence` ago.
    #[inline]
    pub(crate) fn on_send_from_idle(&mut self, now: Instant, silence: Duration) {
        if let Some(running) = &mut self.running {
            running.algorithm.on_send_from_idle(now, silence);
        }
    }

    /// Updates the pacer after a possible change of the rate.
    #[inline]
    pub(crate) fn set_pace(&mut self, now: Instant, wish: PacingWish, srtt: Option<Duration>) {
        let mss = self.mss;
        let Some(running) = &mut self.running else {
            return;
        };
        if !(wish.asks_for_pacing() || running.algorithm.needs_pacing()) {
            running.pacer = None;
            return;
        }
        let paced = wish.pacing || running.algorithm.needs_pacing();
        let rate = paced.then(|| running.algorithm.pacing_rate(srtt)).flatten();
        let rate = rate.unwrap_or(u64::MAX).min(wish.most);
        let pacer = running.pacer.get_or_insert_with(|| Pacer::new(now, mss));
        pacer.set_rate(now, (rate < u64::MAX).then_some(rate), mss);
    }

    /// The pacer, if segments are paced.
    #[inline]
    pub(crate) fn pacer(&self) -> Option<&Pacer> {
        self.running.as_ref()?.pacer.as_ref()
    }

    /// Whether the algorithm needs the delivery rate.
    #[inline]
    pub(crate) fn samples_rates(&self) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| running.algorithm.needs_rate_samples())
    }

    pub(crate) fn name(&self) -> &'static str {
        self.kind.name()
    }

    #[inline]
    pub(crate) fn cwnd(&self) -> u32 {
        match (&self.running, self.kind) {
            (Some(running), _) => running.algorithm.cwnd(),
            // One from outside may begin with less.
            (None, CongestionControl::Custom(_)) => {
                create(self.kind, self.initial_window, self.mss).cwnd()
            }
            (None, _) => self.initial_window,
        }
    }

    #[inline]
    pub(crate) fn ssthresh(&self) -> u32 {
        self.running
            .as_ref()
            .map_or(u32::MAX, |running| running.algorithm.ssthresh())
    }

    pub(crate) fn set_mss(&mut self, mss: u32) {
        self.initial_window = rescaled(self.initial_window, self.mss, mss);
        self.mss = mss.max(1);
        if let Some(running) = &mut self.running {
            running.algorithm.set_mss(mss);
        }
    }

    fn running(&mut self) -> &mut Running {
        let Self {
            kind,
            mss,
            initial_window,
            ref mut running,
        } = *self;
        running.get_or_insert_with(|| {
            Box::new(Running {
                algorithm: create(kind, initial_window, mss),
                pacer: None,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_WISH: PacingWish = PacingWish {
        pacing: false,
        most: PacingWish::UNLIMITED,
    };

    #[test]
    fn before_it_is_there_it_is_as_it_will_be() {
        for kind in CongestionControl::ALL {
            let mut control = Control::new(kind, 10, 1460);
            let before = (control.name(), control.cwnd(), control.ssthresh());
            control.as_mut();
            let after = (control.name(), control.cwnd(), control.ssthresh());
            assert_eq!(before, after);
            assert_eq!(control.as_mut().name(), kind.name());
        }
    }

    #[test]
    fn another_algorithm_goes_on_with_the_window() {
        let mut control = Control::new(CongestionControl::NewReno, 10, 1000);
        control.as_mut().on_rto(Instant::ZERO, 5000, true);
        control.change(CongestionControl::Cubic);
        assert_eq!((control.name(), control.cwnd()), ("cubic", 1000));
        assert_eq!(control.ssthresh(), 2500, "what was learnt of the path");
        control.change(CongestionControl::Bbr);
        assert_eq!((control.name(), control.cwnd()), ("bbr", 1000));
        control.change(CongestionControl::NewReno);
        assert_eq!((control.name(), control.cwnd()), ("reno", 1000));
    }

    #[test]
    fn a_smaller_segment_keeps_the_count() {
        let mut control = Control::new(CongestionControl::NewReno, 10, 1000);
        control.set_mss(500);
        assert_eq!(control.cwnd(), 5000);
        control.as_mut().on_rto(Instant::ZERO, 5000, true);
        assert_eq!(control.cwnd(), 500);
    }

    #[test]
    fn only_who_asks_is_paced() {
        let (now, mut wish) = (Instant::ZERO, NO_WISH);
        let srtt = Some(Duration::from_millis(100));
        let mut control = Control::new(CongestionControl::Cubic, 10, 1000);
        control.on_sent(now, 5000, wish, srtt);
        assert!(control.pacer().is_none() && control.running.is_none());
        wish.most = 1_000_000;
        control.on_sent(now, 10_000, wish, srtt);
        let next = |control: &Control| control.pacer().map(|pacer| pacer.next_send_at(now, 1000));
        assert_eq!(next(&control), Some(Instant::from_millis(1)));
        wish.most = PacingWish::UNLIMITED;
        wish.pacing = true;
        // Ten segments in 100 ms, doubled.
        control.set_pace(now, wish, srtt);
        assert_eq!(next(&control), Some(Instant::from_millis(5)));
        wish.pacing = false;
        control.set_pace(now, wish, srtt);
        assert!(control.pacer().is_none());
    }

    #[test]
    fn a_model_of_the_path_is_there_from_the_first_flight_and_paces() {
        let mut control = Control::new(CongestionControl::Bbr, 10, 1000);
        control.on_sent(Instant::ZERO, 10_000, NO_WISH, None);
        assert!(control.samples_rates() && control.pacer().is_some());
    }
}
