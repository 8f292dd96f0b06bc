//! An idle stack does not run.

mod support;

use std::time::Duration;

use millstream::Keepalive;
use support::{Tap, Watch, connected, stacks_over};
use tokio::io::AsyncReadExt;
use tokio::time::sleep;

/// How often the two drivers run in `time` without traffic.
async fn runs(watches: [&Watch; 2], time: Duration) -> usize {
    let before: usize = watches.iter().map(|watch| watch.polls()).sum();
    sleep(time).await;
    watches.iter().map(|watch| watch.polls()).sum::<usize>() - before
}

#[tokio::test(start_paused = true)]
async fn a_thousand_idle_connections_wake_nobody() {
    let ((left, watch_left), (right, watch_right)) = Tap::pair();
    let (server, client) = stacks_over(left, right);
    let listener = server.listen("10.0.0.1:7").await.expect("listens");
    let mut streams = Vec::new();
    for _ in 0..1000 {
        let (here, there) = tokio::join!(client.connect("10.0.0.1:7"), listener.accept());
        streams.push(here.expect("connects"));
        streams.push(there.expect("accepts").0);
    }
    // Timers that were set for the handshakes may each fire once, without effect.
    sleep(Duration::from_secs(200)).await;
    let idle = runs([&watch_left, &watch_right], Duration::from_secs(3600)).await;
    assert_eq!(idle, 0, "the drivers ran");
    assert_eq!(streams.len(), 2000);
}

#[tokio::test(start_paused = true)]
async fn keepalive_runs_when_it_is_due_and_no_more() {
    let ((left, watch_left), (right, watch_right)) = Tap::pair();
    let (server, client) = stacks_over(left, right);
    let (_listener, _there, here) = connected(&server, &client).await;
    sleep(Duration::from_secs(10)).await;
    here.set_keepalive(Some(Keepalive::default().idle(Duration::from_secs(100))))
        .expect("sets");
    let idle = runs([&watch_left, &watch_right], Duration::from_secs(10_000)).await;
    assert!(
        (200..=900).contains(&idle),
        "{idle} looks at the devices for 100 probes and their answers, after each of which there is another look"
    );
}

#[tokio::test(start_paused = true)]
async fn keepalive_finds_a_peer_that_is_gone() {
    let ((left, _), (right, watch)) = Tap::pair();
    let (server, client) = stacks_over(left, right);
    let (_listener, _there, mut here) = connected(&server, &client).await;
    here.set_keepalive(Some(
        Keepalive::default()
            .idle(Duration::from_secs(60))
            .interval(Duration::from_secs(5))
            .count(3),
    ))
    .expect("sets");
    watch.cut(true);
    let began = tokio::time::Instant::now();
    let error = here.read(&mut [0; 1]).await.expect_err("nobody answers");
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert_eq!(began.elapsed().as_secs(), 75);
}
