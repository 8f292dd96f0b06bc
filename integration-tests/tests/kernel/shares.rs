//! Several flows over one interface: each gets its share, and the stack causes no drops in the
//! interface's queue.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use millstream::device::Tun;
use millstream::{Stack, TcpStream};
use millstream_testbed::kernel;
use millstream_testbed::lab::Lab;
use millstream_testbed::link::dropped;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

/// The total bytes of all flows.
const BYTES: u64 = 256 << 20;
/// Bytes per read and write of a socket.
const PIECE: usize = 256 << 10;
/// The addresses of the stack and the kernel in the network of the interface.
const STACK: [u8; 4] = [10, 77, 0, 2];
const KERNEL: [u8; 4] = [10, 77, 0, 1];

/// The interface of a case.
#[derive(Clone, Copy)]
struct Link {
    name: &'static str,
    offload: bool,
    queues: usize,
}

const PLAIN: Link = Link {
    name: "millplain",
    offload: false,
    queues: 1,
};

pub(crate) async fn four_downloads(_lab: &Lab) -> Result<()> {
    downloads(PLAIN, 4).await
}

pub(crate) async fn sixteen_downloads(_lab: &Lab) -> Result<()> {
    downloads(PLAIN, 16).await
}

pub(crate) async fn four_uploads(_lab: &Lab) -> Result<()> {
    uploads(PLAIN, 4).await
}

pub(crate) async fn sixteen_downloads_with_offloads(_lab: &Lab) -> Result<()> {
    let link = Link {
        name: "milloffload",
        offload: true,
        ..PLAIN
    };
    downloads(link, 16).await
}

pub(crate) async fn sixteen_downloads_by_two_queues(_lab: &Lab) -> Result<()> {
    let link = Link {
        name: "millqueues",
        queues: 2,
        ..PLAIN
    };
    downloads(link, 16).await
}

/// The stack sends on `flows` connections at once.
async fn downloads(link: Link, flows: usize) -> Result<()> {
    let stack = stack(link)?;
    let listener = stack.listen(SocketAddr::from((STACK, 80))).await?;
    let connect = (0..flows).map(|_| kernel::connect(SocketAddr::from((STACK, 80))));
    let accept = async { try_join_all((0..flows).map(|_| listener.accept())).await };
    let (receivers, senders) = tokio::try_join!(try_join_all(connect), accept)?;
    let (flows, mut filled) = Flows::new(flows);
    for (sender, _) in senders {
        tokio::spawn(fill(sender));
    }
    for (index, receiver) in receivers.into_iter().enumerate() {
        let (mut receiver, flows) = (blocking(receiver)?, Arc::clone(&flows));
        thread::spawn(move || {
            let mut piece = vec![0; PIECE];
            while let Ok(len @ 1..) = receiver.read(&mut piece) {
                flows.received(index, len);
            }
        });
    }
    let shares = filled.recv().await.context("a flow ended")?;
    let dropped = dropped(link.name)?;
    stack.shutdown().await;
    ensure!(dropped == 0, "the interface dropped {dropped} packets");
    are_fair(&shares)
}

/// The kernel sends on `flows` connections at once. The stack does not control the number of
/// packets that the kernel gives the interface.
async fn uploads(link: Link, flows: usize) -> Result<()> {
    let stack = stack(link)?;
    let listener = stack.listen(SocketAddr::from((STACK, 80))).await?;
    let connect = (0..flows).map(|_| kernel::connect(SocketAddr::from((STACK, 80))));
    let accept = async { try_join_all((0..flows).map(|_| listener.accept())).await };
    let (senders, receivers) = tokio::try_join!(try_join_all(connect), accept)?;
    let (flows, mut filled) = Flows::new(flows);
    for (index, (mut receiver, _)) in receivers.into_iter().enumerate() {
        let flows = Arc::clone(&flows);
        tokio::spawn(async move {
            let mut piece = vec![0; PIECE];
            while let Ok(len @ 1..) = receiver.read(&mut piece).await {
                flows.received(index, len);
            }
        });
    }
    for sender in senders {
        let mut sender = blocking(sender)?;
        thread::spawn(move || {
            let piece = vec![0x5A; PIECE];
            while sender.write_all(&piece).is_ok() {}
        });
    }
    let shares = filled.recv().await.context("a flow ended")?;
    stack.shutdown().await;
    are_fair(&shares)
}

fn stack(link: Link) -> Result<Stack> {
    let kernel = Ipv4Addr::from(KERNEL);
    let interface = Tun::builder()
        .name(link.name)
        .address(format!("{kernel}/24"))
        .offload(link.offload)
        .up();
    let devices = if link.queues > 1 {
        interface.build_queues(link.queues)?
    } else {
        vec![interface.build()?]
    };
    let address = Ipv4Addr::from(STACK);
    let builder = Stack::builder().devices(devices);
    Ok(builder.address(format!("{address}/24")).build()?)
}

/// The bytes of each flow, reported when the total is reached.
struct Flows {
    received: Vec<AtomicU64>,
    filled: mpsc::UnboundedSender<Vec<u64>>,
}

impl Flows {
    fn new(count: usize) -> (Arc<Self>, mpsc::UnboundedReceiver<Vec<u64>>) {
        let (filled, when_filled) = mpsc::unbounded_channel();
        let received = (0..count).map(|_| AtomicU64::new(0)).collect();
        (Arc::new(Self { received, filled }), when_filled)
    }

    fn received(&self, index: usize, len: usize) {
        self.received[index].fetch_add(len as u64, Ordering::Relaxed);
        let shares: Vec<_> = self
            .received
            .iter()
            .map(|n| n.load(Ordering::Relaxed))
            .collect();
        if shares.iter().sum::<u64>() >= BYTES {
            // Only the first report is received.
            let _ = self.filled.send(shares);
        }
    }
}

/// Writes as long as the stream is read.
async fn fill(mut stream: TcpStream) {
    let piece = vec![0x5A; PIECE];
    while stream.write_all(&piece).await.is_ok() {}
}

/// A kernel socket for a thread of its own: as in another process, its reads do not depend on the
/// runtime.
fn blocking(stream: tokio::net::TcpStream) -> Result<std::net::TcpStream> {
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Checks that every flow has at least half of the mean.
fn are_fair(shares: &[u64]) -> Result<()> {
    let mean = shares.iter().sum::<u64>() / shares.len() as u64;
    let least = shares.iter().min().context("there are no flows")?;
    ensure!(least * 2 >= mean, "shares in bytes: {shares:?}");
    Ok(())
}
