//! Streams that several tasks read and write at once, over links of which some are often full.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll};

use millstream::TcpStream;
use millstream::device::{Capabilities, Device, Pair, PairConfig};
use millstream_interleavings::{
    client, connection, explore, pattern, read_all, server, spawn, stacks,
};
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::AsyncWriteExt;

/// More than a small write, and less than one with memory of its own.
const PIECE: usize = 6000;

/// A link that holds two packets: a sender often finds it full.
const NARROW: PairConfig = PairConfig {
    mtu: 1500,
    capacity: 2,
    capacity_bytes: 1 << 20,
    max_segment: 0,
    checksum_offload: false,
};

/// An end of a link that says of itself that it drops what exceeds a short queue: a stack sends two
/// packets, and reads before it sends more.
struct Forgetful(Pair);

impl Device for Forgetful {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_recv_ready(cx)
    }

    fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.try_recv(buf)
    }

    fn queue_len(&self) -> Option<usize> {
        Some(4)
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_send_ready(cx)
    }

    fn try_send(&self, frame: &[IoSlice<'_>]) -> io::Result<()> {
        self.0.try_send(frame)
    }
}

/// At each end one task writes while another reads.
async fn both_ways(streams: (TcpStream, TcpStream)) {
    let (left, right) = streams;
    let ends = [left, right].map(|stream| {
        let (mut read, mut write) = stream.into_split();
        let writes = spawn(async move {
            for piece in pattern(2 * PIECE).chunks(PIECE) {
                write.write_all(piece).await.expect("writes");
            }
            write.shutdown().await.expect("shuts down");
        });
        let reads = spawn(async move { read_all(&mut read, 5000).await.expect("reads") });
        (writes, reads)
    });
    for (writes, reads) in ends {
        writes.await;
        assert!(reads.await == pattern(2 * PIECE), "the bytes differ");
    }
}

#[test]
fn both_halves_at_once() {
    explore(1500, || async {
        let (server, client) = stacks(PairConfig::default());
        both_ways(connection(&server, &client).await).await;
    });
}

#[test]
fn both_halves_at_once_over_a_full_link() {
    explore(1500, || async {
        let (server, client) = stacks(NARROW);
        both_ways(connection(&server, &client).await).await;
    });
}

#[test]
fn both_halves_at_once_with_little_credit() {
    explore(1500, || async {
        let (left, right) = PairConfig::default().build();
        let (server, client) = (server(Forgetful(left)), client(Forgetful(right)));
        both_ways(connection(&server, &client).await).await;
    });
}

/// Two tasks wait until the stream is writable, and two until it is readable.
#[test]
fn tasks_that_wait_for_readiness_share_a_stream() {
    const EACH: usize = 40_000;
    explore(1500, || async {
        let (server, client) = stacks(PairConfig {
            max_segment: 64_000,
            ..PairConfig::default()
        });
        let (left, right) = connection(&server, &client).await;
        let (left, right) = (Arc::new(left), Arc::new(right));
        let read = Arc::new(AtomicUsize::new(0));
        let writers = [0, 1].map(|_| {
            let stream = Arc::clone(&left);
            spawn(async move {
                let mut left = EACH;
                while left > 0 {
                    stream.writable().await.expect("is open");
                    match stream.try_write(&vec![1; left]) {
                        Ok(len) => left -= len,
                        Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                    }
                }
            })
        });
        let readers = [0, 1].map(|_| {
            let (stream, read) = (Arc::clone(&right), Arc::clone(&read));
            spawn(async move {
                loop {
                    stream.readable().await.expect("is open");
                    match stream.try_read(&mut [0; 20_000]) {
                        Ok(0) => return,
                        Ok(len) => _ = read.fetch_add(len, Ordering::SeqCst),
                        Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                    }
                }
            })
        });
        for writer in writers {
            writer.await;
        }
        drop(left);
        for reader in readers {
            reader.await;
        }
        assert_eq!(read.load(Ordering::SeqCst), 2 * EACH);
    });
}
