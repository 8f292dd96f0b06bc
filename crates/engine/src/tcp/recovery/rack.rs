//! RACK: a segment is lost if it was sent before one that has arrived, and is still missing after a
//! reordering window (RFC 8985 6).

use std::time::Duration;

use super::heard::Heard;
use crate::time::Instant;

/// Number of recoveries for which a widened window persists (RFC 8985 6.2 step 4).
const PERSIST: u8 = 16;

/// One transmission of a segment: its time, its serial number, and the end of the segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Transmission {
    pub(crate) at: Instant,
    pub(crate) serial: u64,
    pub(crate) end: u64,
}

/// The external conditions on which the window depends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    pub(crate) min_rtt: Option<Duration>,
    pub(crate) srtt: Option<Duration>,
    /// Whether a loss is known already.
    pub(crate) recovering: bool,
    /// Whether the peer holds three segments or more out of order.
    pub(crate) many_sacked: bool,
    /// End of the last standstill. Segments sent before it get the window from then on: their
    /// acknowledgments may be waiting to be read.
    pub(crate) resumed: Instant,
}

/// The RACK state of one connection.
#[derive(Debug)]
pub(crate) struct Rack {
    /// The newest transmission known to have arrived.
    newest: Transmission,
    /// The round-trip time of that transmission.
    rtt: Duration,
    /// Whether segments have arrived in another order than they were sent.
    pub(crate) reordering: bool,
    quarters: u8,
    persist: u8,
    /// The window is not widened again before this position is acknowledged.
    widened_until: u64,
}

impl Default for Rack {
    fn default() -> Self {
        Self {
            newest: Transmission::default(),
            rtt: Duration::ZERO,
            reordering: false,
            quarters: 1,
            persist: 0,
            widened_until: 0,
        }
    }
}

impl Rack {
    /// A transmission has arrived (RFC 8985 6.2 step 2). `again` means that it was a
    /// retransmission: the acknowledgment may then be for an earlier transmission, if it arrived
    /// sooner than any could.
    pub(crate) fn on_arrived(
        &mut self,
        heard: &Heard,
        transmission: Transmission,
        again: bool,
        min_rtt: Option<Duration>,
    ) {
        if heard.is_of(transmission.at, again, min_rtt) && transmission > self.newest {
            self.newest = transmission;
            self.measure(heard, transmission.at);
        }
    }

    /// The last segment of an acknowledgment was sent at `at`: its round-trip time counts, even if
    /// another segment was sent later (RFC 8985 6.2 step 2, as on Linux).
    pub(crate) fn on_last_arrived(
        &mut self,
        heard: &Heard,
        at: Instant,
        again: bool,
        min_rtt: Option<Duration>,
    ) {
        if heard.is_of(at, again, min_rtt) {
            self.measure(heard, at);
        }
    }

    fn measure(&mut self, heard: &Heard, at: Instant) {
        self.rtt = heard.since(at).unwrap_or(self.rtt);
    }

    /// The newest transmission known to have arrived: earlier ones are due.
    pub(crate) fn newest(&self) -> Transmission {
        self.newest
    }

    /// Time at which a segment sent at `at` is lost, unless it is acknowledged before.
    pub(crate) fn deadline(&self, at: Instant, conditions: &Conditions) -> Instant {
        let mut due = at + self.rtt;
        if at < conditions.resumed {
            due = due.max(conditions.resumed);
        }
        due + self.window(conditions)
    }

    /// The reordering window (RFC 8985 6.2 step 4).
    fn window(&self, conditions: &Conditions) -> Duration {
        if !self.reordering && (conditions.recovering || conditions.many_sacked) {
            return Duration::ZERO;
        }
        let min_rtt = conditions.min_rtt.unwrap_or_default();
        let window = min_rtt / 4 * u32::from(self.quarters);
        window.min(conditions.srtt.unwrap_or(window))
    }

