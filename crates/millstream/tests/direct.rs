//! Bulk readers that read from the device directly: no other connection suffers, and no data is
//! mixed up.

mod support;

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use millstream::device::{Capabilities, Device, Pair, PairConfig};
use millstream::{Stack, TcpStream};
use support::{client_over, server_over};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Larger than a frame of any device.
const LARGE: usize = 200_000;

/// Counts the bytes that are read into memory larger than a driver's.
struct Counting {
    device: Pair,
    direct: Arc<AtomicUsize>,
}

impl Device for Counting {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.device.poll_recv_ready(cx)
    }

    fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.device.try_recv(buf)
    }

    fn try_recv_split(&self, head: &mut [u8], rest: &mut [u8]) -> io::Result<usize> {
        let len = self.device.try_recv_split(head, rest)?;
        if rest.len() > self.capabilities().max_frame() {
            self.direct.fetch_add(len, Ordering::Relaxed);
        }
        Ok(len)
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.device.poll_send_ready(cx)
    }

    fn try_send(&self, frame: &[IoSlice<'_>]) -> io::Result<()> {
        self.device.try_send(frame)
    }
}

/// A server, a client, and the number of bytes that the server's readers read directly.
fn stacks(config: PairConfig) -> (Stack, Stack, Arc<AtomicUsize>) {
    let (left, right) = config.build();
    let direct = Arc::new(AtomicUsize::new(0));
    let counting = Counting {
        device: left,
        direct: Arc::clone(&direct),
    };
    let server = server_over(counting).build().expect("builds");
    let client = client_over(right).build().expect("builds");
    (server, client, direct)
}

/// Links like that of a plain device, and like that of a device that accepts super-segments.
fn links() -> [PairConfig; 2] {
    let plain = PairConfig {
        mtu: 1500,
        max_segment: 0,
        ..PairConfig::default()
    };
    let large = PairConfig {
        mtu: 1500,
        max_segment: 60_000,
        ..PairConfig::default()
    };
    [plain, large]
}

async fn connect(server: &Stack, client: &Stack, port: u16) -> (TcpStream, TcpStream) {
    let address = ("10.0.0.1", port);
    let listener = server.listen(address).await.expect("listens");
    let (connected, accepted) = tokio::join!(client.connect(address), listener.accept());
    (accepted.expect("accepts").0, connected.expect("connects"))
}

fn byte(at: usize, salt: usize) -> u8 {
    (at.wrapping_mul(2_654_435_761) >> 11) as u8 ^ (at >> 20) as u8 ^ salt as u8
}

async fn write(stream: &mut TcpStream, len: usize, salt: usize) {
    let data: Vec<u8> = (0..len).map(|at| byte(at, salt)).collect();
    stream.write_all(&data).await.expect("writes");
    stream.shutdown().await.expect("shuts down");
}

/// Reads to the end of the stream, at most `sizes` bytes at a time in turn.
async fn check(stream: &mut TcpStream, len: usize, salt: usize, sizes: &[usize]) {
    let mut buf = vec![0; LARGE];
    let mut at = 0;
    for &size in sizes.iter().cycle() {
        let read = stream.read(&mut buf[..size]).await.expect("reads");
        if read == 0 {
            break;
        }
        for (i, &found) in buf[..read].iter().enumerate() {
            assert_eq!(found, byte(at + i, salt), "at {}", at + i);
        }
        at += read;
    }
    assert_eq!(at, len, "the stream ended early");
}

#[tokio::test]
async fn a_reader_of_much_reads_from_the_device() {
    const LEN: usize = 20 << 20;
    for config in links() {
        let (server, client, direct) = stacks(config);
        let (mut reader, mut writer) = connect(&server, &client, 7).await;
        let reads = tokio::spawn(async move { check(&mut reader, LEN, 1, &[LARGE]).await });
        let writes = tokio::spawn(async move { write(&mut writer, LEN, 1).await });
        reads.await.expect("no panic");
        writes.await.expect("no panic");
        let direct = direct.load(Ordering::Relaxed);
        assert!(direct > LEN / 2, "{direct} of {LEN} bytes");
        assert_eq!(client.counters().segments_retransmitted, 0);
    }
}

#[tokio::test]
async fn reads_large_and_small_by_turns() {
    const LEN: usize = 5 << 20;
    for config in links() {
        let (server, client, _) = stacks(config);
        let (mut reader, mut writer) = connect(&server, &client, 7).await;
        let sizes = [LARGE, 1, 70_000, 100, LARGE, LARGE, 16_384, 4000];
        tokio::join!(
            write(&mut writer, LEN, 1),
            check(&mut reader, LEN, 1, &sizes)
        );
    }
}

