//! Bulk transfers, on every kind of runtime, over links of several dimensions.

mod support;

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use millstream::device::{Capabilities, Device, Pair, PairConfig};
use millstream::{Config, Stack, TcpStream};
use millstream_wire::tcp::{self, Flags};
use millstream_wire::{SeqNum, ip};
use support::{client_over, connected, server_over, stacks_over};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const LEN: usize = 64 << 20;

const SECOND: Duration = Duration::from_secs(1);

/// The byte at a position of a stream, different for the two directions.
fn byte(at: usize, salt: usize) -> u8 {
    (at.wrapping_mul(2_654_435_761) >> 11) as u8 ^ (at >> 20) as u8 ^ salt as u8
}

async fn write(mut half: impl AsyncWriteExt + Unpin, len: usize, salt: usize) -> io::Result<()> {
    let mut at = 0;
    let mut buf = vec![0; 100_000];
    while at < len {
        let piece = &mut buf[..100_000.min(len - at)];
        for (i, slot) in piece.iter_mut().enumerate() {
            *slot = byte(at + i, salt);
        }
        half.write_all(piece).await?;
        at += piece.len();
    }
    half.shutdown().await
}

async fn check(mut half: impl AsyncReadExt + Unpin, len: usize, salt: usize) -> io::Result<()> {
    let mut at = 0;
    let mut buf = vec![0; 65_536];
    loop {
        let read = half.read(&mut buf).await?;
        if read == 0 {
            assert_eq!(at, len, "the stream ended early");
            return Ok(());
        }
        for (i, &found) in buf[..read].iter().enumerate() {
            assert_eq!(found, byte(at + i, salt), "at {}", at + i);
        }
        at += read;
    }
}

/// Both ends write and read `len` bytes at once.
async fn both_ways(there: TcpStream, here: TcpStream, len: usize) {
    let (there_read, there_write) = there.into_split();
    let (here_read, here_write) = here.into_split();
    let tasks = [
        tokio::spawn(write(there_write, len, 1)),
        tokio::spawn(write(here_write, len, 2)),
        tokio::spawn(check(there_read, len, 2)),
        tokio::spawn(check(here_read, len, 1)),
    ];
    for task in tasks {
        task.await.expect("no panic").expect("no error");
    }
}

fn over(config: PairConfig) -> (Stack, Stack) {
    let (left, right) = config.build();
    (
        server_over(left).build().expect("builds"),
        client_over(right).build().expect("builds"),
    )
}

async fn transfer(config: PairConfig, len: usize) {
    let (server, client) = over(config);
    let (_listener, there, here) = connected(&server, &client).await;
    both_ways(there, here, len).await;
}

#[tokio::test]
async fn both_ways_on_one_thread() {
    transfer(PairConfig::default(), LEN).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ways_on_two_threads() {
    transfer(PairConfig::default(), LEN).await;
}

#[tokio::test(start_paused = true)]
async fn both_ways_in_virtual_time() {
    transfer(PairConfig::default(), LEN).await;
}

#[tokio::test]
async fn super_segments() {
    let config = PairConfig {
        max_segment: 60_000,
        ..PairConfig::default()
    };
    transfer(config, LEN).await;
}

#[tokio::test]
async fn super_segments_without_checksums() {
    let config = PairConfig {
        max_segment: 60_000,
        checksum_offload: true,
        ..PairConfig::default()
    };
    transfer(config, LEN).await;
}

/// The packets of one connection that a link accepted, and how often the link was full.
#[derive(Debug, Default)]
struct Taken {
    /// The sequence number after the last byte so far.
    next: Option<SeqNum>,
    /// Packets with a gap before them: the engine had produced the bytes in the gap, and they are
    /// lost.
    gaps: usize,
    refusals: usize,
}

/// Observes the packets that a link accepts. Retransmissions leave no gap and are not suspicious: a
/// machine may be busy for longer than a timer.
struct Watched {
    link: Pair,
    taken: Arc<Mutex<Taken>>,
}

impl Device for Watched {
    fn capabilities(&self) -> Capabilities {
        self.link.capabilities()
    }

    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.poll_recv_ready(cx)
    }

    fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.link.try_recv(buf)
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.poll_send_ready(cx)
    }

    fn try_send(&self, frame: &[IoSlice<'_>]) -> io::Result<()> {
        let mut taken = self.taken.lock().expect("not poisoned");
        if let Err(error) = self.link.try_send(frame) {
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "a packet is lost");
            taken.refusals += 1;
            return Err(error);
        }
        let frame: Vec<u8> = frame.iter().flat_map(|slice| slice.to_vec()).collect();
        let packet = ip::Packet::parse(&frame).expect("an IP packet");
        let segment = tcp::View::parse(packet.payload()).expect("a segment");
        let flags = [Flags::SYN, Flags::FIN].map(|flag| segment.flags().contains(flag));
        let length = segment.payload().len() + flags.into_iter().filter(|&set| set).count();
        let end = segment.seq() + length as u32;
        let ahead = taken
            .next
            .map_or(0, |next| segment.seq().distance_from(next));
        taken.gaps += usize::from(ahead > 0);
        if taken.next.is_none_or(|next| end.distance_from(next) > 0) {
            taken.next = Some(end);
        }
        Ok(())
    }
}

