//! Random links.

use std::net::IpAddr;
use std::time::Duration;

use fastrand::Rng;
use millstream_netsim::{
    AckThinning, Corruption, Displacement, GilbertElliott, Jitter, LinkConfig, MtuLimit, Schedule,
};

/// The final state of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It works, with interruptions.
    ComesBack,
    /// It is finally cut and stays so.
    Ends,
}

/// The links in both directions, each with random properties; a final cut affects both together.
pub(crate) fn both_ways(random: &mut Rng, fate: Fate, address: IpAddr) -> [Schedule; 2] {
    let end = Duration::from_millis(random.u64(..20_000));
    [(); 2].map(|()| {
        let way = way(random, address, Bytes::MayBeWrong);
        match fate {
            Fate::ComesBack => way,
            Fate::Ends => way.at(Duration::from_secs(40) + end, LinkConfig::cut),
        }
    })
}

/// Whether a link may change bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bytes {
    /// It may change one byte of a packet: every checksum detects that.
    MayBeWrong,
    /// Another link on the path may change bytes: a second change in the same packet could hide the
    /// first from the checksum.
    AreRight,
}

/// One direction of a link that always comes back.
pub(crate) fn way(random: &mut Rng, address: IpAddr, bytes: Bytes) -> Schedule {
    let first = link(random, address, bytes);
    schedule(random, address, first)
}

/// True with a probability of one in `times`.
pub(crate) fn one_in(random: &mut Rng, times: u32) -> bool {
    random.u32(..times) == 0
}

fn link(random: &mut Rng, address: IpAddr, bytes: Bytes) -> LinkConfig {
    let mut link = LinkConfig::new().delay(Duration::from_micros(random.u64(..150_000)));
    if !one_in(random, 4) {
        // From 100 kbit/s to 1 Gbit/s, and a queue from three packets to a thousand.
        link = link
            .rate(100_000 * 10_u64.pow(random.u32(..4)) * random.u64(1..=10))
            .queue(1500 * random.usize(3..=30) * 10_usize.pow(random.u32(..2)));
    }
    if one_in(random, 3) {
        link = link.ecn_threshold(1500 * random.usize(1..20));
    }
    if one_in(random, 2) {
        link = link.loss(random.f64() * 0.08);
    }
    if one_in(random, 3) {
        // A burst ends before sixty retransmissions are lost in it.
        let (to_bad, to_good) = (random.f64() * 0.02, 0.3 + random.f64() * 0.6);
        link = link.burst_loss(GilbertElliott::new(to_bad, to_good));
    }
    if one_in(random, 3) {
        link = link.duplication(random.f64() * 0.05);
    }
    if one_in(random, 3) && bytes == Bytes::MayBeWrong {
        link = link.corruption(Corruption::new(random.f64() * 0.03));
    }
    if one_in(random, 3) {
        let hold = Duration::from_millis(random.u64(1..500));
        let by = random.usize(1..100);
        link = link.displacement(Displacement::new(random.f64() * 0.05, by).hold_at_most(hold));
    }
    if one_in(random, 3) {
        link = link.jitter(Jitter {
            most: Duration::from_micros(random.u64(..60_000)),
            reorders: random.bool(),
        });
    }
    if one_in(random, 5) {
        link = link.mtu(mtu(random, address));
    }
    if one_in(random, 5) {
        // With stronger decimation a window of one segment hardly advances: each segment needs
        // several timeouts.
        link = link.ack_thinning(if random.bool() {
            AckThinning::Filtering
        } else {
            AckThinning::Decimation(2)
        });
    }
    link
}

fn mtu(random: &mut Rng, address: IpAddr) -> MtuLimit {
    // The smallest MTU that hosts of this address family must support.
    let least = if address.is_ipv4() { 600 } else { 1280 };
    let bytes = random.usize(least..1500);
    if random.bool() {
        MtuLimit::BlackHole(bytes)
    } else {
        MtuLimit::Icmp(bytes)
    }
}

/// Up to two changes within the first half minute: to another rate and delay, to another MTU, or a
/// cut of up to six seconds.
fn schedule(random: &mut Rng, address: IpAddr, first: LinkConfig) -> Schedule {
    let mut schedule = Schedule::new(first);
    let mut time = Duration::ZERO;
    for _ in 0..random.u32(..3) {
        time += Duration::from_millis(random.u64(..10_000));
        let rate = random.u64(100_000..100_000_000);
        let delay = Duration::from_micros(random.u64(..100_000));
        schedule = if random.bool() {
            schedule.at(time, |link| link.rate(rate).delay(delay))
        } else if one_in(random, 4) {
            let limit = mtu(random, address);
            schedule.at(time, |link| link.mtu(limit))
        } else {
            let silence = Duration::from_millis(random.u64(..6_000));
            let cut = time;
            time += silence;
            schedule
                .at(cut, LinkConfig::cut)
                .at(time, LinkConfig::mended)
        };
    }
    schedule
}
