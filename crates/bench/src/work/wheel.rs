//! The timer wheel compared with an ordered map and tokio-util's `DelayQueue`.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use anyhow::{Result, ensure};
use millstream_engine::{Instant, TimerId, Wheel};
use tokio::time;
use tokio_util::time::{DelayQueue, delay_queue};

use crate::results::{Metric, Results};
use crate::rounds::progress;

/// The numbers of running timers.
pub(crate) const SIZES: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// The number of timers started and stopped in one measurement.
const STARTED: u32 = 100_000;

/// The name of the wheel's row.
pub(crate) const OURS: &str = "wheel";

/// The title of the table of starting and cancelling.
pub(crate) fn insert_and_cancel(size: u32) -> String {
    format!("insert + cancel among {size} timers")
}

/// The title of the table of starting and expiring.
fn insert_and_fire(size: u32) -> String {
    format!("insert + fire, {size} timers")
}

/// Measures all kinds for `rounds` rounds.
///
/// # Errors
/// If a timer does not fire.
pub(crate) fn measure(rounds: usize, results: &mut Results) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    let progress = progress(rounds * SIZES.len() * 3);
    for _ in 0..rounds {
        for size in SIZES {
            runtime.block_on(one::<Wheel>(OURS, size, results))?;
            progress.inc(1);
            runtime.block_on(one::<Ordered>("BTreeMap", size, results))?;
            progress.inc(1);
            runtime.block_on(one::<Delays>("DelayQueue", size, results))?;
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    Ok(())
}

/// The operations common to all. Deadlines and times are relative to the creation.
trait Timers: Default {
    type Id;
    fn insert(&mut self, deadline: Duration, key: u32) -> Self::Id;
    fn cancel(&mut self, id: Self::Id);
    /// Expires all timers that are due; returns their number.
    fn expire(&mut self, now: Duration) -> impl Future<Output = u32>;
}

impl Timers for Wheel {
    type Id = TimerId;

    fn insert(&mut self, deadline: Duration, key: u32) -> TimerId {
        Self::insert(self, Instant::ZERO + deadline, key)
    }

    fn cancel(&mut self, id: TimerId) {
        Self::cancel(self, id);
    }

    async fn expire(&mut self, now: Duration) -> u32 {
        let mut fired = 0;
        while Self::expire(self, Instant::ZERO + now).is_some() {
            fired += 1;
        }
        fired
    }
}

/// A map ordered by time.
#[derive(Default)]
struct Ordered(BTreeMap<(Duration, u32), ()>);

impl Timers for Ordered {
    type Id = (Duration, u32);

    fn insert(&mut self, deadline: Duration, key: u32) -> Self::Id {
        self.0.insert((deadline, key), ());
        (deadline, key)
    }

    fn cancel(&mut self, id: Self::Id) {
        self.0.remove(&id);
    }

    async fn expire(&mut self, now: Duration) -> u32 {
        let mut fired = 0;
        while let Some(first) = self.0.first_entry() {
            if first.key().0 > now {
                break;
            }
            first.remove();
            fired += 1;
        }
        fired
    }
}

/// tokio-util's queue, on a paused clock.
struct Delays {
    queue: DelayQueue<u32>,
    origin: time::Instant,
}

impl Default for Delays {
    fn default() -> Self {
        Self {
            queue: DelayQueue::new(),
            origin: time::Instant::now(),
        }
    }
}

impl Timers for Delays {
    type Id = delay_queue::Key;

    fn insert(&mut self, deadline: Duration, key: u32) -> Self::Id {
        self.queue.insert_at(key, self.origin + deadline)
    }

    fn cancel(&mut self, id: Self::Id) {
        self.queue.remove(&id);
    }

    async fn expire(&mut self, now: Duration) -> u32 {
        let ahead = now.saturating_sub(self.origin.elapsed());
        time::advance(ahead).await;
        let mut cx = Context::from_waker(Waker::noop());
        let mut fired = 0;
        while let Poll::Ready(Some(_)) = self.queue.poll_expired(&mut cx) {
            fired += 1;
        }
        fired
    }
}

/// Retransmission timeouts, spread over ten seconds in irregular order (by a multiplicative
/// congruence).
fn deadline(n: u32) -> Duration {
    let spread = u64::from(n.wrapping_mul(2_654_435_761)) * 10_000 / (1 << 32);
    Duration::from_millis(200 + spread)
}

async fn one<T: Timers>(name: &str, size: u32, results: &mut Results) -> Result<()> {
    let began = std::time::Instant::now();
    let mut timers = T::default();
    for n in 0..size {
        timers.insert(deadline(n), n);
    }
    let filling = began.elapsed();

    let began = std::time::Instant::now();
    for n in size..size + STARTED {
        let id = timers.insert(black_box(deadline(n)), n);
        timers.cancel(id);
    }
    let nanos = began.elapsed().as_nanos() as f64 / f64::from(STARTED);
    results.add(&insert_and_cancel(size), name, Metric::NanosEach, nanos);

    let began = std::time::Instant::now();
    let mut fired = 0;
    for millis in 0..=11_000 {
        fired += timers.expire(Duration::from_millis(millis)).await;
    }
    ensure!(fired == size, "{name}: {fired} of {size} fired");
    let total = began.elapsed() + filling;
    let nanos = total.as_nanos() as f64 / f64::from(size);
    results.add(&insert_and_fire(size), name, Metric::NanosEach, nanos);
    Ok(())
}
