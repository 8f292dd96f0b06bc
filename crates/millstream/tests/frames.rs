//! Frames of any length, through every input path: a frame that is not a packet is counted and
//! dropped, and harms no connection.

mod support;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::channel::mpsc;
use futures::task::AtomicWaker;
use futures::{SinkExt, StreamExt};
use millstream::device::{Capabilities, Device, Packets, Pair, PairConfig};
use millstream::{DropReason, Stack, TcpStream};
use support::{client_over, connected, pattern, server_over};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Larger than a frame of any device.
const LARGE: usize = 200_000;

/// Bytes of the stream between two injections.
const BULK: usize = 32 << 10;

/// Frames that arrive in addition to those of the link.
#[derive(Default)]
struct Injection {
    frames: Mutex<VecDeque<Vec<u8>>>,
    waker: AtomicWaker,
    /// Frames that a reader read directly, into memory larger than a driver's.
    direct: AtomicUsize,
}

impl Injection {
    fn inject(&self, frames: impl IntoIterator<Item = Vec<u8>>) {
        self.frames.lock().expect("not poisoned").extend(frames);
        self.waker.wake();
    }

    fn take(&self) -> Option<Vec<u8>> {
        self.frames.lock().expect("not poisoned").pop_front()
    }

    async fn all_taken(&self) {
        while !self.frames.lock().expect("not poisoned").is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

struct Injecting {
    link: Pair,
    header_len: usize,
    /// Whether the device reports the length of the whole frame, although it delivered only a part.
    tells_all: bool,
    injection: Arc<Injection>,
}

impl Injecting {
    fn copied(&self, frame: &[u8], room: usize) -> usize {
        if self.tells_all {
            frame.len()
        } else {
            frame.len().min(room)
        }
    }
}

impl Device for Injecting {
    fn capabilities(&self) -> Capabilities {
        let capabilities = self.link.capabilities();
        capabilities
            .with_virtio_header_len(self.header_len)
            .with_tx_checksum_offload(self.header_len > 0)
    }

    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.injection.waker.register(cx.waker());
        if self
            .injection
            .frames
            .lock()
            .expect("not poisoned")
            .is_empty()
        {
            self.link.poll_recv_ready(cx)
        } else {
            Poll::Ready(Ok(()))
        }
    }

    fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(frame) = self.injection.take() else {
            return self.link.try_recv(buf);
        };
        let len = frame.len().min(buf.len());
        buf[..len].copy_from_slice(&frame[..len]);
        Ok(self.copied(&frame, buf.len()))
    }

    fn try_recv_split(&self, head: &mut [u8], rest: &mut [u8]) -> io::Result<usize> {
        let Some(frame) = self.injection.take() else {
            return self.link.try_recv_split(head, rest);
        };
        if rest.len() > self.capabilities().max_frame() {
            self.injection.direct.fetch_add(1, Ordering::Relaxed);
        }
        let (first, second) = frame.split_at(frame.len().min(head.len()));
        head[..first.len()].copy_from_slice(first);
        let len = second.len().min(rest.len());
        rest[..len].copy_from_slice(&second[..len]);
        Ok(self.copied(&frame, head.len() + rest.len()))
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.poll_send_ready(cx)
    }

