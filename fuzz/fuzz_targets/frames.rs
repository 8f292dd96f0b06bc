//! The adapter under frames of any length and content on every receive path: a bulk reader
//! (direct), a driver that merges packets (split, coalesced), and a device with a virtio-net
//! header. Nothing panics, and the executor keeps running.
#![no_main]

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use millstream::Stack;
use millstream::device::{Capabilities, Device};
use millstream_fuzz::peer;
use millstream_testbed::packet;
use millstream_wire::ip;
use millstream_wire::tcp::{Flags, Header, Options, Timestamps, View};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Consecutive segments that answer the last frame sent, with these changes.
#[derive(Debug, Default)]
struct Answer {
    count: u8,
    flags: Option<Flags>,
    seq: u32,
    ack: u32,
    length: usize,
    stamps: bool,
    /// The number of a segment, a position in it, and the value of the byte there.
    patch: Option<(u8, u8, u8)>,
    virtio: [u8; 12],
    /// Whether the other segments wait in the device when the first one is read.
    together: bool,
}

#[derive(Debug, Default)]
struct Wire {
    incoming: VecDeque<Vec<u8>>,
    sent: Vec<u8>,
    waker: Option<Waker>,
}

#[derive(Clone)]
struct Line {
    wire: Arc<Mutex<Wire>>,
    capabilities: Capabilities,
}

impl Line {
    fn with<R>(&self, use_wire: impl FnOnce(&mut Wire) -> R) -> R {
        use_wire(&mut self.wire.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, frame: Vec<u8>) {
        let waker = self.with(|wire| {
            wire.incoming.push_back(frame);
            wire.waker.take()
        });
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Device for Line {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|wire| {
            if wire.incoming.is_empty() {
                wire.waker = Some(cx.waker().clone());
                Poll::Pending
            } else {
                Poll::Ready(Ok(()))
            }
        })
    }

    fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        let frame = self.with(|wire| wire.incoming.pop_front());
        let frame = frame.ok_or(io::ErrorKind::WouldBlock)?;
        // Like a kernel, truncates a frame for which there is too little room.
        let length = frame.len().min(buf.len());
        buf[..length].copy_from_slice(&frame[..length]);
        Ok(length)
    }

    fn poll_send_ready(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn try_send(&self, frame: &[IoSlice<'_>]) -> io::Result<()> {
        self.with(|wire| {
            wire.sent.clear();
            frame
                .iter()
                .for_each(|slice| wire.sent.extend_from_slice(slice));
        });
        Ok(())
    }
}

impl Answer {
    /// Usually the answer of a well-behaved peer.
    fn new(u: &mut Unstructured<'_>) -> Result<Self> {
        let mut answer = Self::bulk(u)?;
        if u.arbitrary()? {
            answer.length = usize::from(u.arbitrary::<u16>()?).min(64_000);
        }
        match u.int_in_range(0..=15u8)? {
            0 => answer.flags = Some(Flags::from_bits_retain(u.arbitrary()?)),
            1 => {
                answer.flags = Some(*u.choose(&[
                    Flags::FIN | Flags::ACK,
                    Flags::RST,
                    Flags::PSH | Flags::ACK,
                ])?)
            }
            2 => answer.seq = peer::near(u)?,
            3 => answer.ack = peer::near(u)?,
            4 | 5 => answer.patch = Some(u.arbitrary()?),
            6 => answer.virtio = u.arbitrary()?,
            _ => {}
        }
        Ok(answer)
    }

    /// As many segments as fit in a device.
    fn bulk(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            count: u.arbitrary()?,
            length: *u.choose(&[1400, 1400, 1448, 64, 1])?,
            stamps: u.arbitrary()?,
            together: u.ratio(7, 8)?,
            ..Self::default()
        })
    }

