//! Two engines over random networks: rates and queues, delays and jitter, independent and burst
//! losses, duplicates, corruption, reordering, ECN marks, MTUs, thinned acknowledgments, and links
//! that change, are cut and come back. Another test has more hosts, behind routers: two to six
//! connections among two to four hosts, some of which are aborted.
//!
//! On a path that always comes back every byte arrives, once and in order, and both ends close. On
//! a path that is finally cut for good both ends get an error. In both cases no end sends beyond a
//! window or shrinks its window, and no state is left behind.
//!
//! `SEEDS=N` is the number of networks to try, `SEED=N` the first one:
//!
//! ```text
//! SEEDS=1000000 cargo test --profile proof -p millstream-netsim --test random
//! ```
//!
//! That profile is a release with debug assertions, such as the check of the flight size against the
//! congestion window.

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

/// The maximum number of events in one network. A run has a few thousand.
const LIVELOCK: usize = 2_000_000;

/// The time after which every run must have ended: longer than all retransmissions of one segment.
const LONG: Duration = Duration::from_secs(40_000);

fn number(variable: &str, otherwise: u64) -> u64 {
    let value = std::env::var(variable).ok();
    value.map_or(otherwise, |value| {
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is a number"))
    })
}

/// Tries one network after another, and prints how to replay a failure: the seed and the name of
/// the test, because the tests share their seeds.
fn try_many(test: &str, run: impl Fn(&mut Rng)) {
    let first = number("SEED", 0);
    for seed in first..first + number("SEEDS", 1000) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(&mut Rng::with_seed(seed)))) {
            eprintln!(
                "replay the failure with SEED={seed} SEEDS=1 cargo test -p millstream-netsim --test random {test}"
            );
            resume_unwind(panic);
        }
    }
}

#[test]
fn all_bytes_arrive_in_order_if_the_path_comes_back() {
    try_many("all_bytes_arrive", |random| {
        let mut hosts = Hosts::new(random, Fate::ComesBack);
        let [client, server] = hosts.run(random, LONG, LIVELOCK);
        assert_eq!((client, server), (Outcome::Finished, Outcome::Finished));
        hosts.end(LONG);
    });
}

#[test]
fn both_ends_get_an_error_if_the_path_is_cut_for_good() {
    try_many("both_ends_get_an_error", |random| {
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
fn cutting_off_a_host_affects_only_its_own_connections() {
    try_many("cutting_off", |random| {
        let mut crowd = Crowd::new(random, Fate::Ends);
        crowd.run(random, LONG, LIVELOCK);
        crowd.end(LONG);
    });
}
