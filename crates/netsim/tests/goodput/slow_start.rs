//! The end of slow start: before the queue overflows, which would cause retransmissions, and not
//! before the path is full.

use std::time::Duration;

use millstream_netsim::Displacement;

use super::flow::{Flow, pair};
use super::{SECOND, link};

/// The time in which ten megabytes arrive over a link whose queue holds one bandwidth-delay
/// product, with this share of the packets overtaken by three others; and the number of
/// retransmitted segments.
fn ten_megabytes(rate: u64, round_trip: u64, overtaken: f64) -> (Duration, u32) {
    let round_trip = Duration::from_millis(round_trip);
    let product = (rate as f64 / 8.0 * round_trip.as_secs_f64()) as usize;
    let back = link(rate, round_trip).queue(product.max(64_000));
    let there = back.clone().displacement(Displacement::new(overtaken, 3));
    let (mut network, client, server) = pair(5_u64, there, back);
    let mut flow = Flow::start(&mut network, client, server, 7);
    let done = network.drive(SECOND * 60, |network| {
        flow.progress(network);
        flow.received() >= 10_000_000
    });
    assert!(done, "not finished within a minute");
    let info = flow.info(&network);
    (
        Duration::from_nanos(network.now().as_nanos()),
        info.total_retrans,
    )
}

#[test]
fn slow_start_ends_before_the_queue_overflows() {
    for (rate, round_trip, overtaken, millis) in [
        (10_000_000, 20, 0.0, 8400),
        (100_000_000, 20, 0.0, 930),
        (1_000_000_000, 20, 0.0, 250),
        (50_000_000, 66, 0.01, 2130),
        (50_000_000, 100, 0.0, 2270),
        (100_000_000, 100, 0.0, 1540),
        (1_000_000_000, 100, 0.0, 1080),
    ] {
        let (time, again) = ten_megabytes(rate, round_trip, overtaken);
        println!("{rate} bit/s, {round_trip} ms: {time:?}, {again} segments again");
        assert!(
            again < 40,
            "{rate} bit/s, {round_trip} ms: {again} segments"
        );
        let most = Duration::from_millis(millis);
        assert!(time < most, "{rate} bit/s, {round_trip} ms: {time:?}");
    }
}
