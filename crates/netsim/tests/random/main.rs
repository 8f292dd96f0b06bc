//! Two engines over random networks: rates and queues, delays and jitter, loss alone and in bursts, duplicates,
//! wrong bytes, packets overtaken, marks, MTUs, acknowledgments thinned, and links that change, are cut and come back. And more of
//! them, behind routers: two to six connections among two to four hosts, some of which are aborted.
//!
//! On a path that always comes back every byte arrives, once and in order, and both ends close. On one that is cut for
//! good both ends are told. Either way nobody sends beyond a window or takes one back, and nothing is left behind.
//!
//! `SEEDS=N` says how many networks are tried, `SEED=N` which is the first: `SEEDS=1000000 cargo test --profile proof -p
//! millstream-netsim --test random`. That profile is a release with the debug assertions, such as that nobody has more in
//! flight than the congestion window allows.

mod application;
mod crowd;
mod hosts;
mod path;
mod referee;
mod topology;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use fastrand::Rng;

use self::application::Outcome;
use self::crowd::Crowd;
use self::hosts::Hosts;
use self::path::Fate;

/// Events of one network at the most. A run has a few thousand.
const LIVELOCK: usize = 2_000_000;

/// Time in which everything must have ended: longer than all retransmissions of one segment.
const LONG: Duration = Duration::from_secs(40_000);

fn number(variable: &str, otherwise: u64) -> u64 {
    let value = std::env::var(variable).ok();
    value.map_or(otherwise, |value| {
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is a number"))
    })
}

/// Tries network after network, and says what replays the one that failed: the seed and the test, which shares its seeds with the
/// other.
fn try_many(test: &str, run: impl Fn(&mut Rng)) {
    let first = number("SEED", 0);
    for seed in first..first + number("SEEDS", 1000) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(&mut Rng::with_seed(seed)))) {
            eprintln!(
                "replay it with SEED={seed} SEEDS=1 cargo test -p millstream-netsim --test random {test}"
            );
            resume_unwind(panic);
        }
    }
}

#[test]
fn everything_arrives_in_order_where_the_path_comes_back() {
    try_many("everything_arrives", |random| {
        let mut hosts = Hosts::new(random, Fate::ComesBack);
        let [client, server] = hosts.run(random, LONG, LIVELOCK);
        assert_eq!((client, server), (Outcome::Finished, Outcome::Finished));
        hosts.end(LONG);
    });
}

#[test]
fn both_are_told_where_the_path_is_cut_for_good() {
    try_many("both_are_told", |random| {
        let mut hosts = Hosts::new(random, Fate::Ends);
        let outcomes = hosts.run(random, LONG, LIVELOCK);
        assert!(!outcomes.contains(&Outcome::Waits), "{outcomes:?}");
        hosts.end(LONG);
    });
}

#[test]
fn connections_over_routers_arrive_or_are_aborted() {
    try_many("arrive_or_are_aborted", |random| {
        let mut crowd = Crowd::new(random, Fate::ComesBack);
        crowd.run(random, LONG, LIVELOCK);
        crowd.end(LONG);
    });
}

#[test]
fn a_host_that_is_cut_off_takes_only_its_own_connections_along() {
    try_many("cut_off", |random| {
        let mut crowd = Crowd::new(random, Fate::Ends);
        crowd.run(random, LONG, LIVELOCK);
        crowd.end(LONG);
    });
}
