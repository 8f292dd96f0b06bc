use super::*;
use crate::congestion::simulated::{MSS, Path};

fn new_path(bandwidth: u64, delay_ms: u64, buffer: u64) -> Path<Bbr> {
    Path::new(Bbr::new(10 * MSS, MSS), bandwidth, delay_ms, buffer)
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
        let mut path = new_path(bandwidth, delay, u64::MAX / 4);
        path.run_until(|path| path.congestion.full_pipe.reached);
        assert!(matches!(path.congestion.state, State::Drain { .. }));
        assert!(
            close(path.congestion.max_bw.get(), bandwidth, 2),
            "{} instead of {bandwidth}",
            path.congestion.max_bw.get()
        );
        assert!(path.congestion.pacing < bandwidth * 51 / 100);
        path.run_until(|path| path.congestion.state.is_probe_bw());
        let bdp = path.bdp() + u64::from(6 * MSS);
        assert!(
            u64::from(path.in_flight)
                <= bdp.max(u64::from(3 * path.congestion.min_pipe())) * 11 / 10,
            "{} in flight, the path holds {bdp}",
            path.in_flight
        );
    }
}

#[test]
fn the_model_converges_and_the_queue_stays_short() {
    let mut path = new_path(1_250_000, 40, u64::MAX / 4);
    path.run(3000);
    let goodput = path.run(5000);
    assert!(goodput > 1_250_000 * 95 / 100, "{goodput}");
    assert!(close(path.congestion.max_bw.get(), 1_250_000, 2));
    let rtt = path.congestion.rtt.min.expect("measured");
    assert!(rtt < Duration::from_millis(42), "{rtt:?}");
    let srtt = path.srtt.expect("measured");
    assert!(srtt < Duration::from_millis(60), "{srtt:?}");
    assert_eq!(path.lost, 0);
}

#[test]
fn the_phases_of_a_probe_follow_one_another() {
    let mut path = new_path(1_250_000, 40, u64::MAX / 4);
    path.run_until(|path| path.congestion.state == State::ProbeRtt);
    for state in [
        State::ProbeCruise,
        State::ProbeRefill,
        State::ProbeUp,
        State::ProbeDown,
        State::ProbeCruise,
    ] {
        let before = path.congestion.state;
        path.run_until(|path| path.congestion.state != before);
        assert_eq!(path.congestion.state, state);
    }
}

#[test]
fn more_bandwidth_is_found_and_less_is_believed() {
    let mut path = new_path(1_250_000, 40, u64::MAX / 4);
    path.run(4000);
    path.bandwidth *= 4;
    path.run(8000);
    let faster = path.run(2000);
    assert!(faster > 5_000_000 * 85 / 100, "{faster}");
    path.bandwidth /= 4;
    // The greatest bandwidth expires after two cycles, and emptying the queue begins a new one.
    path.run(20_000);
    let max_bw = path.congestion.max_bw.get();
    assert!(close(max_bw, 1_250_000, 5), "{max_bw}");
}

#[test]
fn the_round_trip_time_is_measured_anew_with_next_to_nothing_in_flight() {
    let mut path = new_path(1_250_000, 40, u64::MAX / 4);
    path.run(2000);
    // The path has become longer: the old measurement is used until it expires.
    path.delay = Duration::from_millis(60);
    path.run_until(|path| path.congestion.state == State::ProbeRtt);
    let entered = path.now;
    assert!(u64::from(path.congestion.cwnd()) <= path.bdp() / 2);
    path.run_until(|path| path.congestion.state != State::ProbeRtt);
    assert_eq!(path.congestion.state, State::ProbeCruise);
    let took = path.now - entered;
    assert!(
        took >= Duration::from_millis(200) && took < Duration::from_millis(500),
        "{took:?}"
    );
    let goodput = path.run(6000);
    assert!(goodput > 1_250_000 * 90 / 100, "{goodput}");
    let rtt = path.congestion.rtt.min.expect("measured");
    assert!(
        rtt >= Duration::from_millis(60) && rtt < Duration::from_millis(65),
        "{rtt:?}"
    );
}

#[test]
fn the_queue_is_emptied_every_five_seconds() {
    let mut path = new_path(1_250_000, 40, u64::MAX / 4);
    path.run(2000);
    let mut last = None;
    for _ in 0..4 {
        path.run_until(|path| path.congestion.state == State::ProbeRtt);
        if let Some(left) = last.replace(path.now) {
            let between = path.now - left;
            assert!(
                between >= Duration::from_secs(5) && between < Duration::from_secs(6),
                "{between:?}"
            );
        }
        path.run_until(|path| path.congestion.state != State::ProbeRtt);
    }
}

