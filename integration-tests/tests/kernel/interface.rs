//! The TUN interface itself: how it is read, and the effect on a stack if the interface is deleted
//! or changed.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use millstream::device::{Device, Offloads, Tun, TunBuilder};
use millstream::{DropReason, Stack, TcpStream};
use millstream_testbed::lab::{Family, Lab};
use millstream_testbed::link::Netlink;
use millstream_testbed::{kernel, pattern};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// The time limit for operations that should fail at once.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The flag of an address for which the kernel does no duplicate address detection.
const IFA_F_NODAD: u8 = 0x02;

/// Bytes in each direction.
const BYTES: u64 = 256 * 1024;

/// The offloads of a persistent interface are those of its latest owner, from the time it attaches:
/// packets that the kernel left incomplete for one owner are complete for the next.
pub(crate) async fn offloads_are_those_of_the_last_owner(_lab: &Lab) -> Result<()> {
    let name = "millkept";
    let kept = tokio_tun::Tun::builder().name(name).persist().build();
    drop(kept.context("making an interface that stays")?);
    let interface = || Tun::builder().name(name).address("10.75.0.1/24").up();
    let fast = interface().build()?;
    ensure!(fast.offloads().checksum && fast.offloads().segmentation);
    echo(fast).await.context("with offloads")?;
    let plain = interface().offload(false).build()?;
    ensure!(plain.offloads() == Offloads::default());
    echo(plain).await.context("without, after that")?;
    echo(interface().build()?).await.context("with, again")
}

/// Echoes data between a kernel client and a stack on `device`.
async fn echo(device: Tun) -> Result<()> {
    let stack = Stack::builder()
        .device(device)
        .address("10.75.0.2/24")
        .build()?;
    let address = SocketAddr::from(([10, 75, 0, 2], 7));
    let listener = stack.listen(address).await?;
    let serve = async { pattern::echo(listener.accept().await?.0).await };
    let ask = async { pattern::exchange(kernel::connect(address).await?, BYTES).await };
    tokio::try_join!(serve, ask)?;
    stack.shutdown().await;
    Ok(())
}

/// The kernel uses an interface's IPv6 address at once, without duplicate address detection, which
/// would run in the background and let a first connection fail now and then.
pub(crate) async fn an_ipv6_address_can_be_used_at_once(_lab: &Lab) -> Result<()> {
    for round in 0..20 {
        let _tun = interface("millsix", "fd77::1/64").build()?;
        let socket = UdpSocket::bind("[::]:0")?;
        socket
            .connect("[fd77::2]:9")
            .with_context(|| format!("round {round}"))?;
        let address = socket.local_addr()?;
        ensure!(address.ip().to_string() == "fd77::1", "{address}");
        let table = std::fs::read_to_string("/proc/net/if_inet6")?;
        let row = table.lines().find(|row| row.starts_with("fd77"));
        let flags = row.and_then(|row| row.split_whitespace().nth(4));
        let flags = u8::from_str_radix(flags.context("the address")?, 16)?;
        ensure!(flags & IFA_F_NODAD != 0, "flags {flags:#x}");
    }
    Ok(())
}

/// A busy runtime polls its descriptors only now and then; a packet that has already arrived must
/// be readable at once.
pub(crate) async fn an_arrived_packet_can_be_read_at_once(_lab: &Lab) -> Result<()> {
    let interface = || Tun::builder().up();
    let plain = interface()
        .name("millplain")
        .address("10.78.0.1/24")
        .offload(false)
        .build()?;
    arrives(&plain, "10.78.0.2:9").context("plain")?;
    let offload = interface()
        .name("milloffload")
        .address("10.79.0.1/24")
        .build()?;
    arrives(&offload, "10.79.0.2:9").context("with offloads")
}

/// Sends a datagram and reads it, without giving up control.
fn arrives(device: &impl Device, to: &str) -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    let text = b"are you there?";
    socket.send_to(text, to)?;
    let mut frame = vec![0; device.capabilities().max_frame()];
    // The kernel also sends packets of its own to a new interface.
    for _ in 0..100 {
        let len = device.try_recv(&mut frame)?;
        if frame[..len].ends_with(text) {
            return Ok(());
        }
    }
    ensure!(false, "something else arrives all the time");
    Ok(())
}

/// All tasks that wait on an idle stack are told of the deletion of its interface, which causes no
/// readable event.
pub(crate) async fn its_deletion_is_reported_to_all_waiting_tasks(_lab: &Lab) -> Result<()> {
    for round in 0..6 {
        let plain = interface("millgone", "10.80.0.1/24")
            .offload(false)
            .build()?;
        hears(plain, "millgone", "10.80.0.")
            .await
            .with_context(|| format!("plain {round}"))?;
        let offload = interface("millgone", "10.80.0.1/24").build()?;
        hears(offload, "millgone", "10.80.0.")
            .await
            .with_context(|| format!("offload {round}"))?;
    }
    Ok(())
}

