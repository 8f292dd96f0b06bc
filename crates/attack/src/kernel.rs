//! The Linux kernel as the target: it listens behind a TUN interface in a network namespace of this
//! process.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use millstream_testbed::link::Netlink;
use millstream_testbed::{kernel, netns};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};
use tokio_tun::Tun;

use crate::scene::{VICTIM, service};
use crate::target::Target;

/// A silence of this length means that the kernel has sent all immediate answers.
const SILENCE: Duration = Duration::from_millis(20);

/// Whether attacks are played against the kernel, too.
static WANTED: AtomicBool = AtomicBool::new(false);

/// The kernel as a target.
pub(crate) struct Kernel {
    runtime: Runtime,
    tun: Tun,
    _listener: TcpListener,
}

/// Makes attacks that support it attack the kernel, too. Must be called before the process starts a
/// thread.
///
/// # Errors
/// The machine provides no network namespace with a TUN device.
pub(crate) fn want() -> Result<()> {
    netns::enter().context("the kernel cannot be asked: run as root, or without --linux")?;
    WANTED.store(true, Ordering::Relaxed);
    Ok(())
}

impl Kernel {
    /// A kernel with a fresh interface, if attacks against it were requested.
    pub(crate) fn if_wanted() -> Result<Option<Self>> {
        if !WANTED.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (tun, listener) = runtime.block_on(async {
            let IpAddr::V4(address) = VICTIM else {
                unreachable!("the victim's address is of IPv4");
            };
            let made = Tun::builder()
                .name("attack")
                .address(address)
                .netmask(Ipv4Addr::new(255, 255, 255, 0))
                .up()
                .build()
                .context("making a TUN interface")?;
            let tun = made.into_iter().next().context("no queue was made")?;
            let netlink = Netlink::open()?;
            let every = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            let link = netlink.link(tun.name()).await?;
            link.add_route(every, 0, Vec::new()).await?;
            anyhow::Ok((tun, kernel::listen(service())?))
        })?;
        let mut kernel = Self {
            runtime,
            tun,
            _listener: listener,
        };
        // Packets that a new interface sends by itself.
        kernel.collect()?;
        Ok(Some(kernel))
    }
}

impl Target for Kernel {
    fn take(&mut self, packet: Bytes) -> Result<()> {
        let tun = &self.tun;
        match self.runtime.block_on(tun.send_all(&packet)) {
            // The kernel rejects packets without a valid IP header.
            Err(error) if error.raw_os_error() == Some(22) => Ok(()),
            other => Ok(other?),
        }
    }

    fn collect(&mut self) -> Result<Vec<Bytes>> {
        let tun = &self.tun;
        self.runtime.block_on(async {
            let mut packets = Vec::new();
            let mut buffer = vec![0; 65_536];
            while let Ok(length) = timeout(SILENCE, tun.recv(&mut buffer)).await {
                let packet = Bytes::copy_from_slice(&buffer[..length?]);
                // Router solicitations and the like do not concern the attack.
                if packet.first().is_some_and(|first| first >> 4 == 4) {
                    packets.push(packet);
                }
            }
            Ok(packets)
        })
    }

    fn wait(&mut self, time: Duration) -> Result<()> {
        self.runtime.block_on(async { sleep(time).await });
        Ok(())
    }
}
