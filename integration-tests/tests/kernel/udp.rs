//! UDP between the stack and the kernel, over both families.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use millstream::device::Tun;
use millstream::{Fragmentation, Stack, UdpOptions, UdpSend};
use millstream_testbed::lab::{Family, Lab};
use millstream_testbed::pattern;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Lengths of one packet, of a few fragments, and of the largest datagram of IPv4.
const LENGTHS: [usize; 9] = [0, 1, 100, 1452, 1472, 1473, 9000, 40_000, 65_507];

/// The kernel's number.
const EMSGSIZE: i32 = 90;

const SOON: Duration = Duration::from_secs(5);

/// Datagrams of every length go to the other side and come back.
pub(crate) async fn datagrams_both_ways(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    for family in Family::BOTH {
        let theirs = UdpSocket::bind(net.kernel(family, 0)).await?;
        let ours = net.stack.bind_udp(net.stack(family, 0)).await?;
        let (from, to) = (ours.local_addr()?, theirs.local_addr()?);
        let mut buf = vec![0; 70_000];
        for (number, len) in LENGTHS.into_iter().enumerate() {
            let data = pattern::bytes(number as u64, len);
            ours.send_to(&data, to).await?;
            let received = timeout(SOON, theirs.recv_from(&mut buf));
            let (got, sender) = received.await.context("at the kernel")??;
            ensure!(
                sender == from && buf[..got] == data,
                "{family:?}, {len} to the kernel"
            );
            theirs.send_to(&data, from).await?;
            let received = timeout(SOON, ours.recv_from(&mut buf));
            let (got, sender) = received.await.context("at the stack")??;
            ensure!(
                sender == to && buf[..got] == data,
                "{family:?}, {len} from the kernel"
            );
        }
    }
    Ok(())
}

/// A refusal reaches the connected socket of either side.
pub(crate) async fn refusals_both_ways(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    for family in Family::BOTH {
        let ours = net.stack.bind_udp(net.stack(family, 0)).await?;
        ours.connect(net.kernel(family, 9)).await?;
        ours.send(b"anybody?").await?;
        let refused = timeout(SOON, ours.recv(&mut [0; 16])).await?;
        let kind = refused.err().map(|error| error.kind());
        ensure!(kind == Some(ErrorKind::ConnectionRefused), "ours: {kind:?}");

        // A socket of another port does not keep this one from being refused.
        let theirs = UdpSocket::bind(net.kernel(family, 0)).await?;
        theirs.connect(net.stack(family, 9)).await?;
        theirs.send(b"anybody?").await?;
        let refused = timeout(SOON, theirs.recv(&mut [0; 16])).await?;
        let kind = refused.err().map(|error| error.kind());
        ensure!(
            kind == Some(ErrorKind::ConnectionRefused),
            "theirs: {kind:?}"
        );
    }
    Ok(())
}

/// Equal datagrams from one call arrive one by one; without fragments, what is too large is
/// refused.
pub(crate) async fn segments_and_sizes(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    for family in Family::BOTH {
        let theirs = UdpSocket::bind(net.kernel(family, 0)).await?;
        let ours = net.stack.bind_udp(net.stack(family, 0)).await?;
        let to = theirs.local_addr()?;
        let data = pattern::bytes(0, 50_000);
        ours.send_segmented(&data, 1200, Some(to)).await?;
        let (mut got, mut buf) = (Vec::new(), vec![0; 2000]);
        while got.len() < data.len() {
            let len = timeout(SOON, theirs.recv(&mut buf)).await??;
            let expected = 1200.min(data.len() - got.len());
            ensure!(len == expected, "{len} bytes at {}", got.len());
            got.extend_from_slice(&buf[..len]);
        }
        ensure!(got == data);
        ours.set_options(|options| options.fragmentation = Fragmentation::Probe)?;
        ours.connect(to).await?;
        let largest = ours.max_payload()?;
        ours.send(&vec![7; largest]).await?;
        let len = timeout(SOON, theirs.recv(&mut buf)).await??;
        ensure!(len == largest);
        let refused = ours.send(&vec![7; largest + 1]).await;
        let number = refused.err().and_then(|error| error.raw_os_error());
        ensure!(number == Some(EMSGSIZE), "{number:?}");
    }
    Ok(())
}