/// Before, the driver left each frame to the reader, which could not take it and left it to the
/// driver. The two woke each other without end. On this paused clock no timer ends that.
#[tokio::test(start_paused = true)]
async fn a_buffer_smaller_than_a_frame_is_filled_all_the_same() {
    const LEN: usize = 2 << 20;
    for config in links() {
        let (server, client, _) = stacks(config);
        let (mut reader, mut writer) = connect(&server, &client, 7).await;
        let writes = tokio::spawn(async move { write(&mut writer, LEN, 1).await });
        // A task of its own, which runs after each turn of the driver.
        let reads = tokio::spawn(async move {
            let mut reads = pin!(check(&mut reader, LEN, 1, &[32 << 10]));
            let mut turns = 0;
            poll_fn(|cx| {
                turns += 1;
                assert!(turns < LEN / 100, "the reader is woken for nothing");
                reads.as_mut().poll(cx)
            })
            .await;
        });
        writes.await.expect("no panic");
        reads.await.expect("no panic");
    }
}

async fn several_streams_at_once() {
    const LEN: usize = 4 << 20;
    for config in links() {
        let (server, client, _) = stacks(config);
        let mut tasks = Vec::new();
        for salt in 0..4 {
            let (mut reader, mut writer) = connect(&server, &client, 7 + salt as u16).await;
            tasks.push(tokio::spawn(
                async move { write(&mut writer, LEN, salt).await },
            ));
            tasks.push(tokio::spawn(async move {
                check(&mut reader, LEN, salt, &[LARGE]).await;
            }));
        }
        for task in tasks {
            task.await.expect("no panic");
        }
    }
}

#[tokio::test]
async fn several_streams_at_once_on_one_thread() {
    several_streams_at_once().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_streams_at_once_on_several_threads() {
    several_streams_at_once().await;
}

/// Arriving packets are left to a bulk reader, which does not run. The other connections receive
/// their data all the same.
#[tokio::test]
async fn a_reader_that_stops_holds_up_nobody() {
    for config in links() {
        let (server, client, direct) = stacks(config);
        let (mut reader, mut writer) = connect(&server, &client, 7).await;
        let (mut asked, mut asking) = connect(&server, &client, 8).await;
        let data = vec![1; 4 << 20];
        let len = data.len();
        let reads = tokio::spawn(async move {
            let mut buf = vec![0; LARGE];
            let mut left = len;
            while left > 0 {
                left -= reader.read(&mut buf).await.expect("reads");
            }
            // The reader waits once more, and then gives up.
            tokio::select! {
                biased;
                _ = reader.read(&mut buf) => unreachable!("nothing comes"),
                () = support::settle() => reader,
            }
        });
        writer.write_all(&data).await.expect("writes");
        let mut reader = reads.await.expect("no panic");
        assert!(direct.load(Ordering::Relaxed) > 0);
        for round in 0..100 {
            asking.write_all(&[round]).await.expect("writes");
            assert_eq!(asked.read_u8().await.expect("reads"), round);
            asked.write_all(&[round]).await.expect("writes");
            assert_eq!(asking.read_u8().await.expect("reads"), round);
        }
        // The reader returns.
        writer.write_all(&[9; 100]).await.expect("writes");
        let mut buf = vec![0; LARGE];
        assert_eq!(reader.read(&mut buf).await.expect("reads"), 100);
    }
}

/// The reader sees the end of the stream, and a reset.
#[tokio::test]
async fn ends_are_seen() {
    for config in links() {
        for reset in [false, true] {
            let (server, client, _) = stacks(config);
            let (mut reader, mut writer) = connect(&server, &client, 7).await;
            let data = vec![1; 1 << 20];
            let mut buf = vec![0; LARGE];
            let mut left = data.len();
            let (_, ()) = tokio::join!(writer.write_all(&data), async {
                while left > 0 {
                    left -= reader.read(&mut buf).await.expect("reads");
                }
            });
            let (end, ()) = tokio::join!(reader.read(&mut buf), async {
                if reset {
                    writer.set_zero_linger().expect("is open");
                }
                drop(writer);
            });
            let end = end.map_err(|error| error.kind());
            let expected = if reset {
                Err(io::ErrorKind::ConnectionReset)
            } else {
                Ok(0)
            };
            assert_eq!(end, expected);
        }
    }
}
