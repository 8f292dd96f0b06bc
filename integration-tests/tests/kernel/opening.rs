//! Connections opened by either end: accepted, refused, and more than the backlog holds.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Result, ensure};
use futures::future::{LocalBoxFuture, try_join_all};
use millstream_testbed::lab::{Family, Lab, Net};
use millstream_testbed::{kernel, pattern};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The number of simultaneous connections.
const CLIENTS: usize = 100;
/// Bytes that each connection sends and receives.
const BYTES: u64 = 64 * 1024;

pub(crate) async fn kernel_accepts_many_clients(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    for family in Family::BOTH {
        let listener = kernel::listen(net.kernel(family, 7000))?;
        let serve = async {
            let mut served = Vec::new();
            for _ in 0..CLIENTS {
                let (stream, _) = listener.accept().await?;
                served.push(pattern::echo(stream));
            }
            // No connection is served before all are established.
            try_join_all(served).await?;
            anyhow::Ok(())
        };
        let clients = try_join_all((0..CLIENTS).map(|_| async {
            let stream = net.stack.connect(net.kernel(family, 7000)).await?;
            pattern::exchange(stream, BYTES).await
        }));
        tokio::try_join!(serve, clients)?;
    }
    Ok(())
}

pub(crate) async fn stack_accepts_many_clients(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    for family in Family::BOTH {
        let listener = net.stack.listen(net.stack(family, 7000)).await?;
        let serve = async {
            let mut served = Vec::new();
            for _ in 0..CLIENTS {
                let (stream, peer) = listener.accept().await?;
                ensure!(peer.ip() == net.kernel(family, 0).ip(), "accepted {peer}");
                served.push(pattern::echo(stream));
            }
            try_join_all(served).await?;
            anyhow::Ok(())
        };
        let clients = try_join_all((0..CLIENTS).map(|_| async {
            let stream = kernel::connect(net.stack(family, 7000)).await?;
            pattern::exchange(stream, BYTES).await
        }));
        tokio::try_join!(serve, clients)?;
    }
    Ok(())
}

/// An address other than the stack's to which the kernel routes packets over the link.
fn elsewhere(net: &Net, family: Family, port: u16) -> SocketAddr {
    let mut address = net.stack(family, port);
    address.set_ip(match address.ip() {
        IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() + 75).into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() + 75).into(),
    });
    address
}

pub(crate) async fn stack_is_every_host(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    let listener = net.stack.listen_any()?;
    for family in Family::BOTH {
        let destination = elsewhere(&net, family, 7000);
        let serve = async {
            let attempt = listener.accept().await?;
            ensure!(
                attempt.local_addr() == destination,
                "asked about {attempt:?}"
            );
            pattern::echo(attempt.accept().await?).await?;
            anyhow::Ok(())
        };
        let client = async {
            let stream = kernel::connect(destination).await?;
            pattern::exchange(stream, BYTES).await
        };
        tokio::try_join!(serve, client)?;

        let refuse = async {
            listener.accept().await?.reject();
            anyhow::Ok(())
        };
        let client = async {
            let error = kernel::connect(elsewhere(&net, family, 7001)).await.err();
            let kind = error.map(|error| error.kind());
            ensure!(
                kind == Some(ErrorKind::ConnectionRefused),
                "{family:?}: {kind:?}"
            );
            Ok(())
        };
        tokio::try_join!(refuse, client)?;
    }
    Ok(())
}

pub(crate) async fn refused_by_the_kernel(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    for family in Family::BOTH {
        let error = net.stack.connect(net.kernel(family, 9)).await.err();
        let kind = error.map(|error| error.kind());
        ensure!(
            kind == Some(ErrorKind::ConnectionRefused),
            "{family:?}: {kind:?}"
        );
    }
    Ok(())
}

pub(crate) async fn refused_by_the_stack(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    for family in Family::BOTH {
        let error = kernel::connect(net.stack(family, 9)).await.err();
        let kind = error.map(|error| error.kind());
        ensure!(
            kind == Some(ErrorKind::ConnectionRefused),
            "{family:?}: {kind:?}"
        );
    }
    Ok(())
}

/// More clients than the backlog holds: those that find it full are served after a retransmission
/// of their SYN, and none is refused.
pub(crate) async fn backlog_overflow_recovers(lab: &Lab) -> Result<()> {
    const BACKLOG: u32 = 4;
    const MORE: usize = 12;
    let net = lab.net().await?;
    let socket = net.stack.socket_v4();
    socket.bind(net.stack(Family::V4, 7000))?;
    let listener = socket.listen(BACKLOG)?;
    let serve = async {
        for _ in 0..MORE {
            let (mut stream, _) = listener.accept().await?;
            stream.write_all(b"served").await?;
            stream.shutdown().await?;
        }
        anyhow::Ok(())
    };
    let clients: Vec<LocalBoxFuture<'_, Result<()>>> = (0..MORE)
        .map(|_| {
            Box::pin(async {
                let mut stream = kernel::connect(net.stack(Family::V4, 7000)).await?;
                let mut text = String::new();
                stream.read_to_string(&mut text).await?;
                ensure!(text == "served", "{text:?}");
                Ok(())
            }) as LocalBoxFuture<'_, Result<()>>
        })
        .collect();
    // The clients are polled first, so that all their SYNs are sent before the first accept.
    tokio::try_join!(biased; try_join_all(clients), serve)?;
    Ok(())
}