/// With offloads, the kernel cuts a sequence of equal datagrams and completes their checksums.
pub(crate) async fn segments_cut_by_the_kernel(_lab: &Lab) -> Result<()> {
    let tun = Tun::builder().name("milluso").address("10.78.0.1/24");
    let tun = tun.up().build()?;
    let datagrams = tun.offloads().datagrams;
    let stack = Stack::builder().device(tun).address("10.78.0.2/24");
    let stack = stack.build()?;
    let ours = stack.bind_udp("10.78.0.2:7").await?;
    let theirs = UdpSocket::bind("10.78.0.1:0").await?;
    let to = theirs.local_addr()?;
    let data = pattern::bytes(0, 60_000);
    for size in [500, 1000, 1472] {
        let before = stack.counters().packets_sent;
        ours.send_segmented(&data, size, Some(to)).await?;
        let (mut got, mut buf) = (Vec::new(), vec![0; 2000]);
        while got.len() < data.len() {
            let len = timeout(SOON, theirs.recv(&mut buf)).await??;
            let expected = usize::from(size).min(data.len() - got.len());
            ensure!(len == expected, "{len} bytes at {}", got.len());
            got.extend_from_slice(&buf[..len]);
        }
        ensure!(got == data);
        let packets = stack.counters().packets_sent - before;
        let cut_here = data.len().div_ceil(size.into()) as u64;
        let at_once = 64.min(65_000 / u64::from(size));
        let expected = if datagrams {
            cut_here.div_ceil(at_once)
        } else {
            cut_here
        };
        ensure!(packets == expected, "{packets} packets, not {expected}");
    }
    stack.shutdown().await;
    Ok(())
}

/// What the socket writes into the IP header arrives, and what arrives is read.
pub(crate) async fn header_fields(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    for family in Family::BOTH {
        let theirs = UdpSocket::bind(net.kernel(family, 0)).await?;
        let ours = net.stack.bind_udp(net.stack(family, 0)).await?;
        let to = theirs.local_addr()?;
        if family == Family::V4 {
            theirs.set_ttl(77)?;
            theirs.set_tos_v4(0xB8)?;
        } else {
            theirs.set_tclass_v6(0xB8)?;
        }
        theirs.send_to(b"x", ours.local_addr()?).await?;
        let got = timeout(SOON, ours.recv_datagram()).await??;
        let hops = if family == Family::V4 { 77 } else { 64 };
        ensure!(
            (got.tos, got.hop_limit, got.to) == (0xB8, Some(hops), ours.local_addr()?.ip()),
            "{got:?}"
        );
        let marked = UdpSend::new(b"y"[..].into()).to(Some(to)).tos(Some(2));
        ours.send_datagram(&marked).await?;
        timeout(SOON, theirs.recv(&mut [0; 4])).await??;
    }
    Ok(())
}

/// The kernel sends to groups that the stack has joined, and the other way round.
pub(crate) async fn groups(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    let group = Ipv4Addr::new(239, 7, 7, 7);
    let IpAddr::V4(own) = net.kernel(Family::V4, 0).ip() else {
        anyhow::bail!("the kernel's address is of IPv4");
    };
    let ours = net.stack.bind_udp("0.0.0.0:5353").await?;
    ours.join_multicast_v4(group, Ipv4Addr::UNSPECIFIED)?;
    let theirs = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 5353))?;
    theirs.set_nonblocking(true)?;
    let socket = socket2::SockRef::from(&theirs);
    socket.set_multicast_if_v4(&own)?;
    socket.set_multicast_loop_v4(false)?;
    theirs.join_multicast_v4(&group, &own)?;
    let theirs = UdpSocket::from_std(theirs)?;
    let mut buf = [0; 16];
    theirs.send_to(b"from the kernel", (group, 5353)).await?;
    let received = timeout(SOON, ours.recv(&mut buf));
    ensure!(received.await.context("at the stack")?? == 15);
    ours.send_to(b"from us", (group, 5353)).await?;
    let received = timeout(SOON, theirs.recv_from(&mut buf));
    let (len, from) = received.await.context("at the kernel")??;
    ensure!((len, from.ip()) == (7, net.stack(Family::V4, 0).ip()));
    Ok(())
}

/// Many sockets over an interface with two queues, each in the shard of its port.
pub(crate) async fn sockets_of_two_queues(_lab: &Lab) -> Result<()> {
    let interface = Tun::builder().name("milludp").address("10.77.0.1/24");
    let stack = Stack::builder()
        .devices(interface.up().build_queues(2)?)
        .address("10.77.0.2/24")
        .build()?;
    let exchanges = (1..=40).map(|port| {
        let stack = stack.clone();
        async move {
            let at = SocketAddr::from(([10, 77, 0, 2], 7000 + port));
            let ours = stack.bind_udp_with(at, UdpOptions::default())?;
            let theirs = UdpSocket::bind("10.77.0.1:0").await?;
            theirs.connect(at).await?;
            let mut buf = vec![0; 10_000];
            for len in [1, 1000, 5000] {
                let data = pattern::bytes(port.into(), len);
                theirs.send(&data).await?;
                let (got, from) = timeout(SOON, ours.recv_from(&mut buf)).await??;
                ensure!(buf[..got] == data, "{len} to port {port}");
                ours.send_to(&data, from).await?;
                let got = timeout(SOON, theirs.recv(&mut buf)).await??;
                ensure!(buf[..got] == data, "{len} from port {port}");
            }
            Ok(())
        }
    });
    try_join_all(exchanges).await?;
    stack.shutdown().await;
    Ok(())
}
