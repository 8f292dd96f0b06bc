//! A stack whose executor stood still, while what it waits for lay in its device.
//!
//! Time is paused, and moved by hand: `advance` moves it before it lets anything run.

mod support;

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use millstream::device::{Capabilities, Device, Pair, pair};
use millstream::{Stack, TcpStream};
use millstream_testbed::packet;
use millstream_wire::tcp::{self, Flags, Header};
use millstream_wire::{SeqNum, ip};
use support::client_over;
use tokio::io::AsyncWriteExt;
use tokio::task::yield_now;
use tokio::time::{advance, sleep};

const MS: Duration = Duration::from_millis(1);

const MSS: usize = 1000;
const WINDOW: u16 = 65_535;
const ISN: SeqNum = SeqNum::new(7);

/// Longer than any timer of a connection with data in flight.
const STANDSTILL: Duration = Duration::from_millis(500);

/// The other end of the link, driven by hand. It answers port 7.
struct Peer {
    link: Arc<Pair>,
    /// The client's port and initial sequence number.
    port: u16,
    isn: SeqNum,
}

impl Peer {
    /// Takes what has been sent: how many bytes of payload in how many packets.
    fn take(&mut self) -> (usize, usize) {
        let mut buf = [0; 2000];
        let (mut bytes, mut packets) = (0, 0);
        while let Ok(len) = self.link.try_recv(&mut buf) {
            let packet = ip::Packet::parse(&buf[..len]).expect("an IP packet");
            let segment = tcp::View::parse(packet.payload()).expect("a segment");
            if segment.flags().contains(Flags::SYN) {
                (self.port, self.isn) = (segment.src_port(), segment.seq());
            }
            bytes += segment.payload().len();
            packets += 1;
        }
        (bytes, packets)
    }

    fn send(&self, seq: SeqNum, flags: Flags, acked: u32) {
        self.put(&self.packet(seq, flags, acked));
    }

    fn put(&self, packet: &[u8]) {
        let put = self.link.try_send(&[IoSlice::new(packet)]);
        put.expect("there is room");
    }

    /// Acknowledges so many bytes.
    fn acknowledge(&self, bytes: usize) {
        self.send(ISN + 1, Flags::ACK, 1 + bytes as u32);
    }

    /// Something that the client looks at in vain.
    fn damaged(&self) -> Vec<u8> {
        let mut packet = self.packet(ISN + 1, Flags::ACK, 1);
        *packet.last_mut().expect("bytes") ^= 1;
        packet
    }

    fn packet(&self, seq: SeqNum, flags: Flags, acked: u32) -> Vec<u8> {
        let (src, dst) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let mut header = Header {
            src_port: 7,
            dst_port: self.port,
            seq,
            ack: self.isn + acked,
            flags,
            window: WINDOW,
            ..Header::default()
        };
        if flags.contains(Flags::SYN) {
            header.options.mss = Some(MSS as u16);
            header.options.sack_permitted = true;
        }
        packet::tcp(src, dst, &header, &[])
    }
}

/// A device that does not know when its frames arrived.
struct Unstamped(Pair);

impl Device for Unstamped {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_recv_ready(cx)
    }

    fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.try_recv(buf)
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_send_ready(cx)
    }

    fn try_send(&self, frame: &[IoSlice<'_>]) -> io::Result<()> {
        self.0.try_send(frame)
    }
}

/// A client over the device, connected to the peer over a path of 40 ms.
async fn connect(device: impl Device, link: Pair) -> (Stack, TcpStream, Peer) {
    let client = client_over(device).build().expect("builds");
    let mut peer = Peer {
        link: Arc::new(link),
        port: 0,
        isn: SeqNum::new(0),
    };
    let connecting = tokio::spawn({
        let client = client.clone();
        async move { client.connect("10.0.0.1:7").await }
    });
    yield_now().await;
    assert_eq!(peer.take(), (0, 1));
    advance(40 * MS).await;
    peer.send(ISN, Flags::SYN | Flags::ACK, 1);
    let stream = connecting.await.expect("no panic").expect("connects");
    while peer.take().1 == 0 {
        yield_now().await;
    }
    assert_eq!(stream.info().expect("has information").rtt, Some(40 * MS));
    (client, stream, peer)
}

