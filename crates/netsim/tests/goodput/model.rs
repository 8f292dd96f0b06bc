//! BBR on paths with losses that are not congestion, and with queues that should stay short.

use std::time::Duration;

use millstream_engine::{CongestionControl, SocketOptions, TcpInfo};
use millstream_netsim::LinkConfig;

use super::flow::{Flow, options, pair};
use super::{PACKET, SECOND, SEGMENT, link, shared};

fn with_bbr() -> SocketOptions {
    options().congestion(CongestionControl::Bbr)
}

/// The goodput in bits per second after ten seconds, and the connection's `TcpInfo` at that time.
fn bbr(there: LinkConfig, back: LinkConfig) -> (f64, TcpInfo) {
    let (mut network, client, server) = pair(3_u64, there, back);
    let mut flow = Flow::start_with(&mut network, client, server, 7, with_bbr());
    flow.run_for(&mut network, SECOND * 10);
    let before = flow.received();
    flow.run_for(&mut network, SECOND * 20);
    let rate = (flow.received() - before) as f64 * 8.0 / 20.0;
    (rate, flow.info(&network))
}

#[test]
fn a_random_loss_of_one_per_cent_costs_bbr_little() {
    let round_trip = Duration::from_millis(100);
    let config = link(100_000_000, round_trip);
    let (rate, info) = bbr(config.clone().loss(0.01), config);
    println!("{rate} bit/s, {info:?}");
    // Over many seeds the mean is 0.84 of the link, and most seeds are within 0.04 of it.
    assert!(rate > 0.8 * 1e8 * SEGMENT / PACKET, "{rate} bit/s");
}

#[test]
fn bbr_does_not_fill_a_deep_queue() {
    let round_trip = Duration::from_millis(40);
    // The queue has room for two seconds of traffic.
    let config = link(50_000_000, round_trip).queue(12_500_000);
    let (rate, info) = bbr(config.clone(), config);
    println!("{rate} bit/s, {info:?}");
    assert!(rate > 0.9 * 5e7 * SEGMENT / PACKET, "{rate} bit/s");
    assert!(info.rtt < Some(round_trip * 2), "{:?}", info.rtt);
    assert_eq!(info.total_retrans, 0);
    let delivery = info.delivery_rate.expect("measured") as f64 * 8.0;
    assert!((delivery / 5e7 - 1.0).abs() < 0.1, "{delivery} bit/s");
}

#[test]
fn two_bbr_flows_share_a_bottleneck() {
    let (index, used) = shared([with_bbr(), with_bbr()]);
    assert!(index > 0.9 && used > 0.9, "{index}, {used}");
}

/// Neither CUBIC, which fills queues, nor BBR, which does not, starves the other.
#[test]
fn bbr_and_cubic_coexist() {
    for sockets in [[with_bbr(), options()], [options(), with_bbr()]] {
        let (index, used) = shared(sockets);
        assert!(index > 0.7 && used > 0.9, "{index}, {used}");
    }
}
