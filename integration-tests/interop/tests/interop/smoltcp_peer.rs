//! smoltcp, in a loop and on a thread of its own.

use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result, anyhow, ensure};
use millstream_integration_tests::pattern;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, Medium, TunTapInterface};
use smoltcp::socket::tcp::{Socket, SocketBuffer};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use tokio::sync::oneshot;

use crate::closing::Turn;
use crate::peer::{PREFIX, Peer, Role, Sending, Task};

/// Bytes of each buffer of the socket: a few segments, because a second loss in a window costs it a timeout.
const BUFFER: usize = 24 * 1024;
/// Bytes of the pattern moved by one step.
const CHUNK: usize = 16 * 1024;
/// The port that it connects from.
const CLIENT_PORT: u16 = 50_000;
/// How long the loop waits for a packet before it looks whether it should end.
const GLANCE: Duration = Duration::from_millis(20);

/// Starts it behind the interface of that name.
///
/// # Errors
/// When the interface cannot be opened or the thread not be made.
pub(crate) fn start(interface: &str, task: Task) -> Result<Peer> {
    let (done, outcome) = oneshot::channel();
    let (made, ready) = mpsc::channel();
    let stop = Arc::new(AtomicBool::new(false));
    let thread = thread::Builder::new().name("smoltcp".into()).spawn({
        let (stop, interface) = (stop.clone(), interface.to_owned());
        // The device must stay on the thread that made it.
        move || match Host::new(&interface, task) {
            Ok(host) => {
                // `start` waits for it.
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

/// The thread. Ends when this is dropped.
struct Running {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has dropped its sender: the case knows.
            let _ = thread.join();
        }
    }
}

/// Interface, socket, and how far its task is.
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

    /// Does the task, tells how it went, and answers packets until it is told to stop.
    fn run(mut self, stop: &AtomicBool, done: oneshot::Sender<Result<()>>) {
        let mut done = Some(done);
        while !stop.load(Ordering::Relaxed) {
            let outcome = self.step();
            if let Some(outcome) = outcome.transpose()
                && let Some(done) = done.take()
            {
                // Once the case is over nobody wants to know.
                let _ = done.send(outcome);
            }
        }
    }

    /// One turn of the loop; `Some` once everything is done.
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

/// How much of the pattern went out and came in.
struct Progress {
    task: Task,
    sent: u64,
    received: u64,
    /// The other side's half has ended.
    ended: bool,
    /// Our half has.
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

    /// Moves what can be moved; whether there was anything.
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
        // It was open, and the peer's FIN is in.
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
