//! Segments that overtake each other are not lost, and are not sent again.

use std::time::Duration;

use millstream_engine::SocketOptions;
use millstream_netsim::{Displacement, LinkConfig};

use super::flow::{Flow, options, pair};
use super::{SECOND, link};

const ROUND_TRIP: Duration = Duration::from_millis(66);

fn clean() -> LinkConfig {
    link(200_000_000, ROUND_TRIP).queue(64 << 20)
}

/// Bytes received in ten seconds after five, and the share of the segments sent that were sent for the second time.
/// Nothing is lost here, so that those were sent for nothing.
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

fn what_is_overtaken_is_not_sent_again(socket: &SocketOptions, cases: &[(f64, usize)]) {
    let (base, _) = flow(clean(), socket);
    for &(share, by) in cases {
        let mixed = clean().displacement(Displacement::new(share, by));
        let (bytes, spurious) = flow(mixed, socket);
        assert!(bytes > 0.9 * base, "{share} by {by}: {}", bytes / base);
        assert!(spurious < 0.01, "{share} by {by}: {spurious}");
    }
}

#[test]
fn by_the_timestamps_echoed() {
    let cases = [(0.005, 8), (0.01, 100), (0.03, 8), (0.03, 100)];
    what_is_overtaken_is_not_sent_again(&options(), &cases);
}

#[test]
fn by_the_duplicates_reported() {
    let socket = SocketOptions {
        timestamps: false,
        ..options()
    };
    what_is_overtaken_is_not_sent_again(&socket, &[(0.005, 8), (0.01, 100), (0.03, 8)]);
}
