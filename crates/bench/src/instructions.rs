//! Segments through the engine and nothing else, for callgrind: instructions do not depend on noise.

use anyhow::{Result, ensure};
use bytes::Bytes;
use clap::ValueEnum;
use millstream_bench::rig::{MSS, Peer, Rig};
use millstream_engine::ConnectionId;

/// Segments that come or go together.
const BATCH: u32 = 8;

/// What is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Path {
    /// A batch of data segments comes, and is read and acknowledged
    RxData,
    /// A batch of data segments goes out, and one acknowledgment comes for all of them
    TxData,
    /// The same, with an acknowledgment for each: the difference is what an acknowledgment costs
    TxDataRxAcks,
}

/// Moves `count` batches on a connection of its own, and tells the number of segments.
///
/// # Errors
/// The engine did not do what was expected of it.
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
                ensure!(!data.is_empty(), "the segments were not taken");
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