/// Writes three segments and takes them off the link.
async fn write(stream: &mut TcpStream, peer: &mut Peer) {
    stream.write_all(&[7; 3 * MSS]).await.expect("writes");
    assert_eq!(peer.take().0, 3 * MSS);
}

/// Lets everything run that can without time.
async fn run() {
    for _ in 0..100 {
        yield_now().await;
    }
}

fn assert_nothing_was_sent_again(stack: &Stack, stream: &TcpStream, peer: &mut Peer) {
    assert_eq!(peer.take(), (0, 0));
    assert_eq!(stack.counters().segments_retransmitted, 0);
    let info = stream.info().expect("has information");
    assert_eq!((info.bytes_in_flight, info.lost), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgment_that_waited_comes_before_the_timers() {
    let (left, right) = pair();
    let (stack, mut stream, mut peer) = connect(left, right).await;
    write(&mut stream, &mut peer).await;
    advance(40 * MS).await;
    peer.acknowledge(3 * MSS);
    advance(STANDSTILL).await;
    run().await;
    assert_nothing_was_sent_again(&stack, &stream, &mut peer);
    assert_eq!(stream.info().expect("has information").rtt, Some(40 * MS));
}

#[tokio::test(start_paused = true)]
async fn so_it_does_from_a_device_that_does_not_know_when() {
    let (left, right) = pair();
    let (stack, mut stream, mut peer) = connect(Unstamped(left), right).await;
    write(&mut stream, &mut peer).await;
    advance(40 * MS).await;
    peer.acknowledge(3 * MSS);
    advance(STANDSTILL).await;
    run().await;
    assert_nothing_was_sent_again(&stack, &stream, &mut peer);
    // How long the acknowledgment had waited is unknown: it measures nothing.
    let info = stream.info().expect("has information");
    assert_eq!((info.rtt, info.min_rtt), (Some(40 * MS), Some(40 * MS)));
    assert!(info.rto < STANDSTILL, "{:?}", info.rto);
}

/// A backlog of more than many turns of the driver take, with the acknowledgment at its end.
#[tokio::test(start_paused = true)]
async fn all_that_waited_comes_before_the_timers() {
    let (left, right) = pair();
    let (stack, mut stream, mut peer) = connect(left, right).await;
    write(&mut stream, &mut peer).await;
    advance(40 * MS).await;
    let damaged = peer.damaged();
    for _ in 0..800 {
        peer.put(&damaged);
    }
    peer.acknowledge(3 * MSS);
    advance(STANDSTILL).await;
    run().await;
    assert_nothing_was_sent_again(&stack, &stream, &mut peer);
    assert_eq!(stream.info().expect("has information").rtt, Some(40 * MS));
}

/// A busy executor: the timer is in time, but packets that arrived before it was due take longer to be read than timers
/// ever waited for. The acknowledgment is among the last.
#[tokio::test(start_paused = true)]
async fn a_timer_that_is_in_time_waits_for_what_arrived_before() {
    let (left, right) = pair();
    let (stack, mut stream, mut peer) = connect(left, right).await;
    write(&mut stream, &mut peer).await;
    let damaged = peer.damaged();
    for _ in 0..800 {
        peer.put(&damaged);
    }
    peer.acknowledge(3 * MSS);
    // RFC 8985 7.2: the probe of the tail is due at two round trips of 40 ms.
    advance(82 * MS).await;
    for _ in 0..100 {
        sleep(MS).await;
    }
    assert_nothing_was_sent_again(&stack, &stream, &mut peer);
}

/// The other end of the link is as late as this one is: what it answers may come later than our timer.
#[tokio::test(start_paused = true)]
async fn others_who_are_as_late_have_time_to_answer() {
    let (left, right) = pair();
    let (stack, mut stream, mut peer) = connect(left, right).await;
    write(&mut stream, &mut peer).await;
    advance(STANDSTILL).await;
    run().await;
    advance(STANDSTILL).await;
    peer.acknowledge(3 * MSS);
    run().await;
    assert_nothing_was_sent_again(&stack, &stream, &mut peer);
}

/// Packets that arrive after a timer was due do not stop it, though they never end.
#[tokio::test(start_paused = true)]
async fn what_arrives_later_does_not_put_a_timer_off() {
    let (left, right) = pair();
    let (stack, mut stream, mut peer) = connect(left, right).await;
    write(&mut stream, &mut peer).await;
    let damaged = peer.damaged();
    for _ in 0..800 {
        peer.put(&damaged);
    }
    for _ in 0..1000 {
        // As many as are taken in a turn, and more.
        for _ in 0..300 {
            if peer.link.try_send(&[IoSlice::new(&damaged)]).is_err() {
                break;
            }
        }
        advance(MS).await;
    }
    assert!(stack.counters().segments_retransmitted >= 1);
    assert!(peer.take().0 >= MSS);
    drop(stream);
}

/// Who has the acknowledgment stood still, too, and the driver runs first.
#[tokio::test(start_paused = true)]
async fn a_task_that_feeds_the_device_runs_before_the_timers() {
    let (left, right) = pair();
    let (stack, mut stream, mut peer) = connect(left, right).await;
    write(&mut stream, &mut peer).await;
    advance(40 * MS).await;
    peer.put(&peer.damaged());
    let packet = peer.packet(ISN + 1, Flags::ACK, 1 + 3 * MSS as u32);
    let link = Arc::clone(&peer.link);
    tokio::spawn(async move { link.try_send(&[IoSlice::new(&packet)]) });
    advance(STANDSTILL).await;
    run().await;
    assert_nothing_was_sent_again(&stack, &stream, &mut peer);
}

/// What nobody has acknowledged is sent again, after a standstill as ever.
#[tokio::test(start_paused = true)]
async fn what_is_lost_is_sent_again_after_a_standstill() {
    let (left, right) = pair();
    let (stack, mut stream, mut peer) = connect(left, right).await;
    write(&mut stream, &mut peer).await;
    advance(40 * MS + STANDSTILL).await;
    // Others have time first.
    sleep(1000 * MS).await;
    assert!(peer.take().0 >= MSS);
    assert!(stack.counters().segments_retransmitted >= 1);
}

/// Always has another frame.
struct Flood {
    frame: Vec<u8>,
    sent: Arc<AtomicUsize>,
}

impl Device for Flood {
    fn capabilities(&self) -> Capabilities {
        Capabilities::plain(1500)
    }

    fn poll_recv_ready(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        buf[..self.frame.len()].copy_from_slice(&self.frame);
        Ok(self.frame.len())
    }

    fn poll_send_ready(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn try_send(&self, _: &[IoSlice<'_>]) -> io::Result<()> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_does_not_stop_the_timers() {
    let sent = Arc::new(AtomicUsize::new(0));
    let flood = Flood {
        frame: vec![0x45; 40],
        sent: Arc::clone(&sent),
    };
    let client = client_over(flood).build().expect("builds");
    tokio::spawn(async move { client.connect("10.0.0.1:7").await });
    run().await;
    assert_eq!(sent.load(Ordering::Relaxed), 1);
    advance(1010 * MS).await;
    assert_eq!(sent.load(Ordering::Relaxed), 1, "others have time first");
    for _ in 0..6 {
        advance(10 * MS).await;
        yield_now().await;
    }
    assert_eq!(sent.load(Ordering::Relaxed), 2, "the SYN is sent again");
}
