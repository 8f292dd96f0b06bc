//! tcp_ip, on the test's own runtime.

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
/// The port that it connects from.
const CLIENT_PORT: u16 = 50_000;

/// Starts it behind the interface of that name.
///
/// # Errors
/// When the interface or the stack cannot be made.
pub(crate) fn start(interface: &str, task: Task) -> Result<Peer> {
    let tun = Tun::builder()
        .name(interface)
        .build()?
        .pop()
        .context("a TUN interface has a queue")?;
    // It takes a checksum of 0xFFFF for a wrong one, and connections stall; the pattern is checked.
    let config = IpStackConfig::builder()
        .mtu(MTU)
        .validate_checksums(false)
        .build();
    let (stack, to_stack, from_stack) = ip_stack(config)?;
    let (done, outcome) = oneshot::channel();
    let mut running = JoinSet::new();
    running.spawn(async move {
        let ended = tokio::select! {
            // It listens before it sees a packet.
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

/// Does the task, tells how it went, and stays.
async fn work(stack: IpStack, task: Task, done: oneshot::Sender<Result<()>>) -> Result<()> {
    // Once the case is over nobody wants to know.
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

/// Gives the stack what comes from the interface.
async fn inward(tun: &Tun, to_stack: IpStackSend) -> Result<()> {
    let mut packet = [0; MTU as usize];
    loop {
        let length = tun.recv(&mut packet).await?;
        // What it refuses is lost, as packets may be.
        let _ = to_stack.send_ip_packet(&packet[..length]).await;
    }
}

/// Gives the interface what comes from the stack.
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
