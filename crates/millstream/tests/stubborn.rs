//! Devices that give the same answer for ever: other tasks run all the same, and the stack can be
//! ended.

mod support;

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use millstream::device::{Capabilities, Device, Pair, pair};
use support::{client_over, connected, pattern, server_over, settle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// The answer that a device gives instead of doing its work.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Error(io::ErrorKind),
    /// An empty frame. Sent frames are lost.
    Nothing,
}

impl Answer {
    fn to_receive(self) -> io::Result<usize> {
        match self {
            Self::Error(kind) => Err(kind.into()),
            Self::Nothing => Ok(0),
        }
    }
}

const FOR_EVER: [Answer; 3] = [
    Answer::Error(io::ErrorKind::Interrupted),
    Answer::Error(io::ErrorKind::WouldBlock),
    Answer::Nothing,
];

/// A link whose device, while it is stubborn, is always ready and always gives the same answer.
struct Stubborn {
    link: Pair,
    stubborn: Arc<AtomicBool>,
    receives: Option<Answer>,
    sends: Option<Answer>,
}

impl Stubborn {
    fn answer(&self, answer: Option<Answer>) -> Option<Answer> {
        answer.filter(|_| self.stubborn.load(Ordering::Relaxed))
    }
}

impl Device for Stubborn {
    fn capabilities(&self) -> Capabilities {
        self.link.capabilities()
    }

    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.answer(self.receives) {
            Some(_) => Poll::Ready(Ok(())),
            None => self.link.poll_recv_ready(cx),
        }
    }

    fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self.answer(self.receives) {
            Some(answer) => answer.to_receive(),
            None => self.link.try_recv(buf),
        }
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.answer(self.sends) {
            Some(_) => Poll::Ready(Ok(())),
            None => self.link.poll_send_ready(cx),
        }
    }

    fn try_send(&self, frame: &[IoSlice<'_>]) -> io::Result<()> {
        match self.answer(self.sends) {
            Some(answer) => answer.to_receive().map(drop),
            None => self.link.try_send(frame),
        }
    }
}

/// The client's device is stubborn for a while, during which other tasks run; then everything
/// continues.
async fn others_run(receives: Option<Answer>, sends: Option<Answer>) {
    let (left, right) = pair();
    let stubborn = Arc::new(AtomicBool::new(false));
    let device = Stubborn {
        link: right,
        stubborn: Arc::clone(&stubborn),
        receives,
        sends,
    };
    let server = server_over(left).build().expect("builds");
    let client = client_over(device).build().expect("builds");
    let (_listener, mut there, mut here) = connected(&server, &client).await;
    // A bulk reader, which reads from the device directly.
    there.write_all(&pattern(200_000)).await.expect("writes");
    let mut buf = vec![0; 200_000];
    here.read_exact(&mut buf).await.expect("reads");
    assert!(buf == pattern(200_000), "the bytes differ");

    stubborn.store(true, Ordering::Relaxed);
    here.write_all(b"is lost").await.expect("is buffered");
    there.write_all(&pattern(100)).await.expect("writes");
    let reader = tokio::spawn(async move {
        let mut left = 101;
        while left > 0 {
            left -= here.read(&mut buf).await.expect("reads");
        }
        here
    });
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    stubborn.store(false, Ordering::Relaxed);
    there.write_all(b"!").await.expect("writes");
    let here = reader.await.expect("no panic");
    let mut text = [0; 7];
    there.read_exact(&mut text).await.expect("reads");
    assert_eq!(&text, b"is lost");

    stubborn.store(true, Ordering::Relaxed);
    client.shutdown().await;
    drop(here);
}

#[tokio::test]
async fn others_run_while_receiving_is_answered_so() {
    for answer in FOR_EVER {
        let done = others_run(Some(answer), None);
        timeout(Duration::from_secs(60), done)
            .await
            .expect("others run");
    }
}

#[tokio::test]
async fn others_run_while_sending_is_answered_so() {
    for answer in FOR_EVER {
        let done = others_run(None, Some(answer));
        timeout(Duration::from_secs(60), done)
            .await
            .expect("others run");
    }
}

/// The last handle is dropped while the device always has more frames: the stack ends.
#[tokio::test]
async fn a_device_that_always_has_more_does_not_keep_the_stack() {
    for answer in FOR_EVER {
        let (left, right) = pair();
        let (tap, watch) = support::Tap::new(Stubborn {
            link: right,
            stubborn: Arc::new(AtomicBool::new(true)),
            receives: Some(answer),
            sends: None,
        });
        drop(client_over(tap).build().expect("builds"));
        let ended = async {
            while !watch.is_dropped() {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(60), ended).await.expect("ends");
        drop(left);
    }
}

/// A failure that a reader encounters ends the stack, like one that the driver encounters.
#[tokio::test(start_paused = true)]
async fn a_failure_that_a_reader_finds_ends_the_stack() {
    let (left, right) = pair();
    let stubborn = Arc::new(AtomicBool::new(false));
    let device = Stubborn {
        link: right,
        stubborn: Arc::clone(&stubborn),
        receives: Some(Answer::Error(io::ErrorKind::NotFound)),
        sends: None,
    };
    let server = server_over(left).build().expect("builds");
    let client = client_over(device).build().expect("builds");
    let (_listener, mut there, mut here) = connected(&server, &client).await;
    there.write_all(&pattern(200_000)).await.expect("writes");
    let mut buf = vec![0; 200_000];
    here.read_exact(&mut buf).await.expect("reads");
    let reader = tokio::spawn(async move { here.read(&mut buf).await });
    settle().await;
    stubborn.store(true, Ordering::Relaxed);
    there.write_all(b"x").await.expect("writes");
    let error = reader.await.expect("no panic").expect_err("is over");
    assert_eq!(error.kind(), io::ErrorKind::NetworkDown);
}
