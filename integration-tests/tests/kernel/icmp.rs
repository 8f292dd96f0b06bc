//! The stack's replies to protocols other than TCP.

use std::io::ErrorKind;

use anyhow::{Result, ensure};
use millstream_testbed::lab::{Family, Lab};
use millstream_testbed::{kernel, pattern};
use tokio::net::UdpSocket;

pub(crate) async fn ping(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    for family in Family::BOTH {
        let (from, to) = (net.kernel(family, 0).ip(), net.stack(family, 0).ip());
        for (ident, length) in [(1, 0), (2, 1), (3, 56), (4, 1400)] {
            let data = pattern::bytes(0, length);
            let answer = kernel::ping(from, to, ident, &data).await?;
            ensure!(answer == data, "{family:?}, {length} bytes: another answer");
        }
    }
    Ok(())
}

/// Port unreachable reaches the kernel's UDP socket as ECONNREFUSED (RFC 1122 3.2.2.1).
pub(crate) async fn udp_port_unreachable(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    for family in Family::BOTH {
        let socket = UdpSocket::bind(net.kernel(family, 0)).await?;
        socket.connect(net.stack(family, 9)).await?;
        socket.send(b"anybody?").await?;
        let error = socket.recv(&mut [0; 16]).await.err();
        let kind = error.map(|error| error.kind());
        ensure!(
            kind == Some(ErrorKind::ConnectionRefused),
            "{family:?}: {kind:?}"
        );
    }
    Ok(())
}
