//! smoltcp as the peer, in a loop on a thread of its own.

use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result, anyhow, ensure};
use millstream_testbed::pattern;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, Medium, TunTapInterface};
use smoltcp::socket::tcp::{Socket, SocketBuffer};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use tokio::sync::oneshot;

use crate::closing::Turn;
use crate::peer::{PREFIX, Peer, Role, Sending, Task};

/// The size of each socket buffer in bytes: a few segments, because a second loss in a window costs
/// smoltcp a timeout.
const BUFFER: usize = 24 * 1024;
/// Bytes of the pattern moved in one step.
const CHUNK: usize = 16 * 1024;
/// The local port of a connecting socket.
const CLIENT_PORT: u16 = 50_000;
/// The time for which the loop waits for a packet before it checks whether to stop.
const GLANCE: Duration = Duration::from_millis(20);

/// Starts smoltcp on the interface with this name.
///
/// # Errors
/// If the interface cannot be opened or the thread cannot be created.
pub(crate) fn start(interface: &str, task: Task) -> Result<Peer> {
    let (done, outcome) = oneshot::channel();
    let (made, ready) = mpsc::channel();
    let stop = Arc::new(AtomicBool::new(false));
    let thread = thread::Builder::new().name("smoltcp".into()).spawn({
        let (stop, interface) = (stop.clone(), interface.to_owned());
        // The device is not `Send`, so it is created on its thread.
        move || match Host::new(&interface, task) {
            Ok(host) => {
                // `start` waits for the result.
                let _ = made.send(Ok(()));
                host.run(&stop, done);
            }
            Err(error) => {
                let _ = made.send(Err(error));
            }
        }
    })?;
    ready.recv().context("the thread ended")??;
    let running = Running {
        stop,
        thread: Some(thread),
    };
    Ok(Peer::new(outcome, running))
}

/// The thread. It ends when this is dropped.
struct Running {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // After a panic in the thread its sender is dropped, which fails the case.
            let _ = thread.join();
        }
    }
}

/// The interface, the socket, and the progress of the task.
struct Host {
    device: TunTapInterface,
    interface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    progress: Progress,
}

impl Host {
    fn new(name: &str, task: Task) -> Result<Self> {
        let mut device = TunTapInterface::new(name, Medium::Ip).context("TUN interface")?;
        let config = Config::new(HardwareAddress::Ip);
        let mut interface = Interface::new(config, &mut device, Instant::now());
        let mut room = true;
        interface.update_ip_addrs(|addresses| {
            let address = IpCidr::new(IpAddress::Ipv4(task.address), PREFIX);
            room = addresses.push(address).is_ok();
        });
        ensure!(room, "no room for an address");
        let mut sockets = SocketSet::new(Vec::new());
        let socket = open(&mut interface, task)?;
        Ok(Self {
            device,
            interface,
            handle: sockets.add(socket),
            sockets,
            progress: Progress::new(task),
        })
    }

    /// Runs the task, reports its result, and processes packets until it is told to stop.
    fn run(mut self, stop: &AtomicBool, done: oneshot::Sender<Result<()>>) {
        let mut done = Some(done);
        while !stop.load(Ordering::Relaxed) {
            let outcome = self.step();
            if let Some(outcome) = outcome.transpose()
                && let Some(done) = done.take()
            {
                // After the end of the case there is no receiver.
                let _ = done.send(outcome);
            }
        }
    }

    /// One iteration of the loop; `Some` when the task is done.
    fn step(&mut self) -> Result<Option<()>> {
        let now = Instant::now();
        self.interface
            .poll(now, &mut self.device, &mut self.sockets);
        let socket = self.sockets.get_mut::<Socket<'_>>(self.handle);
        let busy = self.progress.advance(socket)?;
        if !busy {
            let delay = self.interface.poll_delay(now, &self.sockets);
            let delay = delay.map_or(GLANCE, |delay| delay.min(GLANCE));
            phy::wait(self.device.as_raw_fd(), Some(delay))?;
        }
        Ok(self.progress.is_done().then_some(()))
    }
}

fn open(interface: &mut Interface, task: Task) -> Result<Socket<'static>> {
    let buffer = || SocketBuffer::new(vec![0; BUFFER]);
    let mut socket = Socket::new(buffer(), buffer());
    match task.role {
        Role::Serves(port) => socket
            .listen(port)
            .map_err(|error| anyhow!("listening: {error:?}"))?,
        Role::Connects(server) => {
            let remote = (IpAddress::Ipv4(*server.ip()), server.port());
            socket
                .connect(interface.context(), remote, CLIENT_PORT)
                .map_err(|error| anyhow!("connecting: {error:?}"))?;
        }
    }
    Ok(socket)
}

/// The progress of the pattern in both directions.
struct Progress {
    task: Task,
    sent: u64,
    received: u64,
    /// Whether the peer has closed its direction.
    ended: bool,
    /// Whether the socket has closed its direction.
    closed: bool,
}

impl Progress {
    fn new(task: Task) -> Self {
        Self {
            task,
            sent: 0,
            received: 0,
            ended: false,
            closed: false,
        }
    }

    /// Moves as much data as possible; returns whether any was moved.
    fn advance(&mut self, socket: &mut Socket<'_>) -> Result<bool> {
        let mut busy = self.receive(socket)?;
        busy |= self.send(socket)?;
        let turn = self.task.turn == Turn::First || self.ended;
        if self.sent == self.task.bytes && turn && !self.closed {
            socket.close();
            self.closed = true;
            busy = true;
        }
        Ok(busy)
    }

    fn receive(&mut self, socket: &mut Socket<'_>) -> Result<bool> {
        let mut busy = false;
        while socket.can_recv() {
            let offset = self.received;
            let (length, right) = socket.recv(|data| {
                let checked = pattern::check(offset, data);
                (data.len(), (data.len(), checked))
            })?;
            right?;
            self.received += length as u64;
            busy = true;
        }
        // The connection was open, and the peer's FIN has arrived.
        if !self.ended && self.received > 0 && !socket.may_recv() {
            let (received, expected) = (self.received, self.task.bytes);
            ensure!(received == expected, "{received} of {expected} bytes came");
            self.ended = true;
            busy = true;
        }
        Ok(busy)
    }

    fn send(&mut self, socket: &mut Socket<'_>) -> Result<bool> {
        let left = (self.task.bytes - self.sent).min(CHUNK as u64) as usize;
        let waits = self.task.sending == Sending::AfterReceiving && self.received < self.task.bytes;
        if left == 0 || waits || !socket.can_send() {
            return Ok(false);
        }
        let room = left.min(socket.send_capacity() - socket.send_queue());
        let sent = socket.send_slice(&pattern::bytes(self.sent, room))?;
        self.sent += sent as u64;
        Ok(sent > 0)
    }

    fn is_done(&self) -> bool {
        self.closed && self.ended
    }
}
