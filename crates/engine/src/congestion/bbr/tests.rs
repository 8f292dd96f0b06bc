use std::collections::VecDeque;

use super::*;
use crate::congestion::pacing::Pacer;
use crate::congestion::rate::{DeliveryRate, SendStamp};

const MSS: u32 = 1000;

#[derive(Clone, Copy)]
struct Packet {
    sent_at: Instant,
    stamp: SendStamp,
    /// When its acknowledgment arrives; none if it was dropped.
    acked_at: Option<Instant>,
    end: u64,
}

/// One flow through one bottleneck: a rate, a delay, a queue with an end. A lost packet is noticed when
/// a later one is acknowledged, and what was lost is not sent again: new data goes in its place.
struct Path {
    bbr: Bbr,
    rate: DeliveryRate,
    pacer: Pacer,
    now: Instant,
    bandwidth: u64,
    delay: Duration,
    /// Most bytes in the queue.
    buffer: u64,
    /// One of so many packets is dropped at random.
    drop_one_of: Option<u64>,
    /// When the bottleneck has sent all that it has.
    busy_until: Instant,
    flight: VecDeque<Packet>,
    in_flight: u32,
    sent: u64,
    una: u64,
    /// Acknowledged data up to here ends the episode.
    recover: Option<u64>,
    srtt: Option<Duration>,
    lost: u64,
}

impl Path {
    /// `bandwidth` in bytes per second, and a queue for `buffer` bytes.
    fn new(bandwidth: u64, delay_ms: u64, buffer: u64) -> Self {
        Self {
            bbr: Bbr::new(10 * MSS, MSS),
            rate: DeliveryRate::default(),
            pacer: Pacer::new(Instant::ZERO, MSS),
            now: Instant::from_millis(1),
            bandwidth,
            delay: Duration::from_millis(delay_ms),
            buffer,
            drop_one_of: None,
            busy_until: Instant::ZERO,
            flight: VecDeque::new(),
            in_flight: 0,
            sent: 0,
            una: 0,
            recover: None,
            srtt: None,
            lost: 0,
        }
    }

    fn bdp(&self) -> u64 {
        self.bandwidth * self.delay.as_millis() as u64 / 1000
    }

    /// Goes on for `millis`; returns bytes per second delivered meanwhile.
    fn run(&mut self, millis: u64) -> u64 {
        let delivered = self.rate.delivered();
        let end = self.now + Duration::from_millis(millis);
        while self.step(end) {}
        (self.rate.delivered() - delivered) * 1000 / millis
    }

    /// Goes on until `done`, a minute at the most.
    fn run_until(&mut self, done: impl Fn(&Self) -> bool) {
        let end = self.now + Duration::from_secs(60);
        while !done(self) {
            assert!(self.step(end), "still {:?} after a minute", self.bbr.state);
        }
    }

    /// The next packet goes out or the next acknowledgment comes in, whichever is first, before `end`.
    fn step(&mut self, end: Instant) -> bool {
        let room = self.in_flight + MSS <= self.bbr.cwnd();
        let send_at = room.then(|| self.pacer.next_send_at(self.now, MSS));
        let ack_at = self.flight.iter().find_map(|packet| packet.acked_at);
        match (send_at, ack_at) {
            (Some(at), ack) if at < end && ack.is_none_or(|ack| at <= ack) => self.send(at),
            (_, Some(at)) if at < end => self.acknowledge(at),
            (None, None) => panic!("neither room nor flight"),
            _ => {
                self.now = end;
                return false;
            }
        }
        true
    }

    fn send(&mut self, at: Instant) {
        self.now = at;
        let stamp = self.rate.on_sent(at, MSS, self.in_flight);
        let queued = (self.busy_until - at).as_nanos() as u64 * self.bandwidth / 1_000_000_000;
        let unlucky = self
            .drop_one_of
            .is_some_and(|of| self.sent / u64::from(MSS) % of == of - 1);
        let acked_at = (queued + u64::from(MSS) <= self.buffer && !unlucky).then(|| {
            let transmission =
                Duration::from_nanos(u64::from(MSS) * 1_000_000_000 / self.bandwidth);
            self.busy_until = self.busy_until.max(at) + transmission;
            self.busy_until + self.delay
        });
        self.sent += u64::from(MSS);
        self.in_flight += MSS;
        self.pacer.on_sent(at, MSS);
        self.flight.push_back(Packet {
            sent_at: at,
            stamp,
            acked_at,
            end: self.sent,
        });
    }

    fn acknowledge(&mut self, at: Instant) {
        self.now = at;
        let mut lost = 0;
        while let Some(packet) = self.flight.pop_front() {
            self.in_flight -= MSS;
            if packet.acked_at.is_none() {
                lost += MSS;
                let segment = self.rate.on_lost(at, MSS, &packet.stamp);
                self.bbr.on_lost(&segment);
                continue;
            }
            self.take(at, &packet, lost);
            return;
        }
    }

