//! Devices other than the link in memory, and wrappers.

mod support;

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use millstream::device::{
    Capabilities, Capture, Device, Direction, Packets, Pair, PairConfig, pair,
};
use millstream_testbed::capture::Reader;
use support::{client_over, connected, pattern, server_over, settle, stacks_over};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A link made of two channels that hold a few packets each.
fn channels(capacity: usize) -> (impl Device, impl Device) {
    let (to_right, from_left) = mpsc::channel::<Bytes>(capacity);
    let (to_left, from_right) = mpsc::channel::<Bytes>(capacity);
    let end = |from: mpsc::Receiver<Bytes>, to: mpsc::Sender<Bytes>| {
        Packets::join(from.map(Ok), to.sink_map_err(io::Error::other), 1500)
    };
    (end(from_right, to_right), end(from_left, to_left))
}

#[tokio::test(start_paused = true)]
async fn any_stream_and_sink_of_packets() {
    // Small channels: the sink is full most of the time.
    let (left, right) = channels(2);
    let (server, client) = stacks_over(left, right);
    let (_listener, mut there, mut here) = connected(&server, &client).await;
    let data = pattern(3 << 20);
    let writer = tokio::spawn({
        let data = data.clone();
        async move {
            here.write_all(&data).await.expect("writes");
        }
    });
    let mut all = Vec::new();
    there.read_to_end(&mut all).await.expect("reads");
    assert!(all == data, "the bytes differ");
    writer.await.expect("no panic");
    assert_eq!(client.counters().segments_retransmitted, 0);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_buffers_is_flushed() {
    let (left, right) = channels(2);
    // `buffer` holds packets until it is flushed or full.
    let (to_right, from_left) = mpsc::channel::<Bytes>(1);
    let (to_left, from_right) = mpsc::channel::<Bytes>(1);
    drop((left, right));
    let end = |from: mpsc::Receiver<Bytes>, to: mpsc::Sender<Bytes>| {
        let sink = to.sink_map_err(io::Error::other).buffer(16);
        Packets::join(from.map(Ok), sink, 1500)
    };
    let (server, client) = stacks_over(end(from_right, to_right), end(from_left, to_left));
    let (_listener, mut there, mut here) = connected(&server, &client).await;
    here.write_all(&pattern(200_000)).await.expect("writes");
    drop(here);
    let mut all = Vec::new();
    there.read_to_end(&mut all).await.expect("reads");
    assert!(all == pattern(200_000), "the bytes differ");
}

/// A link whose frames have a virtio-net header, like those of a TUN device with offloads.
struct Virtio {
    link: Pair,
    header_len: usize,
}

impl Device for Virtio {
    fn capabilities(&self) -> Capabilities {
        let capabilities = self.link.capabilities();
        capabilities
            .with_virtio_header_len(self.header_len)
            .with_tx_checksum_offload(true)
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
        self.link.try_send(frame)
    }
}

#[tokio::test(start_paused = true)]
async fn frames_with_virtio_headers() {
    for header_len in [10, 12] {
        let config = PairConfig {
            max_segment: 60_000,
            ..PairConfig::default()
        };
        let (left, right) = config.build();
        let virtio = |link| Virtio { link, header_len };
        let frames = Arc::new(Mutex::new(0));
        let seen = Arc::clone(&frames);
        let capture = Capture::new(virtio(right), move |captured| {
            // The capture shows packets, not frames.
            assert_eq!(captured.packet[0] >> 4, 4);
            *seen.lock().expect("not poisoned") += 1;
        });
        let (server, client) = stacks_over(virtio(left), capture);
        let (_listener, mut there, mut here) = connected(&server, &client).await;
        let data = pattern(500_000);
        here.write_all(&data).await.expect("writes");
        drop(here);
        let mut all = Vec::new();
        there.read_to_end(&mut all).await.expect("reads");
        assert!(all == data, "the bytes differ");
        let frames = *frames.lock().expect("not poisoned");
        assert!(frames < 100, "{frames} frames are no super-segments");
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_packet_stream_ends_the_stack() {
    let (left, right) = channels(8);
    let (server, client) = stacks_over(left, right);
    server.shutdown().await;
    drop(server);
    settle().await;
    let error = client.connect("10.0.0.1:7").await.expect_err("is over");
    assert_eq!(error.kind(), io::ErrorKind::NetworkDown);
}

#[tokio::test(start_paused = true)]
async fn a_capture_sees_every_packet_in_order() {
    let (left, right) = pair();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&lines);
    let capture = Capture::text(right, move |line| {
        seen.lock().expect("not poisoned").push(line.to_owned());
    });
    let (server, client) = stacks_over(left, capture);
    let (_listener, mut there, mut here) = connected(&server, &client).await;
    here.write_all(b"hello, world\n").await.expect("writes");
    there.read_exact(&mut [0; 13]).await.expect("reads");
    let lines = lines.lock().expect("not poisoned");
    let expected = [
        ("> 10.0.0.1.7:", "Flags [S]"),
        ("IP 10.0.0.1.7 >", "Flags [S.]"),
        ("> 10.0.0.1.7:", "Flags [.], ack 1"),
        ("> 10.0.0.1.7:", "Flags [P.], seq 1:14, ack 1"),
    ];
    for (line, (who, what)) in lines.iter().zip(expected) {
        assert!(line.starts_with("0.000000 IP "), "{line}");
        assert!(line.contains(who) && line.contains(what), "{line}");
    }
    assert!(lines.len() >= expected.len(), "{lines:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_capture_file_reads_back_what_passed() {
    let (left, right) = pair();
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("capture.pcapng");
    let file = std::fs::File::create(&path).expect("creates");
    let passed = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&passed);
    let inner = Capture::new(right, move |captured| {
        let sent = captured.direction == Direction::Sent;
        seen.lock()
            .expect("not poisoned")
            .push((sent, captured.packet.to_vec()));
    });
    let outer = Capture::pcapng(inner, io::BufWriter::new(file)).expect("writes");
    let server = server_over(left).build().expect("builds");
    let client = client_over(outer).build().expect("builds");
    let (_listener, mut there, mut here) = connected(&server, &client).await;
    here.write_all(&pattern(10_000)).await.expect("writes");
    there.read_exact(&mut [0; 10_000]).await.expect("reads");
    // The file is complete when the device is dropped.
    client.shutdown().await;

    let read: Vec<_> = Reader::open(&path)
        .expect("is a capture")
        .map(|record| record.expect("a packet").bytes)
        .collect();
    let passed = passed.lock().expect("not poisoned");
    let packets: Vec<_> = passed.iter().map(|(_, packet)| packet.clone()).collect();
    assert!(
        read == packets,
        "{} of {} packets",
        read.len(),
        packets.len()
    );
    assert!(passed.iter().any(|(sent, _)| *sent));
    assert!(passed.iter().any(|(sent, _)| !*sent));
}
