//! The adapter under frames of any length and content on every receive path: a reader in bulk (direct), a driver that merges
//! (split, coalesced), a device with a virtio-net header. Nothing panics, and the executor goes on.
#![no_main]

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use millstream::Stack;
use millstream::device::{Capabilities, Device};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[derive(Arbitrary, Debug)]
struct Input {
    virtio: bool,
    offload: bool,
    big_reads: bool,
    frames: Vec<Frame>,
}

#[derive(Arbitrary, Debug)]
enum Frame {
    /// These bytes.
    Raw(Vec<u8>),
    /// An answer to the last frame sent, with ports and addresses turned round and these changes.
    Answer {
        flags: u8,
        seq: i16,
        ack: i16,
        length: u16,
        patch: Option<(u8, u8)>,
        virtio: [u8; 12],
    },
    /// Nothing: the executor runs.
    Pause,
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
        // As a kernel does: what has no room is cut off.
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
            frame.iter().for_each(|slice| wire.sent.extend_from_slice(slice));
        });
        Ok(())
    }
}

/// The last frame sent, turned round and changed.
fn answer(line: &Line, frame: &Frame) -> Option<Vec<u8>> {
    let Frame::Answer {
        flags,
        seq,
        ack,
        length,
        patch,
        virtio,
    } = frame
    else {
        return None;
    };
    let header = line.capabilities.virtio_header_len;
    let sent = line.with(|wire| wire.sent.clone());
    let packet = sent.get(header..)?;
    if packet.len() < 40 || packet[0] != 0x45 || packet[9] != 6 {
        return None;
    }
    let mut bytes = packet[..40].to_vec();
    let payload = vec![0x5A; usize::from(*length)];
    let word = |at: usize| u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]]);
    bytes[12..16].copy_from_slice(&packet[16..20]);
    bytes[16..20].copy_from_slice(&packet[12..16]);
    bytes[20..22].copy_from_slice(&packet[22..24]);
    bytes[22..24].copy_from_slice(&packet[20..22]);
    let total = (40 + payload.len()).min(65_535) as u16;
    bytes[2..4].copy_from_slice(&total.to_be_bytes());
    let syn = u32::from(packet[33] & 2 != 0);
    let next_seq = word(28).wrapping_add(*seq as i32 as u32);
    let next_ack = word(24).wrapping_add(syn).wrapping_add(*ack as i32 as u32);
    bytes[24..28].copy_from_slice(&next_seq.to_be_bytes());
    bytes[28..32].copy_from_slice(&next_ack.to_be_bytes());
    bytes[32] = 5 << 4;
    bytes[33] = *flags;
    bytes[10..12].fill(0);
    let mut sum = millstream_wire::checksum::Sum::new();
    sum.add(&bytes[..20]);
    bytes[10..12].copy_from_slice(&sum.finish().to_be_bytes());
    if let Some((at, value)) = patch {
        bytes[usize::from(*at) % 40] = *value;
    }
    let mut whole = virtio[..header].to_vec();
    whole.extend_from_slice(&bytes);
    whole.extend_from_slice(&payload);
    Some(whole)
}

fuzz_target!(|input: Input| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let capabilities = Capabilities::plain(1500)
            .with_virtio_header_len(if input.virtio { 12 } else { 0 })
            .with_max_segment(if input.offload { 65_000 } else { 0 })
            .with_rx_checksum_trusted(true)
            .with_tx_checksum_offload(input.virtio && input.offload);
        let line = Line {
            wire: Arc::default(),
            capabilities,
        };
        let stack = Stack::builder()
            .device(line.clone())
            .address("10.0.0.1/24")
            .seed([3; 32])
            .build()
            .expect("a stack");
        let application = tokio::spawn({
            let stack = stack.clone();
            let size = if input.big_reads { 1 << 16 } else { 100 };
            async move {
                while let Ok(mut stream) = stack.connect("10.0.0.2:7").await {
                    let _ = stream.write_all(b"hello").await;
                    let mut buffer = vec![0; size];
                    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
                }
            }
        });
        tokio::time::sleep(Duration::from_millis(1)).await;
        for frame in &input.frames {
            match frame {
                Frame::Raw(bytes) => line.push(bytes.clone()),
                Frame::Pause => tokio::time::sleep(Duration::from_millis(50)).await,
                Frame::Answer { .. } => {
                    if let Some(bytes) = answer(&line, frame) {
                        line.push(bytes);
                    }
                }
            }
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        application.abort();
        match application.await {
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            _ => {}
        }
        let _ = stack.counters();
    });
});