    fn take(&mut self, at: Instant, packet: &Packet, lost: u32) {
        self.lost += u64::from(lost);
        self.una = packet.end;
        let rtt = at - packet.sent_at;
        self.srtt = Some(self.srtt.map_or(rtt, |srtt| (srtt * 7 + rtt) / 8));
        self.rate
            .on_delivered(at, MSS, packet.sent_at, &packet.stamp);
        if self.recover.is_some_and(|recover| self.una >= recover) {
            self.recover = None;
            self.bbr.on_recovered(at);
        }
        if lost > 0 && self.recover.is_none() {
            self.recover = Some(self.sent);
            self.bbr.on_congestion(&CongestionEvent {
                now: at,
                flight: self.in_flight,
                cause: Cause::Loss,
            });
        }
        let sample = AckSample {
            now: at,
            acked: MSS,
            cwnd_limited: self.in_flight + 2 * MSS > self.bbr.cwnd(),
            paced: true,
            in_flight: self.in_flight,
            lost,
            rtt: Some(rtt),
            srtt: self.srtt,
            una: self.una,
            nxt: self.sent,
            rate: self.rate.sample(self.bbr.rtt.min),
            ..AckSample::default()
        };
        self.bbr.on_ack(&sample);
        let rate = self.bbr.pacing_rate(self.srtt);
        self.pacer.set_rate(at, rate, MSS);
    }
}

/// Whether `found` is within `percent` of `expected`.
fn close(found: u64, expected: u64, percent: u64) -> bool {
    found.abs_diff(expected) * 100 <= expected * percent
}

#[test]
fn startup_finds_the_bandwidth_and_drains_the_queue() {
    for (bandwidth, delay) in [
        (125_000, 100),
        (1_250_000, 20),
        (12_500_000, 40),
        (125_000_000, 10),
    ] {
        let mut path = Path::new(bandwidth, delay, u64::MAX / 4);
        path.run_until(|path| path.bbr.full_pipe.reached);
        assert!(matches!(path.bbr.state, State::Drain { .. }));
        assert!(
            close(path.bbr.max_bw.get(), bandwidth, 2),
            "{} instead of {bandwidth}",
            path.bbr.max_bw.get()
        );
        assert!(path.bbr.pacing < bandwidth * 51 / 100);
        path.run_until(|path| path.bbr.state.is_probe_bw());
        let bdp = path.bdp() + u64::from(6 * MSS);
        assert!(
            u64::from(path.in_flight) <= bdp.max(u64::from(3 * path.bbr.min_pipe())) * 11 / 10,
            "{} in flight, the path holds {bdp}",
            path.in_flight
        );
    }
}

#[test]
fn the_model_converges_and_the_queue_stays_short() {
    let mut path = Path::new(1_250_000, 40, u64::MAX / 4);
    path.run(3000);
    let goodput = path.run(5000);
    assert!(goodput > 1_250_000 * 95 / 100, "{goodput}");
    assert!(close(path.bbr.max_bw.get(), 1_250_000, 2));
    let rtt = path.bbr.rtt.min.expect("measured");
    assert!(rtt < Duration::from_millis(42), "{rtt:?}");
    let srtt = path.srtt.expect("measured");
    assert!(srtt < Duration::from_millis(60), "{srtt:?}");
    assert_eq!(path.lost, 0);
}

#[test]
fn the_phases_of_a_probe_follow_one_another() {
    let mut path = Path::new(1_250_000, 40, u64::MAX / 4);
    path.run_until(|path| path.bbr.state == State::ProbeDown);
    for state in [
        State::ProbeCruise,
        State::ProbeRefill,
        State::ProbeUp,
        State::ProbeDown,
        State::ProbeCruise,
    ] {
        let before = path.bbr.state;
        path.run_until(|path| path.bbr.state != before);
        assert_eq!(path.bbr.state, state);
    }
}

#[test]
fn more_bandwidth_is_found_and_less_is_believed() {
    let mut path = Path::new(1_250_000, 40, u64::MAX / 4);
    path.run(4000);
    path.bandwidth *= 4;
    path.run(8000);
    let faster = path.run(2000);
    assert!(faster > 5_000_000 * 85 / 100, "{faster}");
    path.bandwidth /= 4;
    // The greatest bandwidth is forgotten after two cycles, whose round trips a full queue makes long.
    path.run(15_000);
    let max_bw = path.bbr.max_bw.get();
    assert!(close(max_bw, 1_250_000, 5), "{max_bw}");
}