/// A queue of a fifth of the path: the bound on the volume in flight is found by losses.
#[test]
fn a_shallow_buffer_is_used_with_little_loss() {
    let mut path = new_path(12_500_000, 40, 100_000);
    path.run(5000);
    assert!(path.congestion.bounds.inflight_long.is_some());
    let lost = path.lost;
    let goodput = path.run(20_000);
    assert!(goodput > 12_500_000 * 85 / 100, "{goodput}");
    let rate = (path.lost - lost) * 1000 / (goodput * 20);
    assert!(rate <= 20, "{rate} of 1000 were lost");
}

/// A loss of one packet in a hundred, which Reno regards as congestion, does not slow BBR down
/// much.
#[test]
fn random_loss_below_the_threshold_costs_little() {
    let mut path = new_path(1_250_000, 40, 1_000_000);
    path.drop_one_of = Some(100);
    path.run(3000);
    let goodput = path.run(10_000);
    assert!(goodput > 1_250_000 * 85 / 100, "{goodput}");
}

#[test]
fn too_much_loss_ends_startup_and_an_undo_takes_that_back() {
    let mut path = new_path(12_500_000, 40, 30_000);
    path.run_until(|path| path.congestion.full_pipe.reached);
    assert_eq!(path.congestion.undo.state, Some(State::Startup));
    let bound = path.congestion.bounds.inflight_long.expect("a bound");
    assert!(u64::from(bound) < path.bdp() * 2, "{bound}");
    path.congestion.undo(path.now);
    assert_eq!(path.congestion.state, State::Startup);
    assert!(!path.congestion.full_pipe.reached);
    assert_eq!(path.congestion.bounds.inflight_long, None);
}

#[test]
fn a_timeout_leaves_one_segment_and_recovery_brings_the_window_back() {
    let mut path = new_path(1_250_000, 40, u64::MAX / 4);
    path.run(4000);
    let before = path.congestion.cwnd();
    path.congestion.on_rto(path.now, before, true);
    assert_eq!(path.congestion.cwnd(), MSS);
    path.congestion.on_recovered(path.now);
    assert_eq!(path.congestion.cwnd(), before);
}

#[test]
fn after_silence_it_goes_on_at_the_rate_of_the_path() {
    let mut path = new_path(1_250_000, 40, u64::MAX / 4);
    path.run_until(|path| path.congestion.state == State::ProbeDown);
    assert!(close(path.congestion.pacing, 1_250_000 * 90 / 100, 3));
    let window = path.congestion.cwnd();
    path.congestion.on_idle_restart(path.now, 5);
    path.congestion
        .on_send_from_idle(path.now, Duration::from_secs(5));
    assert_eq!(path.congestion.cwnd(), window);
    assert!(
        close(path.congestion.pacing, 1_250_000 * 99 / 100, 3),
        "{}",
        path.congestion.pacing
    );
    // The expired round-trip time is no reason to probe: the queue has been empty.
    path.rest(Duration::from_secs(60));
    path.run(1000);
    assert!(
        path.congestion.state.is_probe_bw(),
        "{:?}",
        path.congestion.state
    );
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
    let mut path = new_path(1_250_000, 40, u64::MAX / 4);
    path.run_until(|path| path.congestion.state == State::ProbeUp);
    path.congestion.on_congestion(&CongestionEvent {
        now: path.now,
        flight: path.in_flight,
        cause: Cause::Ecn,
    });
    assert_eq!(path.congestion.state, State::ProbeDown);
    assert!(path.congestion.bounds.inflight_long.is_some());
}

/// A mark, and a loss that the tail loss probe has repaired, begin no episode, so there is none to
/// end.
#[test]
fn what_begins_no_episode_leaves_no_recovery_behind() {
    for (cause, recovering) in [
        (Cause::Ecn, false),
        (Cause::Probe, false),
        (Cause::Loss, true),
    ] {
        let mut path = new_path(1_250_000, 40, u64::MAX / 4);
        path.run(2000);
        path.congestion.on_congestion(&CongestionEvent {
            now: path.now,
            flight: path.in_flight,
            cause,
        });
        assert_eq!(path.congestion.in_recovery, recovering, "{cause:?}");
    }
}
