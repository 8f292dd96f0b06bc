//! One end of the link: a kernel in a network namespace of its own, or a millstream stack.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use millstream::EcnMode;
use millstream::device::Tun;
use millstream_testbed::kernel;
use nix::sched::{CloneFlags, unshare};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::device::Wire;
use super::look::{Look, Witness};
use crate::service::{Accept, READ, Stream};

const PORT: u16 = 9001;

/// The prefix length of the network.
const PREFIX: u8 = 24;

/// The time after which a flow is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// The interval between samples of a flow.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The stack of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The kernel's stack.
    Kernel,
    /// A millstream stack.
    Millstream,
}

/// A command to a thread with a stack.
enum Order {
    /// Accept this many flows, and report when the listener is ready.
    Serve(usize, Sender<Result<()>>),
    /// Send a flow of this many bytes, and report the result.
    Send(IpAddr, usize, Sender<Result<Flow>>),
}

/// A flow that was sent.
#[derive(Debug)]
pub(super) struct Flow {
    /// The time from the SYN to the reply.
    pub(super) time: Duration,
    /// Samples during the flow; the last one is taken at its end.
    pub(super) looks: Vec<Look>,
}

impl Flow {
    /// The sample at the end.
    pub(super) fn last(&self) -> Look {
        *self.looks.last().expect("the last look ends every flow")
    }

    pub(super) fn milliseconds(&self) -> f64 {
        self.time.as_secs_f64() * 1e3
    }
}

/// A thread with a stack. The thread ends when this is dropped.
pub(super) struct End {
    orders: UnboundedSender<Order>,
}

impl End {
    /// Starts a stack with this address; also returns the descriptor for its packets.
    pub(super) fn start(kind: Kind, address: IpAddr) -> Result<(Self, OwnedFd)> {
        let (orders, todo) = unbounded_channel();
        let (ready, made) = mpsc::channel();
        thread::spawn(move || live(kind, address, todo, &ready));
        let fd = made.recv().context("the thread is gone")??;
        Ok((Self { orders }, fd))
    }

    /// Accepts `flows` flows; each is read to its end and answered with a byte. Returns when the
    /// listener is ready.
    pub(super) fn serve(&self, flows: usize) -> Result<()> {
        let (ready, listens) = mpsc::channel();
        let _ = self.orders.send(Order::Serve(flows, ready));
        listens.recv().context("the thread is gone")?
    }

    /// Sends `length` bytes.
    pub(super) fn send(&self, peer: IpAddr, length: usize) -> Result<Flow> {
        self.begin(peer, length)
            .recv()
            .context("the thread is gone")?
    }

    /// Begins to send `length` bytes; the result can be received at the end.
    pub(super) fn begin(&self, peer: IpAddr, length: usize) -> Receiver<Result<Flow>> {
        let (done, flow) = mpsc::channel();
        let _ = self.orders.send(Order::Send(peer, length, done));
        flow
    }
}

fn live(
    kind: Kind,
    address: IpAddr,
    mut todo: UnboundedReceiver<Order>,
    ready: &Sender<Result<OwnedFd>>,
) -> io::Result<()> {
    if kind == Kind::Kernel {
        unshare(CloneFlags::CLONE_NEWNET)?;
        // A kernel requests ECN only with this setting.
        std::fs::write("/proc/sys/net/ipv4/tcp_ecn", "1")?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let stack = match Stack::new(kind, address) {
            Ok((stack, fd)) => {
                let _ = ready.send(Ok(fd));
                stack
            }
            Err(error) => {
                let _ = ready.send(Err(error));
                return;
            }
        };
        while let Some(order) = todo.recv().await {
            stack.carry_out(address, order).await;
        }
    });
    Ok(())
}

/// The stack of an end.
enum Stack {
    /// The interface to the kernel.
    Kernel(#[expect(dead_code, reason = "keeps the interface alive")] Tun),
    Millstream(millstream::Stack),
}

impl Stack {
    fn new(kind: Kind, address: IpAddr) -> Result<(Self, OwnedFd)> {
        match kind {
            Kind::Kernel => {
                let interface = Tun::builder().name("sim0").up();
                let interface = interface.address(format!("{address}/{PREFIX}"));
                let tun = interface.offload(false).build()?;
                let fd = tun.as_fd().try_clone_to_owned()?;
                Ok((Self::Kernel(tun), fd))
            }
            Kind::Millstream => {
                let (device, fd) = Wire::pair()?;
                let builder = millstream::Stack::builder()
                    .device(device)
                    .config(|config| config.socket.ecn = EcnMode::Active);
                let stack = builder.address(format!("{address}/{PREFIX}")).build()?;
                Ok((Self::Millstream(stack), fd))
            }
        }
    }

    async fn carry_out(&self, address: IpAddr, order: Order) {
        match (self, order) {
            (Self::Kernel(_), Order::Serve(flows, ready)) => {
                let listener = kernel::listen((address, PORT).into());
                serve(listener, flows, &ready).await;
            }
            (Self::Millstream(stack), Order::Serve(flows, ready)) => {
                serve(stack.listen((address, PORT)).await, flows, &ready).await;
            }
            (_, Order::Send(peer, length, done)) => {
                let sent = timeout(PATIENCE, self.send((peer, PORT).into(), length)).await;
                let _ = done.send(sent.context("the time limit has passed").flatten());
            }
        }
    }

    async fn send(&self, peer: SocketAddr, length: usize) -> Result<Flow> {
        let began = Instant::now();
        let looks = match self {
            Self::Kernel(_) => flow(kernel::connect(peer).await?, length, began).await?,
            Self::Millstream(stack) => flow(stack.connect(peer).await?, length, began).await?,
        };
        Ok(Flow {
            time: began.elapsed(),
            looks,
        })
    }
}

/// Sends `length` bytes and waits for the reply.
async fn flow(
    mut stream: impl Stream + Witness,
    length: usize,
    began: Instant,
) -> Result<Vec<Look>> {
    let data = vec![0x5A; length.min(READ)];
    let mut looks = Vec::new();
    let mut tick = interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut left = length;
    while left > 0 {
        let part = left.min(data.len());
        tokio::select! {
            written = stream.write(&data[..part]) => left -= written?,
            _ = tick.tick() => looks.push(stream.look(began)?),
        }
    }
    stream.shutdown().await?;
    loop {
        tokio::select! {
            answer = stream.read_u8() => {
                answer.context("no answer")?;
                break;
            }
            _ = tick.tick() => looks.push(stream.look(began)?),
        }
    }
    looks.push(stream.look(began)?);
    Ok(looks)
}

async fn serve(listener: io::Result<impl Accept>, flows: usize, ready: &Sender<Result<()>>) {
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => {
            let _ = ready.send(Err(error.into()));
            return;
        }
    };
    let _ = ready.send(Ok(()));
    for _ in 0..flows {
        // The sender reports a failed flow.
        if let Ok(mut stream) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = vec![0; READ];
                while stream.read(&mut buffer).await.is_ok_and(|len| len > 0) {}
                let _ = stream.write_u8(1).await;
                let _ = stream.shutdown().await;
            });
        }
    }
}
