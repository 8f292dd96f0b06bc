//! The receiver with a device that delivers given frames.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use millstream_engine::{Cidr, Config, ConnectionId, Instant, RxChecksum, SocketOptions, Stack};
use millstream_testbed::packet;
use millstream_wire::tcp::{self, Flags};
use millstream_wire::{SeqNum, ip};

use super::Receiver;
use crate::device::{Capabilities, Device};
use crate::io::credit::Credit;

/// A device that delivers the given frames.
struct Script(Mutex<VecDeque<Vec<u8>>>);

impl Device for Script {
    fn capabilities(&self) -> Capabilities {
        Capabilities::plain(9000)
    }

    fn poll_recv_ready(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut frames = self.0.lock().expect("not poisoned");
        let frame = frames.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        buf[..frame.len()].copy_from_slice(&frame);
        Ok(frame.len())
    }

    fn poll_send_ready(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn try_send(&self, _: &[IoSlice<'_>]) -> io::Result<()> {
        Ok(())
    }
}

fn segment(port: u16, seq: u32, payload: &[u8]) -> Vec<u8> {
    let (src, dst) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    let header = tcp::Header {
        src_port: port,
        seq: SeqNum::new(seq),
        flags: Flags::ACK,
        ..tcp::Header::default()
    };
    packet::tcp(src, dst, &header, payload)
}

fn credit() -> Arc<Credit> {
    Arc::new(Credit::new(None))
}

/// The packets that arrive from these frames: the payload of each, and whether its checksum is
/// trusted.
fn arrivals(frames: &[Vec<u8>]) -> Vec<(Vec<u8>, bool)> {
    let device = Script(Mutex::new(frames.iter().cloned().collect()));
    let mut receiver = Receiver::new(Arc::new(device), 1 << 30, credit());
    let cx = &mut Context::from_waker(Waker::noop());
    let (bytes, more) = receiver.receive(cx);
    assert_eq!(bytes, frames.iter().map(Vec::len).sum::<usize>());
    assert!(!more.expect("no error"));
    let payload = |packet: &Bytes| {
        let Ok(view) = ip::Packet::parse(packet) else {
            return packet.to_vec();
        };
        tcp::View::parse(view.payload())
            .map_or_else(|_| packet.to_vec(), |tcp| tcp.payload().to_vec())
    };
    let arrived = receiver.arrived().drain(..);
    arrived
        .map(|arrived| {
            (
                payload(&arrived.packet),
                arrived.checksum == RxChecksum::Trusted,
            )
        })
        .collect()
}

#[test]
fn packets_that_continue_one_another_arrive_as_one() {
    let frames = [
        segment(1, 0, b"ab"),
        segment(1, 2, b"cde"),
        segment(1, 5, b"f"),
        segment(2, 6, b"another flow"),
        segment(1, 6, b"g"),
        segment(1, 9, b"a gap"),
        segment(1, 14, b""),
    ];
    let expected: [(&[u8], bool); 5] = [
        (b"abcdef", true),
        (b"another flow", false),
        (b"g", false),
        (b"a gap", false),
        (b"", false),
    ];
    assert_eq!(arrivals(&frames), expected.map(|(p, t)| (p.to_vec(), t)));
}

#[test]
fn a_frame_that_comes_alone_is_processed_before_the_device_is_asked_for_another() {
    let device = Arc::new(Script(Mutex::default()));
    let mut receiver = Receiver::new(Arc::clone(&device) as Arc<dyn Device>, 1 << 30, credit());
    let cx = &mut Context::from_waker(Waker::noop());
    let mut arrives = |frames: usize| {
        let frame = |port| segment(port as u16, 0, b"alone");
        device
            .0
            .lock()
            .expect("not poisoned")
            .extend((0..frames).map(frame));
        let mut turns = Vec::new();
        loop {
            let (_, more) = receiver.receive(cx);
            turns.push(receiver.arrived().drain(..).count());
            if !more.expect("no error") {
                return turns;
            }
        }
    };
    assert_eq!(arrives(1), [1]);
    assert_eq!(arrives(1), [1, 0]);
    assert_eq!(arrives(1), [1, 0]);
    assert_eq!(arrives(3), [1, 2], "the others in one batch");
    assert_eq!(arrives(3), [3], "and the next time, all at once");
    assert_eq!(arrives(1), [1]);
    assert_eq!(arrives(0), [0]);
    assert_eq!(arrives(1), [1, 0], "an empty turn changes nothing");
}

#[test]
fn a_damaged_packet_is_left_to_the_engine() {
    let damaged = |mut packet: Vec<u8>| {
        *packet.last_mut().expect("bytes") ^= 1;
        packet
    };
    let frames = [
        segment(1, 0, b"ab"),
        damaged(segment(1, 2, b"cd")),
        segment(1, 4, b"ef"),
        segment(1, 6, b"gh"),
        damaged(segment(2, 0, b"ij")),
        segment(2, 2, b"kl"),
        vec![0x45; 3],
    ];
    let expected: [(&[u8], bool); 6] = [
        (b"ab", false),
        (b"ce", false),
        (b"efgh", true),
        (b"ik", false),
        (b"kl", false),
        (&[0x45; 3], false),
    ];
    assert_eq!(arrivals(&frames), expected.map(|(p, t)| (p.to_vec(), t)));
}

#[test]
fn a_train_is_no_longer_than_a_packet_may_be() {
    let payload = [7; 1460];
    let frames: Vec<_> = (0..60).map(|i| segment(1, i * 1460, &payload)).collect();
    let arrived = arrivals(&frames);
    // 44 packets, one in the remainder of their chunk, and the others in the next chunk.
    assert_eq!(arrived.len(), 3);
    assert!(
        arrived
            .iter()
            .all(|(p, _)| p.len() + 40 <= usize::from(u16::MAX))
    );
    assert_eq!(
        arrived.iter().map(|(p, _)| p.len()).sum::<usize>(),
        60 * 1460
    );
}

/// Any connection's identifier.
fn any_connection() -> ConnectionId {
    let mut config = Config::default();
    config.addresses = vec![Cidr::new([10, 0, 0, 2].into(), 24)];
    let mut stack = Stack::new(config, [0; 32]);
    let peer = "10.0.0.1:9".parse().expect("an address");
    let options = SocketOptions::default();
    stack
        .connect(Instant::ZERO, None, peer, options)
        .expect("a connection")
}

/// A train ends before it is full: a packet that was read and did not fit would have to go to the
/// driver, and reading directly would pause.
#[test]
fn a_reader_takes_more_than_one_train_directly() {
    let payload = [7; 1460];
    let frames: VecDeque<_> = (0..100).map(|i| segment(1, i * 1460, &payload)).collect();
    let mut receiver = Receiver::new(Arc::new(Script(Mutex::new(frames))), 1 << 30, credit());
    let mut buffer = vec![0; 256 << 10];
    let mut trains = 0;
    let filled =
        receiver.receive_direct(any_connection(), 40, &mut buffer, |packet, headers, _| {
            trains += 1;
            Ok(packet.len() - headers)
        });
    assert_eq!(filled, 100 * 1460);
    assert!(buffer[..filled].iter().all(|&byte| byte == 7));
    // Frames of this device may have 9,000 bytes: 39 packets leave no room for one more.
    assert_eq!(trains, 3);
    assert!(receiver.arrived().is_empty());
}
