//! Properties of every algorithm under any input.

use proptest::prelude::*;

use super::*;

const MSS: u32 = 1448;

#[derive(Clone, Debug)]
enum Call {
    Ack {
        acked: u32,
        limited: bool,
        lost: u32,
        rtt_us: Option<u64>,
        rate: Option<(u64, u64, u32)>,
    },
    Congestion(Cause),
    Lost(u32, u64),
    Rto(bool),
    Undo,
    Recovered,
    FromIdle,
    IdleRestart(u32),
    Mss(u32),
}

fn call() -> impl Strategy<Value = Call> {
    let rate = proptest::option::of((any::<u32>().prop_map(u64::from), any::<u64>(), any::<u32>()));
    let rtt = proptest::option::of(0_u64..10_000_000);
    let ack = (0_u32..10_000_000, any::<bool>(), any::<u32>(), rtt, rate).prop_map(
        |(acked, limited, lost, rtt_us, rate)| Call::Ack {
            acked,
            limited,
            lost,
            rtt_us,
            rate,
        },
    );
    prop_oneof![
        20 => ack,
        1 => prop_oneof![Just(Cause::Loss), Just(Cause::Ecn)].prop_map(Call::Congestion),
        1 => (any::<u32>(), any::<u32>()).prop_map(|(flight, lost)| Call::Lost(flight, lost.into())),
        1 => any::<bool>().prop_map(Call::Rto),
        1 => Just(Call::Undo),
        1 => Just(Call::Recovered),
        1 => Just(Call::FromIdle),
        1 => (1..40u32).prop_map(Call::IdleRestart),
        1 => (536_u32..65_000).prop_map(Call::Mss),
    ]
}

/// Time and counters increase; everything else is arbitrary.
struct Driver {
    congestion: Box<dyn Congestion>,
    now: Instant,
    delivered: u64,
    mss: u32,
}

impl Driver {
    fn make(&mut self, call: &Call) {
        let (now, flight) = (self.now, self.congestion.cwnd());
        match *call {
            Call::Ack {
                acked,
                limited,
                lost,
                rtt_us,
                rate,
            } => {
                let sample = self.sample(acked, limited, lost, rtt_us, rate);
                self.congestion.on_ack(&sample);
            }
            Call::Congestion(cause) => {
                self.congestion
                    .on_congestion(&CongestionEvent { now, flight, cause });
            }
            Call::Lost(prior_in_flight, lost) => self.congestion.on_lost(&LostSegment {
                now,
                bytes: self.mss,
                app_limited: false,
                prior_in_flight,
                prior_delivered: self.delivered,
                lost,
            }),
            Call::Rto(first) => self.congestion.on_rto(now, flight, first),
            Call::Undo => self.congestion.undo(now),
            Call::Recovered => self.congestion.on_recovered(now),
            Call::FromIdle => self
                .congestion
                .on_send_from_idle(now, Duration::from_secs(1)),
            Call::IdleRestart(timeouts) => self.congestion.on_idle_restart(now, timeouts),
            Call::Mss(mss) => {
                self.mss = mss;
                self.congestion.set_mss(mss);
            }
        }
    }

    fn sample(
        &mut self,
        acked: u32,
        cwnd_limited: bool,
        lost: u32,
        rtt_us: Option<u64>,
        rate: Option<(u64, u64, u32)>,
    ) -> AckSample {
        let rtt = rtt_us.map(Duration::from_micros);
        self.delivered += u64::from(acked);
        let total_delivered = self.delivered;
        AckSample {
            now: self.now,
            acked,
            cwnd_limited,
            in_flight: self.congestion.cwnd(),
            lost,
            rtt,
            min_rtt: rtt,
            srtt: rtt,
            una: self.delivered,
            nxt: self.delivered + u64::from(self.congestion.cwnd()),
            rate: rate.map(|(delivered, nanos, prior_in_flight)| RateSample {
                delivered,
                interval: Duration::from_nanos(nanos),
                app_limited: nanos % 2 == 0,
                prior_delivered: total_delivered.saturating_sub(delivered),
                total_delivered,
                prior_in_flight,
                lost: lost.into(),
            }),
            ..AckSample::default()
        }
    }
}

proptest! {
    #[test]
    fn there_is_always_a_window_and_a_pace(
        calls in proptest::collection::vec((call(), 0_u64..5_000_000_000), 1..300),
    ) {
        for kind in CongestionControl::ALL {
            let mut driver = Driver {
                congestion: create(kind, initial_window(10, MSS), MSS),
                now: Instant::ZERO,
                delivered: 0,
                mss: MSS,
            };
            for (call, pause) in &calls {
                driver.now += Duration::from_nanos(*pause);
                let before = (driver.congestion.cwnd(), driver.congestion.ssthresh());
                driver.make(call);
                let congestion = &driver.congestion;
                prop_assert!(congestion.cwnd() > 0, "{kind} after {call:?}: no window");
                let pace = congestion.pacing_rate(Some(Duration::from_millis(10)));
                prop_assert!(pace.is_none_or(|pace| pace > 0), "{kind} after {call:?}: no pace");
                if matches!(call, Call::Congestion(_)) {
                    prop_assert!(
                        congestion.cwnd() <= before.0.max(2 * driver.mss),
                        "{kind}: congestion raised the window"
                    );
                }
                if matches!(call, Call::Undo) {
                    prop_assert!(
                        congestion.cwnd() >= before.0 && congestion.ssthresh() >= before.1,
                        "{kind}: an undo lowered the window"
                    );
                }
            }
        }
    }

    /// An acknowledgment does not make the window grow if the window is not the limit; BBR's
    /// follows its model.
    #[test]
    fn an_unused_window_does_not_grow(acks in proptest::collection::vec(1_u32..100_000, 1..100)) {
        for kind in [CongestionControl::NewReno, CongestionControl::Cubic] {
            let mut congestion = create(kind, initial_window(10, MSS), MSS);
            for acked in &acks {
                let sample = AckSample { acked: *acked, ..AckSample::default() };
                congestion.on_ack(&sample);
            }
            prop_assert_eq!(congestion.cwnd(), 10 * MSS);
        }
    }
}
