//! Many connections, one after another, that leave no state behind.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use millstream_testbed::history::History;
use millstream_testbed::kernel;
use millstream_testbed::lab::{Family, Lab, Net, Setup};
use millstream_testbed::trace::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::connect::PORT;

/// The number of connections before the measurement, after which every buffer and pool has its
/// final size.
const WARM_UP: usize = 1000;
const CONNECTIONS: usize = 10_000;
/// The permitted growth of the process in bytes: far less than one leaked buffer for each
/// connection.
const GROWTH: u64 = 4 << 20;

/// Quantities that a leak would increase.
#[derive(Debug)]
struct Footprint {
    sockets_of_stack: usize,
    sockets_of_kernel: kernel::SocketCounts,
    descriptors: usize,
    memory: u64,
}

impl Footprint {
    fn measure(net: &Net) -> Result<Self> {
        let pages = fs::read_to_string("/proc/self/statm")?;
        let resident: u64 = pages.split(' ').nth(1).context("statm")?.parse()?;
        Ok(Self {
            sockets_of_stack: net.stack.sockets().len(),
            sockets_of_kernel: kernel::socket_counts()?,
            descriptors: fs::read_dir("/proc/self/fd")?.count(),
            memory: resident * 4096,
        })
    }
}

pub(crate) async fn ten_thousand_connections(lab: &Lab) -> Result<()> {
    let history = History::counting();
    let net = lab
        .net_with(Setup {
            configure: |config| config.msl = Duration::from_millis(50),
            trace: Limits {
                packets: 1000,
                snapshot: 160,
            },
            history: history.clone(),
            ..Setup::default()
        })
        .await?;
    let listener = net.stack.listen(net.stack(Family::V4, PORT)).await?;
    for number in 0..WARM_UP {
        one(&net, &listener, number).await?;
    }
    history.closed(WARM_UP).await;
    let before = Footprint::measure(&net)?;
    for number in 0..CONNECTIONS {
        one(&net, &listener, number).await?;
    }
    history.closed(WARM_UP + CONNECTIONS).await;
    let after = Footprint::measure(&net)?;

    let told = format!("before {before:?}, after {after:?}");
    ensure!(
        after.sockets_of_stack == 1,
        "sockets other than the listener are left: {told}"
    );
    ensure!(after.descriptors == before.descriptors, "{told}");
    // Sockets of other cases may still exist, and close meanwhile.
    ensure!(
        after.sockets_of_kernel.in_use <= before.sockets_of_kernel.in_use,
        "{told}"
    );
    ensure!(after.memory < before.memory + GROWTH, "{told}");
    Ok(())
}

/// One connection with a byte in each direction; the two ends take turns in closing first.
async fn one(net: &Net, listener: &millstream::TcpListener, number: usize) -> Result<()> {
    let address = net.stack(Family::V4, PORT);
    let (mut theirs, accepted) = tokio::try_join!(kernel::connect(address), listener.accept())?;
    let mut ours = accepted.0;
    let byte = [number as u8];
    theirs.write_all(&byte).await?;
    let mut received = [0];
    ours.read_exact(&mut received).await?;
    ours.write_all(&received).await?;
    theirs.read_exact(&mut received).await?;
    ensure!(
        received == byte,
        "connection {number}: another byte came back"
    );
    if number.is_multiple_of(2) {
        theirs.shutdown().await?;
        ensure!(ours.read(&mut received).await? == 0, "data after the end");
    } else {
        ours.shutdown().await?;
        ensure!(theirs.read(&mut received).await? == 0, "data after the end");
    }
    Ok(())
}
