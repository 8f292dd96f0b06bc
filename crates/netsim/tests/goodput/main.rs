//! The goodput that the engine reaches on a path, as a table: loss by round-trip time by rate. The
//! table is kept as a snapshot; every change of it is to be reviewed. This command rewrites it:
//!
//! ```text
//! INSTA_UPDATE=always cargo test -p millstream-netsim --test goodput
//! ```

mod flow;
mod model;
mod reordering;
mod slow_start;

use std::fmt::Write as _;
use std::time::Duration;

use millstream_engine::SocketOptions;
use millstream_netsim::{AckThinning, LinkConfig, Network};

use self::flow::{Flow, options, pair};

const SECOND: Duration = Duration::from_secs(1);

/// Payload of a full-sized segment, and the size of its packet.
const SEGMENT: f64 = 1448.0;
const PACKET: f64 = 1500.0;

const LOSSES: [f64; 5] = [0.0, 0.001, 0.01, 0.03, 0.1];
const ROUND_TRIPS: [u64; 4] = [1, 20, 100, 300];
const RATES: [(u64, &str); 3] = [
    (10_000_000, "10 Mbit/s"),
    (100_000_000, "100 Mbit/s"),
    (1_000_000_000, "1 Gbit/s"),
];

/// A link with this rate and half of this round-trip time as delay, and a queue of one
/// bandwidth-delay product.
fn link(rate: u64, round_trip: Duration) -> LinkConfig {
    let product = (rate as f64 / 8.0 * round_trip.as_secs_f64()) as usize;
    LinkConfig::new()
        .rate(rate)
        .delay(round_trip / 2)
        .queue(product.max(100 * 1500))
}

/// The goodput of one flow in bits per second; with losses, the mean of enough seeds to average out
/// chance.
fn goodput(loss: f64, round_trip: u64, rate: u64) -> f64 {
    let seeds = if loss > 0.0 { 7..12 } else { 7..8 };
    let count = seeds.clone().count() as f64;
    seeds
        .map(|seed| one_flow(seed, loss, round_trip, rate))
        .sum::<f64>()
        / count
}

/// The goodput of one flow in bits per second during `time`, after `warm_up`.
fn one_flow(seed: u64, loss: f64, round_trip: u64, rate: u64) -> f64 {
    let round_trip = Duration::from_millis(round_trip);
    let there = link(rate, round_trip).loss(loss);
    let (mut network, client, server) = pair(seed, there, link(rate, round_trip));
    let mut flow = Flow::start(&mut network, client, server, 7);
    let (warm_up, time) = (SECOND + round_trip * 20, SECOND * 2 + round_trip * 20);
    flow.run_for(&mut network, warm_up);
    let before = flow.received();
    flow.run_for(&mut network, time);
    (flow.received() - before) as f64 * 8.0 / time.as_secs_f64()
}

/// The smaller of the link's rate and the rate by Mathis' formula for this loss.
fn ideal(loss: f64, round_trip: u64, rate: u64) -> f64 {
    let line = rate as f64 * SEGMENT / PACKET * (1.0 - loss);
    let round_trip = round_trip as f64 / 1000.0;
    let mathis = SEGMENT * 8.0 / round_trip * (1.5 / loss).sqrt();
    line.min(mathis)
}

/// The lower bound of a cell, whatever the snapshot contains.
fn least(loss: f64, round_trip: u64, rate: u64) -> f64 {
    match loss {
        // See the remark at the table.
        0.0 if (round_trip, rate) == (300, 1_000_000_000) => 0.88,
        0.0 => 0.95,
        0.001 | 0.01 => 0.8,
        0.03 => 0.6,
        _ => 0.15,
    }
}

fn table() -> String {
    let mut table =
        "share of the ideal: the rate of the link, or Mathis' bound if that is lower\n".to_owned();
    for (rate, name) in RATES {
        let _ = write!(table, "\n{name:<12}");
        for loss in LOSSES {
            let _ = write!(table, "{:>8}", format!("{} %", loss * 100.0));
        }
        table.push('\n');
        for round_trip in ROUND_TRIPS {
            let _ = write!(table, "{:<12}", format!("{round_trip} ms"));
            for loss in LOSSES {
                let share = goodput(loss, round_trip, rate) / ideal(loss, round_trip, rate);
                assert!(
                    share > least(loss, round_trip, rate),
                    "{name}, {round_trip} ms, {loss}: {share}"
                );
                let _ = write!(table, "{share:>8.2}");
            }
            table.push('\n');
        }
    }
    table.push_str(
        "\nA path of 1 Gbit/s and 300 ms holds 37.5 MB, and the largest buffers hold 32 MiB: at most 0.92 \
         of the link's payload.\nThe writer is woken when a megabyte is free, so up to a megabyte is \
         missing at times.\n",
    );
    table
}

