//! Pacing at an allowed rate, with a timer whose resolution is a millisecond.

mod support;

use std::time::Duration;

use millstream::congestion::{Algorithm, NewReno};
use millstream::{CongestionControl, ConnectionOptions, TcpStream};
use support::{connected, stacks};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

/// The time that 2 MB take from one end to the other.
async fn time_of_two_megabytes(
    change: impl FnOnce(&mut ConnectionOptions),
) -> (Duration, TcpStream) {
    let (server, client) = stacks();
    let (_listener, mut there, mut here) = connected(&server, &client).await;
    here.set_options(change).expect("sets");
    let start = Instant::now();
    let writer = tokio::spawn(async move {
        here.write_all(&vec![1; 2_000_000]).await.expect("writes");
        here.shutdown().await.expect("shuts down");
        here
    });
    let mut all = Vec::new();
    there.read_to_end(&mut all).await.expect("reads");
    assert_eq!(all.len(), 2_000_000);
    (start.elapsed(), writer.await.expect("no panic"))
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_kept_and_filled() {
    let limit = 1_000_000;
    let (took, _) = time_of_two_megabytes(|options| options.max_pacing_rate = Some(limit)).await;
    let seconds = took.as_secs_f64();
    assert!((1.9..2.1).contains(&seconds), "{seconds} s");
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_nothing_waits() {
    let (took, _) = time_of_two_megabytes(|_| {}).await;
    assert!(took < Duration::from_millis(10), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn bbr_is_paced_without_being_asked() {
    let bbr = CongestionControl::Bbr;
    let (_, stream) = time_of_two_megabytes(|options| options.congestion = bbr).await;
    assert_eq!(stream.congestion().expect("tells"), "bbr");
    assert!(stream.info().expect("tells").pacing_rate.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_algorithm_of_one_s_own_is_asked() {
    static CONSTANT: Algorithm =
        Algorithm::new("constant", |_, mss| Box::new(NewReno::new(3 * mss, mss)));
    let custom = CongestionControl::Custom(&CONSTANT);
    let (server, client) = stacks();
    let (_listener, _there, mut here) = connected(&server, &client).await;
    here.set_options(|options| options.congestion = custom)
        .expect("sets");
    here.write_all(b"first").await.expect("writes");
    let info = here.info().expect("tells");
    assert_eq!((info.congestion, info.cwnd), ("constant", 3 * info.snd_mss));
}
