//! lwIP as the peer: a thread of its own for its timers, and two more that read and write its
//! blocking socket.
//!
//! If two packets of a window are lost, lwIP retransmits the second only after one and a half
//! seconds: an acknowledgment of the first ends its recovery, and it does not support SACK. The
//! cases with loss mostly wait for that.

use std::io;
use std::net::SocketAddrV4;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::io::{DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, spawn_blocking};
use tokio_tun::Tun;
use tokio_util::io::SyncIoBridge;

use crate::closing::exchange;
use crate::lwip_ffi::{Interface, Socket};
use crate::peer::{MTU, PREFIX, Peer, Role, Task};

/// The capacity in bytes of the pipe between the task and the socket, in each direction.
const BUFFER: usize = 64 * 1024;

/// Starts lwIP on the interface with this name.
///
/// # Errors
/// If the interface cannot be opened or lwIP does not listen.
pub(crate) fn start(interface: &str, task: Task) -> Result<Peer> {
    let tun = Tun::builder()
        .name(interface)
        .build()?
        .pop()
        .context("a TUN interface has a queue")?;
    let interface = Interface::attach(tun, task.address, PREFIX, MTU)?;
    let opening = Opening::new(task)?;
    let (done, outcome) = oneshot::channel();
    let mut running = JoinSet::new();
    running.spawn(async move {
        let error = inward(&interface).await;
        eprintln!("lwIP's interface: {error}");
    });
    running.spawn(async move {
        // After the end of the case there is no receiver.
        let _ = done.send(transfer(opening, task).await);
    });
    Ok(Peer::new(outcome, running))
}

/// Passes packets from the interface to lwIP, until reading fails.
async fn inward(interface: &Interface<Tun>) -> io::Error {
    let mut packet = [0; MTU as usize];
    loop {
        match interface.tun().recv(&mut packet).await {
            Ok(length) => interface.input(&packet[..length]),
            Err(error) => return error,
        }
    }
}

/// The opening of a connection.
enum Opening {
    /// Accepted by this listener.
    Accept(Socket),
    /// Connected to this address.
    Connect(SocketAddrV4),
}

impl Opening {
    fn new(task: Task) -> Result<Self> {
        Ok(match task.role {
            Role::Serves(port) => {
                let address = SocketAddrV4::new(task.address, port);
                Self::Accept(Socket::listen(address).context("listening")?)
            }
            Role::Connects(server) => Self::Connect(server),
        })
    }

    /// Waits for the connection.
    fn open(self) -> Result<Socket> {
        match self {
            Self::Accept(listener) => listener.accept().context("accepting"),
            Self::Connect(server) => Socket::connect(server).context("connecting"),
        }
    }
}

async fn transfer(opening: Opening, task: Task) -> Result<()> {
    let socket = Arc::new(spawn_blocking(|| opening.open()).await??);
    let (stream, pumped) = tokio::io::duplex(BUFFER);
    let (reader, writer) = tokio::io::split(pumped);
    let sends = spawn_blocking({
        let socket = socket.clone();
        move || send(&socket, reader)
    });
    let receives = spawn_blocking(move || receive(&socket, writer));
    let pumps = async {
        sends.await?.context("sending")?;
        receives.await?.context("receiving")
    };
    tokio::try_join!(exchange(stream, task.bytes, task.turn, task.sending), pumps)?;
    Ok(())
}

/// Sends the task's data, and closes when the task does.
fn send(mut socket: &Socket, reader: ReadHalf<DuplexStream>) -> io::Result<()> {
    io::copy(&mut SyncIoBridge::new(reader), &mut socket)?;
    socket.shut_down()
}

/// Passes received data, and the end of the stream, to the task.
fn receive(mut socket: &Socket, writer: WriteHalf<DuplexStream>) -> io::Result<()> {
    let mut writer = SyncIoBridge::new(writer);
    io::copy(&mut socket, &mut writer)?;
    writer.shutdown()
}
