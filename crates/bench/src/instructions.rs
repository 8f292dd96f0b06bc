//! Segments through the engine alone, for callgrind: instruction counts do not depend on noise.

use anyhow::{Result, ensure};
use bytes::Bytes;
use clap::ValueEnum;
use millstream_bench::rig::{MSS, Peer, Rig};
use millstream_engine::ConnectionId;

/// Segments that arrive or leave together.
const BATCH: u32 = 8;

/// The repeated operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Path {
    /// A batch of data segments arrives, and is read and acknowledged
    RxData,
    /// A batch of data segments leaves, and one acknowledgment arrives for all of them
    TxData,
    /// The same, with an acknowledgment for each: the difference is the cost of an acknowledgment
    TxDataRxAcks,
}

/// Moves `count` batches on one connection, and returns the number of segments.
///
/// # Errors
/// If the engine does not behave as expected.
pub(crate) fn run(path: Path, count: u32) -> Result<()> {
    let mut rig = Rig::new(16, |config| config.socket.nodelay = true)?;
    let mut peer = Peer::number(0);
    let id = rig.establish(&mut peer)?;
    let payload = Bytes::from(vec![0x5A; usize::from(MSS)]);
    let mut data: Vec<Bytes> = Vec::new();
    for _ in 0..count {
        match path {
            Path::RxData => {
                for _ in 0..BATCH {
                    rig.inject(peer.data(&payload));
                }
                let (stack, now) = rig.stack();
                stack.read(now, id, usize::MAX, &mut data)?;
                ensure!(!data.is_empty(), "the segments were not accepted");
                data.clear();
            }
            Path::TxData => {
                send(&mut rig, id, &payload)?;
                rig.inject(peer.ack_more(BATCH * u32::from(MSS)));
            }
            Path::TxDataRxAcks => {
                send(&mut rig, id, &payload)?;
                for _ in 0..BATCH {
                    rig.inject(peer.ack_more(MSS.into()));
                }
            }
        }
        rig.drain();
    }
    println!("{}", count * BATCH);
    Ok(())
}

fn send(rig: &mut Rig, id: ConnectionId, payload: &Bytes) -> Result<()> {
    for _ in 0..BATCH {
        let (stack, now) = rig.stack();
        stack.write_bytes(now, id, &mut payload.clone())?;
    }
    let least = BATCH as usize * payload.len();
    ensure!(rig.drain() > least, "the segments were not sent");
    Ok(())
}
