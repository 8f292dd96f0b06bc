//! Transfers of the pattern in both directions over one connection: with every order of closing, in
//! both roles, and with loss.

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use millstream::device::Direction;
use millstream_testbed::lab::{Family, Lab, Net};
use millstream_testbed::segments::Brief;
use millstream_testbed::trace::Fate;
use millstream_wire::tcp::Flags;
use tokio::sync::Notify;

use crate::closing::{Closing, Fins, exchange};
use crate::peer::{Peer, Role, Sending, Task};
use crate::topology::Topology;

/// Bytes in each direction.
const BYTES: u64 = 10 << 20;
/// Bytes in each direction before FINs that cross: a held FIN whose acknowledgment number is
/// further back than the largest window would be rejected (RFC 5961 section 5.2).
const BYTES_BEFORE_CROSSING: u64 = 16 << 10;
/// The server's port, on either side.
const PORT: u16 = 7000;
/// One packet in this many is lost.
const LOSS: u32 = 100;
/// The seed of the losses.
const SEED: u64 = 0x6d69_6c6c;

/// The end that opens the connection.
#[derive(Clone, Copy)]
enum Opening {
    PeerServes,
    PeerConnects,
}

/// Starts a peer stack on the interface with this name.
type Start = fn(&str, Task) -> Result<Peer>;

/// The cases for one peer stack.
macro_rules! cases_of {
    ($name:ident, $start:path) => {
        pub(crate) mod $name {
            use super::*;

            pub(crate) async fn serves_and_closes_first(lab: &Lab) -> Result<()> {
                whole(lab, $start, Opening::PeerServes, Closing::Peer).await
            }

            pub(crate) async fn serves_and_closes_last(lab: &Lab) -> Result<()> {
                whole(lab, $start, Opening::PeerServes, Closing::Ours).await
            }

            pub(crate) async fn serves_and_closes_simultaneously(lab: &Lab) -> Result<()> {
                whole(lab, $start, Opening::PeerServes, Closing::Simultaneous).await
            }

            pub(crate) async fn connects_and_closes_first(lab: &Lab) -> Result<()> {
                whole(lab, $start, Opening::PeerConnects, Closing::Peer).await
            }

            pub(crate) async fn connects_and_closes_last(lab: &Lab) -> Result<()> {
                whole(lab, $start, Opening::PeerConnects, Closing::Ours).await
            }

            pub(crate) async fn connects_and_closes_simultaneously(lab: &Lab) -> Result<()> {
                whole(lab, $start, Opening::PeerConnects, Closing::Simultaneous).await
            }

            pub(crate) async fn serves_with_loss(lab: &Lab) -> Result<()> {
                lossy(lab, $start, Opening::PeerServes, Closing::Peer).await
            }

            pub(crate) async fn connects_with_loss(lab: &Lab) -> Result<()> {
                lossy(lab, $start, Opening::PeerConnects, Closing::Ours).await
            }
        }
    };
}

#[cfg(lwip)]
cases_of!(lwip, crate::lwip_peer::start);
cases_of!(smoltcp, crate::smoltcp_peer::start);
cases_of!(tcp_ip, crate::tcp_ip_peer::start);

/// A transfer without loss; for a simultaneous close the FINs are held until both are sent.
async fn whole(lab: &Lab, start: Start, opening: Opening, closing: Closing) -> Result<()> {
    let topology = Topology::new(lab).await?;
    if closing != Closing::Simultaneous {
        return transfer(&topology, start, opening, closing, Sending::AtOnce).await;
    }
    let crossed = hold_fins(&topology.net);
    let release = async {
        crossed.notified().await;
        topology.net.gate.open();
        topology.net.gate.release().context("releasing the FINs")
    };
    let transfer = transfer(&topology, start, opening, closing, Sending::AtOnce);
    tokio::try_join!(transfer, release)?;
    Ok(())
}

/// A transfer in which one packet in a hundred is lost, in each direction. The two directions
/// transfer one after the other: other stacks do not count a segment with data as a duplicate
/// acknowledgment, so with simultaneous data every loss would cost them a timeout.
async fn lossy(lab: &Lab, start: Start, opening: Opening, closing: Closing) -> Result<()> {
    let topology = Topology::new(lab).await?;
    let mut random = fastrand::Rng::with_seed(SEED);
    let lost = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
    let count = lost.clone();
    topology.net.gate.set_rule(move |direction, _| {
        if random.u32(..LOSS) == 0 {
            count[usize::from(direction == Direction::Sent)].fetch_add(1, Ordering::Relaxed);
            Fate::Dropped
        } else {
            Fate::Passed
        }
    });
    transfer(&topology, start, opening, closing, Sending::AfterReceiving).await?;
    let lost = lost.each_ref().map(|lost| lost.load(Ordering::Relaxed));
    ensure!(!lost.contains(&0), "nothing was lost one way: {lost:?}");
    Ok(())
}

/// Holds every FIN; notifies when there is one from each end.
fn hold_fins(net: &Net) -> Arc<Notify> {
    let crossed = Arc::new(Notify::new());
    let (mut fins, tell) = (Fins::default(), crossed.clone());
    net.gate
        .set_rule(move |direction, packet| match Brief::of(packet) {
            Some(brief) if brief.flags.contains(Flags::FIN) => {
                if fins.note(direction == Direction::Sent) {
                    tell.notify_one();
                }
                Fate::Held
            }
            _ => Fate::Passed,
        });
    crossed
}

async fn transfer(
    topology: &Topology,
    start: Start,
    opening: Opening,
    closing: Closing,
    sending: Sending,
) -> Result<()> {
    let net = &topology.net;
    let bytes = match closing {
        Closing::Simultaneous => BYTES_BEFORE_CROSSING,
        Closing::Peer | Closing::Ours => BYTES,
    };
    let task = |role| Task {
        address: topology.peer,
        role,
        turn: closing.turn_of_peer(),
        sending,
        bytes,
    };
    let (mut peer, stream) = match opening {
        Opening::PeerServes => {
            let peer = start(&topology.interface(), task(Role::Serves(PORT)))?;
            let server = SocketAddrV4::new(topology.peer, PORT);
            (peer, net.stack.connect(SocketAddr::V4(server)).await?)
        }
        Opening::PeerConnects => {
            let SocketAddr::V4(server) = net.stack(Family::V4, PORT) else {
                bail!("our address is one of IPv4");
            };
            let listener = net.stack.listen(SocketAddr::V4(server)).await?;
            let peer = start(&topology.interface(), task(Role::Connects(server)))?;
            (peer, listener.accept().await?.0)
        }
    };
    let began = Instant::now();
    let (local, remote) = (stream.local_addr()?, stream.peer_addr()?);
    let ours = async {
        exchange(stream, bytes, closing.turn_of_ours(), Sending::AtOnce)
            .await
            .context("our stack")
    };
    tokio::try_join!(ours, peer.done())?;
    report(net, bytes, began);
    net.history.closed(1).await;
    closing.check(&net.history.states(local, remote))
}

/// Prints the statistics of the transfer.
fn report(net: &Net, bytes: u64, began: Instant) {
    let seconds = began.elapsed().as_secs_f64();
    let rate = bytes as f64 / f64::from(1 << 20) / seconds;
    println!(
        "  {rate:.1} MiB/s each way, {} segments retransmitted by ours",
        net.stack.counters().segments_retransmitted
    );
}
