//! A connection's congestion control, which comes into being with the first acknowledgment of data: of
//! connections that send nothing there may be very many.

use super::{Congestion, create, initial_window, rescaled};
use crate::config::CongestionControl;

/// See the module.
#[derive(Debug)]
pub(crate) struct Control {
    kind: CongestionControl,
    mss: u32,
    initial_window: u32,
    algorithm: Option<Box<dyn Congestion>>,
}

impl Control {
    /// Begins with `segments` full segments of `mss` bytes.
    pub(crate) fn new(kind: CongestionControl, segments: u8, mss: u32) -> Self {
        Self {
            kind,
            mss: mss.max(1),
            initial_window: initial_window(segments, mss),
            algorithm: None,
        }
    }

    /// The algorithm, made if need be.
    pub(crate) fn as_mut(&mut self) -> &mut dyn Congestion {
        let Self {
            kind,
            mss,
            initial_window,
            ref mut algorithm,
        } = *self;
        algorithm
            .get_or_insert_with(|| create(kind, initial_window, mss))
            .as_mut()
    }

    /// Goes on by another algorithm, with the window as it is.
    pub(crate) fn change(&mut self, kind: CongestionControl) {
        if kind != self.kind {
            self.kind = kind;
            let before = self.algorithm.take();
            self.algorithm = before.map(|before| create(kind, before.cwnd(), self.mss));
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.kind.name()
    }

    pub(crate) fn cwnd(&self) -> u32 {
        self.algorithm
            .as_ref()
            .map_or(self.initial_window, |algorithm| algorithm.cwnd())
    }

    pub(crate) fn ssthresh(&self) -> u32 {
        self.algorithm
            .as_ref()
            .map_or(u32::MAX, |algorithm| algorithm.ssthresh())
    }

    pub(crate) fn set_mss(&mut self, mss: u32) {
        self.initial_window = rescaled(self.initial_window, self.mss, mss);
        self.mss = mss.max(1);
        if let Some(algorithm) = &mut self.algorithm {
            algorithm.set_mss(mss);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

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
    }

    #[test]
    fn a_smaller_segment_keeps_the_count() {
        let mut control = Control::new(CongestionControl::NewReno, 10, 1000);
        control.set_mss(500);
        assert_eq!(control.cwnd(), 5000);
        control.as_mut().on_rto(Instant::ZERO, 5000, true);
        assert_eq!(control.cwnd(), 500);
    }
}
