//! The kernel's treatment of packets from special addresses, which the engine's table states for
//! Linux.

use std::fs;
use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, ensure};
use millstream::device::{Device as _, Tun};
use millstream_testbed::kernel;
use millstream_testbed::lab::Lab;
use millstream_testbed::link::Netlink;
use millstream_testbed::packet;
use millstream_wire::tcp::{Flags, Header, View};
use millstream_wire::{SeqNum, ip};

#[path = "../../../crates/engine/tests/support/special.rs"]
mod special;

const INTERFACE: &str = "milladdr";
const PORT: u16 = 8077;

/// Sends a SYN from each address to a kernel that has a route to all addresses. Each is followed by
/// one from an ordinary address: when that is answered, the first has been answered or will not be.
pub(crate) async fn source_addresses_are_treated_as_in_the_table(_lab: &Lab) -> Result<()> {
    let tun = Tun::builder()
        .name(INTERFACE)
        .offload(false)
        .address("10.0.0.1/24")
        .up()
        .build()?;
    let netlink = Netlink::open()?;
    let link = netlink.link(INTERFACE).await?;
    link.add_address("fd00::1".parse()?, 64).await?;
    for everywhere in [
        IpAddr::from(Ipv4Addr::UNSPECIFIED),
        Ipv6Addr::UNSPECIFIED.into(),
    ] {
        link.add_route(everywhere, 0, Vec::new()).await?;
    }
    for scope in ["all", INTERFACE] {
        fs::write(format!("/proc/sys/net/ipv4/conf/{scope}/rp_filter"), "0")?;
    }
    let _listener = kernel::listen((Ipv6Addr::UNSPECIFIED, PORT).into())?;
    let mut port = 20_000;
    for row in special::SPECIAL {
        let src: IpAddr = row.address.parse()?;
        let (ours, usual): (IpAddr, IpAddr) = if src.is_ipv4() {
            ([10, 0, 0, 1].into(), [10, 0, 0, 2].into())
        } else {
            ("fd00::1".parse()?, "fd00::2".parse()?)
        };
        port += 2;
        for (src, port) in [(src, port), (usual, port + 1)] {
            tun.try_send(&[IoSlice::new(&syn(src, ours, port))])
                .with_context(|| format!("a SYN from {src}"))?;
        }
        let mut answered = false;
        loop {
            let to = next_answer(&tun).await?;
            answered |= to == port;
            if to == port + 1 {
                break;
            }
        }
        ensure!(
            answered == row.linux.0,
            "{} ({}): answered {answered}; as source and destination we take it: {:?}",
            row.address,
            row.range,
            (row.source, row.destination)
        );
    }
    Ok(())
}

fn syn(src: IpAddr, dst: IpAddr, port: u16) -> Vec<u8> {
    let segment = Header {
        src_port: port,
        dst_port: PORT,
        seq: SeqNum::new(1),
        flags: Flags::SYN,
        window: 1000,
        ..Header::default()
    };
    packet::tcp(src, dst, &segment, &[])
}

/// The destination port of the next SYN-ACK.
async fn next_answer(tun: &Tun) -> Result<u16> {
    let mut frame = vec![0; tun.capabilities().max_frame()];
    loop {
        let len = match tun.try_recv(&mut frame) {
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                poll_fn(|cx| tun.poll_recv_ready(cx)).await?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if let Ok(packet) = ip::Packet::parse(&frame[..len])
            && packet.protocol() == ip::TCP
            && let Ok(view) = View::parse(packet.payload())
            && view.flags() == Flags::SYN | Flags::ACK
        {
            return Ok(view.dst_port());
        }
    }
}
