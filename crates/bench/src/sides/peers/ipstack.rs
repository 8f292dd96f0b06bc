//! ipstack.

use anyhow::Result;
use ipstack::{IpStack, IpStackConfig, IpStackStream, TcpConfig, TcpOptions};

use super::interface;
use crate::service::Service;
use crate::setup::HostDescription;
use crate::sides::ready;

/// IPv4 and TCP headers without options.
const HEADERS: u16 = 40;
/// The largest window without window scaling, which it does not support.
const WINDOW: u16 = u16::MAX;

/// Offers the services.
pub(in crate::sides) async fn host(description: HostDescription) -> Result<()> {
    let setup = description.setup;
    let tun = interface(description)?;
    let mut tcp = TcpConfig::default();
    tcp.max_unacked_bytes = WINDOW.into();
    tcp.read_buffer_size = WINDOW.into();
    // By default it announces no MSS, and receives packets of 536 bytes.
    tcp.options = Some(vec![TcpOptions::MaximumSegmentSize(
        setup.link.mtu - HEADERS,
    )]);
    let mut config = IpStackConfig::default();
    config.mtu_unchecked(setup.link.mtu).with_tcp_config(tcp);
    let mut stack = IpStack::new(config, tun);
    ready()?;
    loop {
        if let IpStackStream::Tcp(stream) = stack.accept().await?
            && let Some(service) = Service::at_port(stream.peer_addr().port())
        {
            service.spawn(stream, setup.write);
        }
    }
}