    fn try_send(&self, frame: &[IoSlice<'_>]) -> io::Result<()> {
        self.link.try_send(frame)
    }
}

/// A UDP datagram from the client to the server, of `len` bytes including its headers, which are
/// cut off if `len` is smaller.
fn datagram(len: usize) -> Vec<u8> {
    let mut packet = vec![
        0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1, 0, 9, 0, 9, 0, 0, 0, 0,
    ];
    packet[2..4].copy_from_slice(&(len.min(65_535) as u16).to_be_bytes());
    let sum: u32 = packet[..20]
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet[24..26].copy_from_slice(&(len.saturating_sub(20).min(65_515) as u16).to_be_bytes());
    packet.resize(len, 7);
    packet
}

fn lengths(largest: usize) -> impl Iterator<Item = usize> {
    let edge = largest - 20..largest + 40;
    (0..90).chain(edge).chain((90..=70_000).step_by(1777))
}

/// Everything is read at once: such a bulk reader reads the next packets from the device directly.
async fn transfer(writer: &mut TcpStream, reader: &mut TcpStream, data: &[u8], buf: &mut [u8]) {
    writer.write_all(data).await.expect("writes");
    while reader.info().expect("tells").readable_bytes < data.len() as u64 {
        tokio::task::yield_now().await;
    }
    let len = reader.read(buf).await.expect("reads");
    assert!(buf[..len] == *data, "other bytes");
}

async fn takes_every_length(config: PairConfig, header_len: usize, tells_all: bool) {
    let (left, right) = config.build();
    let injection = Arc::new(Injection::default());
    let device = |link, injection: &Arc<Injection>| Injecting {
        link,
        header_len,
        tells_all,
        injection: Arc::clone(injection),
    };
    let left = device(left, &injection);
    let largest = left.capabilities().max_frame();
    let server = server_over(left).build().expect("builds");
    let client = client_over(device(right, &Arc::default()))
        .build()
        .expect("builds");
    let (_listener, mut there, mut here) = connected(&server, &client).await;
    let (data, mut buf) = (pattern(BULK), vec![0; LARGE]);
    let mut malformed = 0;
    for len in lengths(largest) {
        transfer(&mut here, &mut there, &data, &mut buf).await;
        let header = vec![0; header_len];
        let good = [header.clone(), datagram(len)].concat();
        let none = [header, vec![0xff; len]].concat();
        // A datagram needs a header of 20 bytes, has at most 65,535 bytes, and is cut off beyond
        // the largest frame.
        let cut = len < 20 || len.min(65_535) + header_len > largest;
        malformed += 1 + 2 * u64::from(cut);
        tokio::select! {
            biased;
            // The reader waits, and arriving packets may be left to it.
            _ = there.read(&mut buf) => panic!("nothing was written"),
            () = async {
                injection.inject([good.clone(), none, good]);
                injection.all_taken().await;
            } => {}
        }
    }
    transfer(&mut here, &mut there, &data, &mut buf).await;
    let counters = server.counters();
    assert_eq!(counters.dropped(DropReason::MalformedIp), malformed);
    assert!(
        injection.direct.load(Ordering::Relaxed) > 0,
        "no reader met any"
    );
}

/// Runs a test as a task, which runs soon after it is woken; the future on which a runtime blocks
/// runs later.
async fn tested(test: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(test).await.expect("no panic");
}

fn link(max_segment: usize) -> PairConfig {
    PairConfig {
        mtu: 1500,
        max_segment,
        ..PairConfig::default()
    }
}

#[tokio::test]
async fn of_a_plain_device() {
    tested(takes_every_length(link(0), 0, false)).await;
}

#[tokio::test]
async fn of_a_plain_device_that_tells_the_length_of_what_it_cut_off() {
    tested(takes_every_length(link(0), 0, true)).await;
}

#[tokio::test]
async fn of_a_device_of_super_segments() {
    tested(takes_every_length(link(60_000), 0, false)).await;
}

#[tokio::test]
async fn of_a_device_with_virtio_headers() {
    tested(takes_every_length(link(60_000), 10, false)).await;
    tested(takes_every_length(link(60_000), 12, true)).await;
}

/// A frame that is shorter than its virtio-net header is counted, too.
#[tokio::test(start_paused = true)]
async fn a_frame_shorter_than_its_header_is_counted() {
    let (left, right) = link(60_000).build();
    let injection = Arc::new(Injection::default());
    let server = server_over(Injecting {
        link: left,
        header_len: 12,
        tells_all: false,
        injection: Arc::clone(&injection),
    });
    let server = server.build().expect("builds");
    injection.inject((0..12).map(|len| vec![0; len]));
    injection.all_taken().await;
    support::settle().await;
    assert_eq!(server.counters().dropped(DropReason::MalformedIp), 12);
    drop(right);
}

/// Two stacks over channels of packets, and a sender that inserts packets into the server's input.
fn over_packets() -> (Stack, Stack, mpsc::UnboundedSender<Bytes>) {
    let (to_server, from_client) = mpsc::unbounded::<Bytes>();
    let (to_client, from_server) = mpsc::unbounded::<Bytes>();
    let end = |from: mpsc::UnboundedReceiver<Bytes>, to: mpsc::UnboundedSender<Bytes>| {
        Packets::join(from.map(Ok), to.sink_map_err(io::Error::other), 1500)
    };
    let inject = to_server.clone();
    let server = server_over(end(from_client, to_client))
        .build()
        .expect("builds");
    let client = client_over(end(from_server, to_server))
        .build()
        .expect("builds");
    (server, client, inject)
}

#[tokio::test]
async fn of_a_stream_of_packets() {
    tested(takes_every_length_of_packets()).await;
}

async fn takes_every_length_of_packets() {
    let (server, client, inject) = over_packets();
    let (_listener, mut there, mut here) = connected(&server, &client).await;
    let (data, mut buf) = (pattern(BULK), vec![0; LARGE]);
    let mut malformed = 0;
    for len in lengths(1500) {
        transfer(&mut here, &mut there, &data, &mut buf).await;
        malformed += 2 * u64::from(!(20..=1500).contains(&len));
        let before = server.counters().packets_received;
        tokio::select! {
            biased;
            _ = there.read(&mut buf) => panic!("nothing was written"),
            () = async {
                for _ in 0..2 {
                    inject.unbounded_send(datagram(len).into()).expect("is open");
                }
                while server.counters().packets_received < before + 2 {
                    tokio::task::yield_now().await;
                }
            } => {}
        }
    }
    let counters = server.counters();
    assert_eq!(counters.dropped(DropReason::MalformedIp), malformed);
}
