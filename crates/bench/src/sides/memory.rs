//! Two millstream stacks in one process, connected by a link in memory.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Result, bail};
use millstream::device::PairConfig;
use millstream::{Cidr, Stack};

use super::tun;
use crate::dial::StackDial;
use crate::setup::{Link, Place};
use crate::work::{Report, Work};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
/// The payload of the largest segment: the largest packet less the longest headers.
const SUPER_SEGMENT: usize = u16::MAX as usize - 120;

/// Does the work from one stack to the other.
pub(crate) async fn run(work: Work, link: Link, write: usize, seconds: f64) -> Result<Report> {
    let (near, far) = PairConfig {
        mtu: link.mtu.into(),
        max_segment: if link.offload { SUPER_SEGMENT } else { 0 },
        checksum_offload: link.offload,
        ..PairConfig::default()
    }
    .build();
    let stack = |device, address| {
        let address = Cidr::new(address, Place::PREFIX);
        Stack::builder().device(device).address(address).build()
    };
    let dial = StackDial {
        stack: stack(near, CLIENT)?,
        host: SERVER,
    };
    let server = stack(far, SERVER)?;
    let (reachable, is_reachable) = tokio::sync::oneshot::channel();
    let server = tokio::spawn(async move {
        let ready = || {
            reachable
                .send(())
                .map_err(|()| std::io::ErrorKind::BrokenPipe.into())
        };
        tun::serve(&server, SERVER, write, ready).await
    });
    if is_reachable.await.is_err() {
        server.await??;
        bail!("the server ended");
    }
    let report = work.run(dial, seconds).await;
    server.abort();
    report
}
