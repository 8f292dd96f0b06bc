//! Reordered segments are not lost, and are not retransmitted.

use std::time::Duration;

use millstream_engine::SocketOptions;
use millstream_netsim::{Displacement, Jitter, LinkConfig};

use super::flow::{Flow, options, pair};
use super::{SECOND, link};

const ROUND_TRIP: Duration = Duration::from_millis(66);

fn clean() -> LinkConfig {
    link(200_000_000, ROUND_TRIP).queue(64 << 20)
}

/// The bytes received in ten seconds after the first five, and the share of retransmissions among
/// the segments sent. No segment is lost here, so all these retransmissions are spurious.
fn flow(there: LinkConfig, socket: &SocketOptions) -> (f64, f64) {
    let (mut network, client, server) = pair(5_u64, there, clean());
    let mut flow = Flow::start_with(&mut network, client, server, 7, socket.clone());
    flow.run_for(&mut network, SECOND * 5);
    let before = (flow.received(), flow.info(&network));
    flow.run_for(&mut network, SECOND * 10);
    let info = flow.info(&network);
    let again = f64::from(info.total_retrans - before.1.total_retrans);
    let sent = f64::from(info.segs_out - before.1.segs_out);
    ((flow.received() - before.0) as f64, again / sent)
}

fn check_that_reordering_causes_no_retransmission(socket: &SocketOptions, cases: &[(f64, usize)]) {
    let (base, _) = flow(clean(), socket);
    for &(share, by) in cases {
        let mixed = clean().displacement(Displacement::new(share, by));
        let (bytes, spurious) = flow(mixed, socket);
        assert!(bytes > 0.9 * base, "{share} by {by}: {}", bytes / base);
        assert!(spurious < 0.01, "{share} by {by}: {spurious}");
    }
}

#[test]
fn with_timestamps_reordered_segments_are_not_retransmitted() {
    let cases = [(0.005, 8), (0.01, 100), (0.03, 8), (0.03, 100)];
    check_that_reordering_causes_no_retransmission(&options(), &cases);
}

#[test]
fn with_duplicate_sack_reordered_segments_are_not_retransmitted() {
    let socket = options().timestamps(false);
    check_that_reordering_causes_no_retransmission(&socket, &[(0.005, 8), (0.01, 100), (0.03, 8)]);
}

/// Losses at the queue are repaired on a path where each packet takes up to four milliseconds
/// longer: acknowledgments that arrive late are not counted as duplicates, and segments overtaken
/// by a retransmission are not refused, which would cause further retransmissions and further
/// reordering.
#[test]
fn losses_are_repaired_on_a_reordering_path() {
    let (rate, round_trip) = (50_000_000, Duration::from_millis(20));
    let jitter = Jitter {
        most: Duration::from_millis(4),
        reorders: true,
    };
    let link = link(rate, round_trip).jitter(jitter);
    let seeds = 0..20_u64;
    let count = seeds.clone().count() as u32;
    let mut total = Duration::ZERO;
    for seed in seeds {
        let (mut network, client, server) = pair(seed, link.clone(), link.clone());
        let mut flow = Flow::start(&mut network, client, server, 7);
        let done = network.drive(SECOND * 60, |network| {
            flow.progress(network);
            flow.received() >= 10_000_000
        });
        assert!(done, "seed {seed}: not finished within a minute");
        let info = flow.info(&network);
        assert!(
            info.dsack_dups <= info.total_retrans,
            "seed {seed}: {} of {} were spurious",
            info.dsack_dups,
            info.total_retrans
        );
        total += Duration::from_nanos(network.now().as_nanos());
    }
    let mean = total / count;
    assert!(mean < Duration::from_millis(1850), "{mean:?}");
}