fn interface(name: &str, address: &str) -> TunBuilder {
    Tun::builder().name(name).address(address).up()
}

async fn hears(device: impl Device, name: &str, network: &str) -> Result<()> {
    let address = |host: u8, port: u16| format!("{network}{host}:{port}").parse::<SocketAddr>();
    let stack = Stack::builder()
        .device(device)
        .address(format!("{network}2/24").as_str())
        .build()?;
    let listener = stack.listen(address(2, 7)?).await?;
    let any = stack.listen_any()?;
    let (to_read, to_write) = (
        connected(&stack, address(1, 0)?).await?,
        connected(&stack, address(1, 0)?).await?,
    );
    let peers = [to_read.1, to_write.1];
    let (mut to_read, mut to_write) = (to_read.0, to_write.0);

    let mut waiting = JoinSet::new();
    waiting.spawn(async move { ("accept", listener.accept().await.map(drop)) });
    waiting.spawn(async move { ("an attempt", any.accept().await.map(drop)) });
    waiting.spawn(async move { ("read", to_read.read(&mut [0; 1]).await.map(drop)) });
    waiting.spawn(async move {
        loop {
            if let Err(error) = to_write.write_all(&[0; 65_536]).await {
                return ("write", Err(error));
            }
        }
    });
    let (connecting, nobody) = (stack.clone(), address(99, 7)?);
    waiting.spawn(async move { ("connect", connecting.connect(nobody).await.map(drop)) });
    // Until no counter changes any more.
    let mut before = None;
    while before != Some(stack.counters().packets_sent) {
        before = Some(stack.counters().packets_sent);
        sleep(Duration::from_millis(50)).await;
    }
    Netlink::open()?.link(name).await?.delete().await?;
    let told = async {
        while let Some(ended) = waiting.join_next().await {
            let (what, result) = ended?;
            let error = result
                .err()
                .with_context(|| format!("{what} has succeeded"))?;
            ensure!(
                error.kind() == io::ErrorKind::NetworkDown,
                "{what}: {error}"
            );
        }
        anyhow::Ok(())
    };
    timeout(AT_ONCE, told)
        .await
        .context("not all tasks were told")??;
    ensure!(stack.sockets().is_empty(), "left: {:?}", stack.sockets());
    drop(peers);
    Ok(())
}

/// A stream of the stack, and the kernel's end, which is not read.
async fn connected(
    stack: &Stack,
    address: SocketAddr,
) -> Result<(TcpStream, tokio::net::TcpStream)> {
    let listener = kernel::listen(address)?;
    let (here, there) = tokio::join!(stack.connect(listener.local_addr()?), listener.accept());
    Ok((here?, there?.0))
}

/// The interface's MTU is raised while a bulk reader reads directly from the device: a packet
/// longer than the stack's MTU is dropped and counted, without further effect.
pub(crate) async fn packets_above_a_raised_mtu_are_dropped(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    let netlink = Netlink::open()?;
    netlink.link(&net.interface()).await?.set_mtu(9000).await?;
    let listener = net.stack.listen(net.stack(Family::V4, 7)).await?;
    let (connected, accepted) =
        tokio::join!(kernel::connect(net.stack(Family::V4, 7)), listener.accept());
    let (mut there, (mut here, _)) = (connected?, accepted?);
    let socket = UdpSocket::bind(net.kernel(Family::V4, 0))?;
    let data = vec![7; 256 << 10];
    let mut buf = vec![0; 200_000];
    let before = net.stack.counters().dropped(DropReason::MalformedIp);
    let mut sent = 0;
    for len in (1400..8900).step_by(500) {
        let (written, read) = tokio::join!(there.write_all(&data), async {
            let mut left = data.len();
            while left > 0 {
                left -= match here.read(&mut buf).await? {
                    0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                    len => len,
                };
            }
            Ok(())
        });
        written?;
        read?;
        let datagrams = async {
            for _ in 0..2 {
                socket.send_to(&vec![7; len], net.stack(Family::V4, 9))?;
                sent += u64::from(len + 28 > 1500);
            }
            while net.stack.counters().dropped(DropReason::MalformedIp) < before + sent {
                sleep(Duration::from_millis(1)).await;
            }
            anyhow::Ok(())
        };
        tokio::select! {
            biased;
            _ = here.read(&mut buf) => ensure!(false, "nothing was written"),
            done = datagrams => done?,
        }
    }
    Ok(())
}
