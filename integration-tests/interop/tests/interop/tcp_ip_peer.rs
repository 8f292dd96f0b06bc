//! tcp_ip as the peer, on the test's own runtime.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use tcp_ip::tcp::{TcpListener, TcpStream};
use tcp_ip::{IpStack, IpStackConfig, IpStackRecv, IpStackSend, ip_stack};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_tun::Tun;

use crate::closing::exchange;
use crate::peer::{MTU, Peer, Role, Task};

/// Packets taken from the stack at a time.
const BATCH: usize = 64;
/// The local port of a connecting socket.
const CLIENT_PORT: u16 = 50_000;

/// Starts tcp_ip on the interface with this name.
///
/// # Errors
/// If the interface or the stack cannot be created.
pub(crate) fn start(interface: &str, task: Task) -> Result<Peer> {
    let tun = Tun::builder()
        .name(interface)
        .build()?
        .pop()
        .context("a TUN interface has a queue")?;
    // With validation it rejects a checksum of 0xFFFF, and connections stall; the pattern detects
    // errors.
    let config = IpStackConfig::builder()
        .mtu(MTU)
        .validate_checksums(false)
        .build();
    let (stack, to_stack, from_stack) = ip_stack(config)?;
    let (done, outcome) = oneshot::channel();
    let mut running = JoinSet::new();
    running.spawn(async move {
        let ended = tokio::select! {
            // It must listen before it receives a packet.
            biased;
            ended = work(stack, task, done) => ended,
            ended = inward(&tun, to_stack) => ended,
            ended = outward(&tun, from_stack) => ended,
        };
        if let Err(error) = ended {
            eprintln!("tcp_ip ended: {error:#}");
        }
    });
    Ok(Peer::new(outcome, running))
}

/// Runs the task, reports its result, and never returns.
async fn work(stack: IpStack, task: Task, done: oneshot::Sender<Result<()>>) -> Result<()> {
    // After the end of the case there is no receiver.
    let _ = done.send(transfer(stack, task).await);
    std::future::pending().await
}

async fn transfer(stack: IpStack, task: Task) -> Result<()> {
    let stream = match task.role {
        Role::Serves(port) => {
            let mut listener =
                TcpListener::bind(stack, SocketAddr::from((task.address, port))).await?;
            listener.accept().await?.0
        }
        Role::Connects(server) => {
            let local = SocketAddr::from((task.address, CLIENT_PORT));
            TcpStream::bind(stack, local)?
                .connect_to(SocketAddr::V4(server))
                .await?
        }
    };
    exchange(stream, task.bytes, task.turn, task.sending).await
}

/// Passes packets from the interface to the stack.
async fn inward(tun: &Tun, to_stack: IpStackSend) -> Result<()> {
    let mut packet = [0; MTU as usize];
    loop {
        let length = tun.recv(&mut packet).await?;
        // A refused packet counts as lost.
        let _ = to_stack.send_ip_packet(&packet[..length]).await;
    }
}

/// Passes packets from the stack to the interface.
async fn outward(tun: &Tun, mut from_stack: IpStackRecv) -> Result<()> {
    let mut packets = vec![vec![0; MTU.into()]; BATCH];
    let mut sizes = [0; BATCH];
    loop {
        let count = from_stack.recv_ip_packet(&mut packets, &mut sizes).await?;
        for (packet, size) in packets.iter().zip(sizes).take(count) {
            tun.send(&packet[..size]).await?;
        }
    }
}
