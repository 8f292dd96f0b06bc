//! The engine's cost of a packet with many idle connections, and of an acknowledgment with many
//! segments in flight. Both should be constant.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use millstream_bench::rig::{MSS, Peer, Rig};
use millstream_engine::ConnectionId;

use crate::results::{Metric, Results};
use crate::rounds::progress;

/// The numbers of idle connections.
pub(crate) const IDLE: [u32; 4] = [10, 1_000, 100_000, 1_000_000];
/// The numbers of segments in flight.
pub(crate) const IN_FLIGHT: [u32; 3] = [10, 1_000, 10_000];
/// The number of packets per measurement.
const PACKETS: usize = 16_384;
/// The number of packets that arrive together.
const BATCH: usize = 16;

/// The title of the table of costs with idle connections.
pub(crate) const PACKET: &str = "a data segment received";
/// The title of the table of costs with segments in flight.
pub(crate) const ACK: &str = "an ACK received and the segment that it lets out";

/// The name of a row.
pub(crate) fn row(count: u32, of: &str) -> String {
    format!("{count} {of}")
}

/// Measures both, for `rounds` rounds.
///
/// # Errors
/// If the engine does not behave as expected.
pub(crate) fn measure(rounds: usize, results: &mut Results) -> Result<()> {
    let progress = progress(rounds * (IDLE.len() + IN_FLIGHT.len()));
    let mut receivers = IDLE
        .map(Receiver::beside)
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let mut senders = IN_FLIGHT
        .map(Sender::with)
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    for _ in 0..rounds {
        for (receiver, idle) in receivers.iter_mut().zip(IDLE) {
            let nanos = receiver.receive()?;
            results.add(PACKET, &row(idle, "idle"), Metric::NanosEach, nanos);
            progress.inc(1);
        }
        for (sender, count) in senders.iter_mut().zip(IN_FLIGHT) {
            let nanos = sender.acknowledge()?;
            results.add(ACK, &row(count, "in flight"), Metric::NanosEach, nanos);
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    Ok(())
}

/// A receiving connection among idle ones.
struct Receiver {
    rig: Rig,
    peer: Peer,
    id: ConnectionId,
}

impl Receiver {
    fn beside(idle: u32) -> Result<Self> {
        let mut rig = Rig::new(1024, |_| ())?;
        for n in 0..idle {
            rig.establish(&mut Peer::number(n))?;
        }
        let mut peer = Peer::number(idle);
        let id = rig.establish(&mut peer)?;
        Ok(Self { rig, peer, id })
    }

    /// Nanoseconds per segment, including the read and the acknowledgments.
    fn receive(&mut self) -> Result<f64> {
        let payload = vec![0x5A; usize::from(MSS)];
        let packets: Vec<_> = (0..PACKETS).map(|_| self.peer.data(&payload)).collect();
        let mut data: Vec<Bytes> = Vec::with_capacity(BATCH);
        let mut read = 0;
        let began = Instant::now();
        for batch in packets.chunks(BATCH) {
            for packet in batch {
                self.rig.inject(packet.clone());
            }
            let (stack, now) = self.rig.stack();
            stack.read(now, self.id, usize::MAX, &mut data)?;
            self.rig.drain();
            read += data.drain(..).map(|slice| slice.len()).sum::<usize>();
        }
        let elapsed = began.elapsed();
        ensure!(read == PACKETS * payload.len(), "{read} bytes were read");
        Ok(each(elapsed))
    }
}

/// A connection with data in flight.
struct Sender {
    rig: Rig,
    peer: Peer,
    id: ConnectionId,
    data: Bytes,
}

impl Sender {
    fn with(in_flight: u32) -> Result<Self> {
        let mut rig = Rig::new(16, |config| {
            config.socket.send_buffer = 64 << 20;
            config.socket.nodelay = true;
        })?;
        let mut peer = Peer::number(0);
        let id = rig.establish(&mut peer)?;
        let mut sender = Self {
            rig,
            peer,
            id,
            data: vec![0x5A; usize::from(MSS)].into(),
        };
        sender.open_window(in_flight)?;
        Ok(sender)
    }

    /// Sends and acknowledges data until the congestion window allows `count` segments in flight.
    fn open_window(&mut self, count: u32) -> Result<()> {
        let wanted = u64::from(count) * u64::from(MSS);
        loop {
            let before = self.in_flight();
            if before >= wanted {
                return Ok(());
            }
            while self.in_flight() < wanted {
                self.write()?;
                if self.rig.drain() == 0 {
                    break;
                }
            }
            if self.in_flight() >= wanted {
                return Ok(());
            }
            for _ in 0..self.in_flight() / u64::from(MSS) {
                let ack = self.peer.ack_more(MSS.into());
                self.rig.inject(ack);
                self.rig.drain();
            }
        }
    }

    /// Nanoseconds per acknowledgment, including the segment that follows it.
    fn acknowledge(&mut self) -> Result<f64> {
        let flight = self.in_flight();
        let acks: Vec<_> = (0..PACKETS)
            .map(|_| self.peer.ack_more(MSS.into()))
            .collect();
        let began = Instant::now();
        for ack in acks {
            self.rig.inject(ack);
            self.write()?;
            self.rig.drain();
        }
        let elapsed = began.elapsed();
        ensure!(self.in_flight() == flight, "the flight size has changed");
        Ok(each(elapsed))
    }

    fn write(&mut self) -> Result<()> {
        let mut data = self.data.clone();
        let (stack, now) = self.rig.stack();
        stack.write_bytes(now, self.id, &mut data)?;
        ensure!(data.is_empty(), "the send buffer is full");
        Ok(())
    }

    fn in_flight(&mut self) -> u64 {
        let (stack, _) = self.rig.stack();
        stack.info(self.id).map_or(0, |info| info.bytes_in_flight)
    }
}

fn each(elapsed: Duration) -> f64 {
    elapsed.as_nanos() as f64 / PACKETS as f64
}