    /// The peer received data twice: a retransmission was unnecessary, and the window is too small.
    pub(crate) fn on_duplicate(&mut self, una: u64, nxt: u64) {
        if una >= self.widened_until {
            self.quarters = self.quarters.saturating_add(1);
            self.widened_until = nxt;
        }
        self.persist = PERSIST;
    }

    /// A recovery has ended.
    pub(crate) fn on_recovered(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            self.quarters = 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(100);

    fn conditions() -> Conditions {
        Conditions {
            min_rtt: Some(RTT),
            srtt: Some(RTT),
            recovering: false,
            many_sacked: false,
            resumed: Instant::ZERO,
        }
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn a_quarter_of_the_smallest_round_trip_is_left_for_reordering() {
        let mut rack = Rack::default();
        rack.on_arrived(
            &Heard::at(at(100)),
            Transmission {
                at: at(0),
                serial: 1,
                end: 2000,
            },
            false,
            Some(RTT),
        );
        let due = |rack: &Rack, conditions| rack.deadline(at(0), &conditions);
        assert_eq!(due(&rack, conditions()), at(125));
        let sure = Conditions {
            many_sacked: true,
            ..conditions()
        };
        assert_eq!(due(&rack, sure), at(100), "three segments are proof enough");
        let sure = Conditions {
            recovering: true,
            ..conditions()
        };
        assert_eq!(due(&rack, sure), at(100));
        rack.reordering = true;
        assert_eq!(
            due(&rack, sure),
            at(125),
            "not where segments overtake each other"
        );
    }

    #[test]
    fn duplicates_widen_the_window_for_sixteen_recoveries() {
        let mut rack = Rack {
            reordering: true,
            rtt: RTT,
            ..Rack::default()
        };
        rack.on_duplicate(0, 5000);
        rack.on_duplicate(1000, 6000);
        assert_eq!(rack.window(&conditions()), RTT / 2, "once in a round trip");
        for _ in 0..8 {
            rack.on_duplicate(rack.widened_until, rack.widened_until + 1);
        }
        assert_eq!(
            rack.window(&conditions()),
            RTT,
            "never more than a round trip"
        );
        for _ in 0..15 {
            rack.on_recovered();
        }
        assert_eq!(rack.window(&conditions()), RTT);
        rack.on_recovered();
        assert_eq!(rack.window(&conditions()), RTT / 4);
    }

    #[test]
    fn a_retransmission_is_not_acknowledged_sooner_than_possible() {
        let mut rack = Rack::default();
        let sent = Transmission {
            at: at(500),
            serial: 1,
            end: 1000,
        };
        rack.on_arrived(&Heard::at(at(550)), sent, true, Some(RTT));
        assert_eq!(rack.newest(), Transmission::default());
        rack.on_arrived(&Heard::at(at(550)), sent, false, Some(RTT));
        assert_eq!(rack.newest(), sent);
    }

    #[test]
    fn the_last_of_an_acknowledgment_tells_how_long_it_took() {
        let mut rack = Rack::default();
        let again = Transmission {
            at: at(500),
            serial: 9,
            end: 1000,
        };
        rack.on_arrived(&Heard::at(at(620)), again, true, Some(RTT));
        rack.on_last_arrived(&Heard::at(at(620)), at(400), false, Some(RTT));
        assert_eq!(rack.newest(), again);
        assert_eq!(rack.rtt, Duration::from_millis(220));
    }

    #[test]
    fn what_was_sent_before_a_standstill_has_its_window_after_it() {
        let mut rack = Rack {
            rtt: RTT,
            ..Rack::default()
        };
        let resumed = at(20_000);
        let heard = Heard {
            at: resumed,
            resumed,
        };
        let sent = Transmission {
            at: at(500),
            serial: 2,
            end: 2000,
        };
        rack.on_arrived(&heard, sent, false, Some(RTT));
        assert_eq!((rack.newest(), rack.rtt), (sent, RTT));
        let conditions = Conditions {
            resumed,
            ..conditions()
        };
        assert_eq!(rack.deadline(at(500), &conditions), resumed + RTT / 4);
    }
}