#[test]
fn the_goodput_table_matches_its_snapshot() {
    insta::assert_snapshot!(table());
}

/// A path with a large bandwidth-delay product is filled quickly with the default settings of a
/// stack, even if only some of the acknowledgments come back: because only every eighth passes, or
/// because the return path is too slow for all.
#[test]
fn a_gigabit_over_100_ms_is_filled_within_five_seconds() {
    let there = link(1_000_000_000, Duration::from_millis(100));
    let slow = there.clone().rate(1_000_000).queue(64_000);
    for back in [
        there.clone(),
        there.clone().ack_thinning(AckThinning::Decimation(8)),
        slow.ack_thinning(AckThinning::Filtering),
    ] {
        let (mut network, client, server) = pair(1_u64, there.clone(), back.clone());
        let mut flow = Flow::start(&mut network, client, server, 7);
        flow.run_for(&mut network, SECOND * 5);
        let before = flow.received();
        flow.run_for(&mut network, SECOND);
        let rate = (flow.received() - before) as f64 * 8.0;
        println!("{rate} bit/s, {back:?}");
        assert!(
            rate > 0.9 * 1e9 * SEGMENT / PACKET,
            "{rate} bit/s, {back:?}"
        );
    }
}

/// Jain's fairness index of two flows that share a bottleneck of 100 Mbit/s and 20 ms, with a queue
/// of one bandwidth-delay product, after they have converged; and the share of the link that they
/// use together.
fn shared(sockets: [SocketOptions; 2]) -> (f64, f64) {
    let config = link(100_000_000, Duration::from_millis(20));
    let (mut network, client, server) = pair(1_u64, config.clone(), config);
    let mut port = 7;
    let mut flows = sockets.map(|socket| {
        let flow = Flow::start_with(&mut network, client, server, port, socket);
        port += 1;
        network.run_for(SECOND);
        flow
    });
    let run = |network: &mut Network, flows: &mut [Flow; 2], time: Duration| {
        let end = network.now() + time;
        while network.now() < end {
            for flow in flows.iter_mut() {
                flow.run_for(network, Duration::from_millis(1));
            }
        }
    };
    run(&mut network, &mut flows, SECOND * 10);
    let before = flows.each_ref().map(Flow::received);
    run(&mut network, &mut flows, SECOND * 40);
    let [a, b] = [0, 1].map(|i| (flows[i].received() - before[i]) as f64);
    let index = (a + b).powi(2) / (2.0 * (a.powi(2) + b.powi(2)));
    let used = (a + b) * 8.0 / 40.0 / (1e8 * SEGMENT / PACKET);
    println!("{a} and {b} bytes: index {index}, {used} of the link");
    (index, used)
}

#[test]
fn two_flows_share_a_bottleneck() {
    let (index, used) = shared([options(), options()]);
    assert!(index > 0.95 && used > 0.9, "{index}, {used}");
}

/// With ECN marks instead of drops no segment is retransmitted, and the link is full.
#[test]
fn ecn_marks_instead_of_drops_cause_no_retransmission() {
    let round_trip = Duration::from_millis(20);
    let config = link(100_000_000, round_trip)
        .queue(2_000_000)
        .ecn_threshold(150_000);
    let (mut network, client, server) = pair(1_u64, config.clone(), config);
    let mut flow = Flow::start(&mut network, client, server, 7);
    flow.run_for(&mut network, SECOND * 3);
    let before = flow.received();
    flow.run_for(&mut network, SECOND * 5);
    let rate = (flow.received() - before) as f64 * 8.0 / 5.0;
    assert_eq!(flow.info(&network).total_retrans, 0);
    assert!(rate > 0.95 * 1e8 * SEGMENT / PACKET, "{rate} bit/s");
}
