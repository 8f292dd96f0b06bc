//! Happy Eyeballs (RFC 8305): several addresses of one host are tried one after the other, each
//! without waiting for the previous ones to fail.

use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

/// Sorts addresses so that the families alternate, beginning with that of the first (RFC 8305 4).
/// Within a family the order remains.
pub(super) fn order(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().map(SocketAddr::is_ipv6) else {
        return addresses;
    };
    let total = addresses.len();
    let (preferred, other): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first);
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    let mut ordered = Vec::with_capacity(total);
    while ordered.len() < total {
        ordered.extend(preferred.next());
        ordered.extend(other.next());
    }
    ordered
}

/// Runs the attempts, of which the next one starts when `delay` has passed or the latest one has
/// failed (RFC 8305 5). Returns the first success, or else the last failure; `None` without an
/// attempt.
pub(super) async fn race<T, E>(
    attempts: impl IntoIterator<Item = impl Future<Output = Result<T, E>>>,
    delay: Duration,
) -> Option<Result<T, E>> {
    let mut waiting = attempts.into_iter();
    let mut running = FuturesUnordered::new();
    running.push(waiting.next()?);
    let mut next = waiting.next();
    loop {
        let result = match next.take() {
            None => running.next().await?,
            Some(attempt) => match tokio::time::timeout(delay, running.next()).await {
                Err(_) => {
                    running.push(attempt);
                    next = waiting.next();
                    continue;
                }
                Ok(None | Some(Err(_))) => {
                    running.push(attempt);
                    next = waiting.next();
                    continue;
                }
                Ok(Some(success)) => success,
            },
        };
        if result.is_ok() || running.is_empty() {
            return Some(result);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::{Instant, sleep};

    use super::*;

    const DELAY: Duration = Duration::from_millis(250);

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        let parse = |text: &&str| text.parse().expect("an address");
        texts.iter().map(parse).collect()
    }

    #[test]
    fn families_alternate() {
        let given = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "1.1.1.2:1"];
        let wanted = ["[::1]:1", "1.1.1.1:1", "[::2]:1", "1.1.1.2:1", "[::3]:1"];
        assert_eq!(order(addresses(&given)), addresses(&wanted));
        let given = ["1.1.1.1:1", "[::1]:1", "[::2]:1"];
        assert_eq!(order(addresses(&given)), addresses(&given));
        assert!(order(Vec::new()).is_empty());
    }

    /// An attempt that ends after some milliseconds, or never.
    async fn attempt(millis: Option<u64>, result: Result<u8, u8>) -> Result<u8, u8> {
        match millis {
            Some(millis) => sleep(Duration::from_millis(millis)).await,
            None => pending().await,
        }
        result
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_address_is_tried_after_the_delay() {
        let start = Instant::now();
        let attempts = [attempt(None, Ok(1)), attempt(Some(30), Ok(2))];
        assert_eq!(race(attempts, DELAY).await, Some(Ok(2)));
        assert_eq!(start.elapsed(), Duration::from_millis(280));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_starts_the_next_attempt_at_once() {
        let start = Instant::now();
        let attempts = [attempt(Some(10), Err(1)), attempt(Some(30), Ok(2))];
        assert_eq!(race(attempts, DELAY).await, Some(Ok(2)));
        assert_eq!(start.elapsed(), Duration::from_millis(40));
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_of_an_earlier_address_counts() {
        let attempts = [attempt(Some(300), Ok(1)), attempt(Some(100), Ok(2))];
        assert_eq!(race(attempts, DELAY).await, Some(Ok(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_failure_is_reported() {
        let attempts = [attempt(Some(400), Err(1)), attempt(Some(10), Err(2))];
        assert_eq!(race(attempts, DELAY).await, Some(Err(1)));
        let none: [std::future::Ready<Result<u8, u8>>; 0] = [];
        assert_eq!(race(none, DELAY).await, None);
    }
}