    /// The segments that answer `sent`, all without the device's header.
    fn segments(&self, sent: &[u8]) -> Option<Vec<Vec<u8>>> {
        let packet = ip::Packet::parse(sent).ok()?;
        let view = View::parse(packet.payload()).ok()?;
        let (flags, theirs) = (view.flags(), Options::parse(view.options_bytes()));
        let opening = flags.contains(Flags::SYN);
        let usual = if opening {
            Flags::SYN | Flags::ACK
        } else {
            Flags::ACK
        };
        let taken = view.payload().len() + usize::from(opening);
        let mut header = Header {
            src_port: view.dst_port(),
            dst_port: view.src_port(),
            seq: view.ack() + self.seq,
            ack: view.seq() + taken as u32 + self.ack,
            flags: self.flags.unwrap_or(usual),
            window: u16::MAX,
            options: Options {
                mss: opening.then_some(1460),
                timestamps: theirs
                    .timestamps
                    .filter(|_| self.stamps)
                    .map(|t| Timestamps {
                        value: 1,
                        echo: t.value,
                    }),
                ..Options::default()
            },
            ..Header::default()
        };
        let payload = vec![0x5A; if opening { 0 } else { self.length }];
        let last = if opening { 0 } else { self.count % 64 };
        let mut segments = Vec::new();
        for number in 0..=last {
            let mut bytes = packet::tcp(packet.dst(), packet.src(), &header, &payload);
            match self.patch {
                Some((which, at, value)) if which % 64 == number => {
                    bytes[usize::from(at) % 40] = value
                }
                _ => {}
            }
            segments.push(bytes);
            header.seq += payload.len() as u32;
        }
        Some(segments)
    }

    fn frames(&self, line: &Line) -> Vec<Vec<u8>> {
        let len = line.capabilities.virtio_header_len;
        let sent = line.with(|wire| wire.sent.clone());
        let segments = sent.get(len..).and_then(|packet| self.segments(packet));
        let frame = |segment: Vec<u8>| [&self.virtio[..len], &segment].concat();
        segments
            .unwrap_or_default()
            .into_iter()
            .map(frame)
            .collect()
    }
}

impl Line {
    async fn say(&self, answer: &Answer) {
        for bytes in answer.frames(self) {
            self.push(bytes);
            if !answer.together {
                run().await;
            }
        }
    }

    async fn step(&self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=7u8)? {
            0 => {
                let length = usize::from(u.arbitrary::<u8>()?).min(u.len());
                self.push(u.bytes(length)?.to_vec());
            }
            1 => tokio::time::sleep(Duration::from_millis(50)).await,
            _ => self.say(&Answer::new(u)?).await,
        }
        // Otherwise the next frames wait behind this one.
        if u.arbitrary()? {
            run().await;
        }
        Ok(())
    }

    /// Usually opens a connection whose reader has just read a large amount and waits for more.
    async fn begin(&self, u: &mut Unstructured<'_>) -> Result<()> {
        if u.ratio(1, 8)? {
            return Ok(());
        }
        let mut answer = Answer::bulk(u)?;
        for _ in 0..4 {
            answer.together = true;
            self.say(&answer).await;
            run().await;
        }
        Ok(())
    }
}

async fn run() {
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
}

async fn read(stack: Stack, peer: &str, size: usize) {
    while let Ok(mut stream) = stack.connect(peer).await {
        let _ = stream.write_all(b"hello").await;
        let mut buffer = vec![0; size];
        while let Ok(read) = stream.read(&mut buffer).await {
            if read == 0 {
                break;
            }
        }
    }
}

async fn play(u: &mut Unstructured<'_>) -> Result<()> {
    let flags: u8 = u.arbitrary()?;
    let [v6, virtio, offload, trusted, small] = [1, 2, 4, 8, 16].map(|bit| flags & bit != 0);
    let capabilities = Capabilities::plain(1500)
        .with_virtio_header_len(if virtio { 12 } else { 0 })
        .with_max_segment(if offload { 65_000 } else { 0 })
        .with_rx_checksum_trusted(trusted)
        .with_tx_checksum_offload(virtio && offload);
    let line = Line {
        wire: Arc::default(),
        capabilities,
    };
    let (address, peer) = if v6 {
        ("fd00::1/64", "[fd00::2]:7")
    } else {
        ("10.0.0.1/24", "10.0.0.2:7")
    };
    let builder = Stack::builder().device(line.clone()).address(address);
    let stack = builder.seed([3; 32]).build().expect("a stack");
    let size = if small { 100 } else { 1 << 17 };
    let application = tokio::spawn(read(stack.clone(), peer, size));
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut going = line.begin(u).await;
    while !u.is_empty() && going.is_ok() {
        going = line.step(u).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let end = tokio::time::timeout(Duration::from_secs(60), stack.shutdown());
    end.await.expect("the stack ends");
    match application.await {
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        _ => {}
    }
    assert!(stack.sockets().is_empty());
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    // The run ends when the bytes do not suffice for a choice.
    let _ = runtime.block_on(play(&mut Unstructured::new(data)));
});
