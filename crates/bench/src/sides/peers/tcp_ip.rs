//! tcp_ip.

use std::sync::Arc;

use anyhow::{Result, bail};
use tcp_ip::tcp::TcpListener;
use tcp_ip::{IpStackConfig, ip_stack};

use super::interface;
use crate::service::Service;
use crate::setup::HostDescription;
use crate::sides::ready;

/// Packets taken from the stack at a time.
const BATCH: usize = 64;

/// Offers the services.
pub(in crate::sides) async fn host(description: HostDescription) -> Result<()> {
    let setup = description.setup;
    let mtu = setup.link.mtu;
    let tun = Arc::new(interface(description)?);
    // With validation, connections stall: it rejects a checksum of 0xFFFF.
    let config = IpStackConfig::builder()
        .mtu(mtu)
        .validate_checksums(false)
        .build();
    let (stack, to_stack, mut from_stack) = ip_stack(config)?;
    let mut listener = TcpListener::bind_all(stack).await?;
    ready()?;
    let device = Arc::clone(&tun);
    let inward = async move {
        let mut packet = vec![0; mtu.into()];
        loop {
            let length = device.recv(&mut packet).await?;
            // A refused packet counts as lost.
            let _ = to_stack.send_ip_packet(&packet[..length]).await;
        }
    };
    let outward = async move {
        let mut packets = vec![vec![0; mtu.into()]; BATCH];
        let mut sizes = [0; BATCH];
        loop {
            let count = from_stack.recv_ip_packet(&mut packets, &mut sizes).await?;
            for (packet, size) in packets.iter().zip(sizes).take(count) {
                tun.send(&packet[..size]).await?;
            }
        }
    };
    let inward = tokio::spawn(inward);
    let outward = tokio::spawn(outward);
    let accept = async move {
        loop {
            let (stream, _) = listener.accept().await?;
            if let Some(service) = Service::at_port(stream.local_addr()?.port()) {
                service.spawn(stream, setup.write);
            }
        }
    };
    let ended: Result<std::io::Result<()>, _> = tokio::select! {
        ended = accept => return ended,
        ended = inward => ended,
        ended = outward => ended,
    };
    bail!("the pump ended: {ended:?}")
}