#[test]
fn the_round_trip_time_is_measured_anew_with_next_to_nothing_in_flight() {
    let mut path = Path::new(1_250_000, 40, u64::MAX / 4);
    path.run(2000);
    // The path has become longer: the old measurement is believed until it is stale.
    path.delay = Duration::from_millis(60);
    path.run_until(|path| path.bbr.state == State::ProbeRtt);
    let entered = path.now;
    assert!(u64::from(path.bbr.cwnd()) <= path.bdp() / 2);
    path.run_until(|path| path.bbr.state != State::ProbeRtt);
    assert_eq!(path.bbr.state, State::ProbeCruise);
    let took = path.now - entered;
    assert!(
        took >= Duration::from_millis(200) && took < Duration::from_millis(500),
        "{took:?}"
    );
    let goodput = path.run(3000);
    assert!(goodput > 1_250_000 * 90 / 100, "{goodput}");
    let rtt = path.bbr.rtt.min.expect("measured");
    assert!(rtt >= Duration::from_millis(60), "{rtt:?}");
}

/// A queue of a fifth of the path: the bound on what is in flight is found by what is lost.
#[test]
fn a_shallow_buffer_is_used_with_little_loss() {
    let mut path = Path::new(12_500_000, 40, 100_000);
    path.run(5000);
    assert!(path.bbr.bounds.inflight_long.is_some());
    let lost = path.lost;
    let goodput = path.run(20_000);
    assert!(goodput > 12_500_000 * 85 / 100, "{goodput}");
    let rate = (path.lost - lost) * 1000 / (goodput * 20);
    assert!(rate <= 20, "{rate} of 1000 were lost");
}

/// What Reno takes for congestion, one packet in a hundred, does not slow BBR down much.
#[test]
fn random_loss_below_the_threshold_costs_little() {
    let mut path = Path::new(1_250_000, 40, 1_000_000);
    path.drop_one_of = Some(100);
    path.run(3000);
    let goodput = path.run(10_000);
    assert!(goodput > 1_250_000 * 85 / 100, "{goodput}");
}

#[test]
fn too_much_loss_ends_startup_and_an_undo_takes_that_back() {
    let mut path = Path::new(12_500_000, 40, 30_000);
    path.run_until(|path| path.bbr.full_pipe.reached);
    assert_eq!(path.bbr.undo.state, Some(State::Startup));
    let bound = path.bbr.bounds.inflight_long.expect("a bound");
    assert!(u64::from(bound) < path.bdp() * 2, "{bound}");
    path.bbr.undo(path.now);
    assert_eq!(path.bbr.state, State::Startup);
    assert!(!path.bbr.full_pipe.reached);
    assert_eq!(path.bbr.bounds.inflight_long, None);
}

#[test]
fn a_timeout_leaves_one_segment_and_recovery_brings_the_window_back() {
    let mut path = Path::new(1_250_000, 40, u64::MAX / 4);
    path.run(4000);
    let before = path.bbr.cwnd();
    path.bbr.on_rto(path.now, before, true);
    assert_eq!(path.bbr.cwnd(), MSS);
    path.bbr.on_recovered(path.now);
    assert_eq!(path.bbr.cwnd(), before);
}

#[test]
fn after_silence_it_goes_on_at_the_rate_of_the_path() {
    let mut path = Path::new(1_250_000, 40, u64::MAX / 4);
    path.run_until(|path| path.bbr.state == State::ProbeDown);
    assert!(close(path.bbr.pacing, 1_250_000 * 90 / 100, 3));
    let window = path.bbr.cwnd();
    path.bbr.on_idle_restart(path.now);
    path.bbr.on_send_from_idle(path.now, Duration::from_secs(5));
    assert_eq!(path.bbr.cwnd(), window);
    assert!(
        close(path.bbr.pacing, 1_250_000 * 99 / 100, 3),
        "{}",
        path.bbr.pacing
    );
    // The stale round-trip time is no reason to probe: the queue has been empty.
    path.now += Duration::from_secs(60);
    path.flight.clear();
    path.in_flight = 0;
    path.bbr
        .on_send_from_idle(path.now, Duration::from_secs(60));
    path.run(1000);
    assert!(path.bbr.state.is_probe_bw(), "{:?}", path.bbr.state);
}

#[test]
fn before_the_first_round_trip_the_initial_window_is_paced_quickly() {
    let bbr = Bbr::new(10 * MSS, MSS);
    assert_eq!(bbr.pacing_rate(None), Some(27_700_000));
    assert_eq!(
        bbr.pacing_rate(Some(Duration::from_millis(100))),
        Some(277_000)
    );
    assert!(bbr.governs_recovery());
}

#[test]
fn an_ecn_mark_while_probing_ends_the_probe() {
    let mut path = Path::new(1_250_000, 40, u64::MAX / 4);
    path.run_until(|path| path.bbr.state == State::ProbeUp);
    path.bbr.on_congestion(&CongestionEvent {
        now: path.now,
        flight: path.in_flight,
        cause: Cause::Ecn,
    });
    assert_eq!(path.bbr.state, State::ProbeDown);
    assert!(path.bbr.bounds.inflight_long.is_some());
}