/// The device is full most of the time: packets wait, and none is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_of_three_packets() {
    let config = PairConfig {
        capacity: 3,
        ..PairConfig::default()
    };
    let (left, right) = config.build();
    let taken = [(); 2].map(|()| Arc::<Mutex<Taken>>::default());
    let watch = |link, taken: &Arc<_>| Watched {
        link,
        taken: Arc::clone(taken),
    };
    let (server, client) = stacks_over(watch(left, &taken[0]), watch(right, &taken[1]));
    let (_listener, there, here) = connected(&server, &client).await;
    both_ways(there, here, 8 << 20).await;
    for taken in taken {
        let taken = taken.lock().expect("not poisoned");
        assert_eq!(taken.gaps, 0, "{taken:?}");
        assert!(taken.refusals > 0, "{taken:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_of_one_small_packet() {
    let config = PairConfig {
        mtu: 576,
        capacity: 1,
        ..PairConfig::default()
    };
    transfer(config, 1 << 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_connections_at_once() {
    let (server, client) = over(PairConfig::default());
    let listener = server.listen("10.0.0.1:7").await.expect("listens");
    let echo = tokio::spawn(async move {
        for _ in 0..100 {
            let (stream, _) = listener.accept().await.expect("accepts");
            tokio::spawn(async move {
                let (mut read, mut write) = stream.into_split();
                tokio::io::copy(&mut read, &mut write)
                    .await
                    .expect("echoes");
            });
        }
    });
    let clients: Vec<_> = (0..100)
        .map(|salt| {
            let client = client.clone();
            tokio::spawn(async move {
                let stream = client.connect("10.0.0.1:7").await.expect("connects");
                let (read, out) = stream.into_split();
                let (wrote, checked) =
                    tokio::join!(write(out, 200_000, salt), check(read, 200_000, salt));
                wrote.expect("writes");
                checked.expect("reads");
            })
        })
        .collect();
    for task in clients {
        task.await.expect("no panic");
    }
    echo.await.expect("no panic");
}

/// Disables the sender's timers for a minute, so that none hides a stall.
fn without_timers(config: &mut Config) {
    let socket = &mut config.socket;
    (socket.initial_rto, socket.min_rto) = (100 * SECOND, 100 * SECOND);
    socket.tail_loss_probe = false;
}

/// Short messages to and fro on many connections: every wake-up matters.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ping_pong_on_four_threads() {
    let (left, right) = PairConfig::default().build();
    let server = server_over(left).config(without_timers).build();
    let client = client_over(right).config(without_timers).build();
    let (server, client) = (server.expect("builds"), client.expect("builds"));
    let listener = server.listen("10.0.0.1:7").await.expect("listens");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.set_nodelay(true).expect("sets");
                let mut byte = [0];
                while stream.read(&mut byte).await.expect("reads") == 1 {
                    stream.write_all(&byte).await.expect("writes");
                }
            });
        }
    });
    let players: Vec<_> = (0..32)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut stream = client.connect("10.0.0.1:7").await.expect("connects");
                stream.set_nodelay(true).expect("sets");
                for ball in 0..=255 {
                    stream.write_all(&[ball]).await.expect("writes");
                    let mut back = [0];
                    stream.read_exact(&mut back).await.expect("reads");
                    assert_eq!(back, [ball]);
                }
            })
        })
        .collect();
    let all = futures::future::join_all(players);
    let played = tokio::time::timeout(60 * SECOND, all).await;
    for player in played.expect("a wake-up was lost") {
        player.expect("no panic");
    }
}
