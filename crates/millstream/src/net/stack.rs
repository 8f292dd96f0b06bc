//! The handle of a stack and its builder.

use std::fmt;
use std::io;
use std::iter::zip;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use millstream_engine::{
    Cidr, Config, Counters, Offload, Pressure, QueueLen, Route, Share, SocketSummary,
    Stack as Engine, State, Transition, UdpOptions,
};
use tokio::net::{ToSocketAddrs, lookup_host};

use crate::cidr::{IntoCidr, ParseCidrError};
use crate::device::{Capabilities, Device};
use crate::error::BuildError;
use crate::io::receive;
use crate::net::any_listener::AnyListener;
use crate::net::group::Handle;
use crate::net::listener::TcpListener;
use crate::net::socket::TcpSocket;
use crate::net::stream::TcpStream;
use crate::net::udp::UdpSocket;
use crate::shard::Shard;
use crate::shard::clock::Clock;
use crate::shard::driver::Driver;
use crate::sync::{self, Mutex, PoisonError};

/// A TCP/IP stack: addresses, connections and timers, over one [`Device`] or several queues of one.
///
/// This is a handle; clones refer to the same stack. A task of the tokio runtime in which the stack
/// was built drives it. The stack's listeners, sockets and streams keep it alive as a handle does.
/// When the last of all these is dropped, the task continues until the dropped connections have
/// closed in good order: all written bytes are delivered and FINs are exchanged, within the time
/// limits of [`SocketOptions`](crate::SocketOptions) and [`Config::fin_timeout`]. It does not wait
/// for TIME-WAIT. Then the task ends and the device is dropped. [`shutdown`](Self::shutdown) does
/// not wait for any of this.
#[derive(Clone)]
pub struct Stack {
    pub(crate) handle: Arc<Handle>,
}

impl Stack {
    /// Starts the description of a stack.
    pub fn builder() -> StackBuilder {
        StackBuilder::default()
    }

    /// Listens for connections, as [`TcpListener::bind`] does on the current stack: with address
    /// reuse on and a backlog of 1024.
    ///
    /// # Errors
    /// As [`TcpListener::bind`].
    pub async fn listen(&self, addr: impl ToSocketAddrs) -> io::Result<TcpListener> {
        let mut last = None;
        for addr in lookup_host(addr).await? {
            match self.listen_on(addr) {
                Ok(listener) => return Ok(listener),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(no_address))
    }

    /// Listens on every address and port that has no listener, including addresses that are not the
    /// stack's. A gateway, to which all packets are routed, uses this. The listener receives each
    /// attempt to connect with its destination address; the attempt waits until it is accepted or
    /// rejected.
    ///
    /// The backlog is 1024; [`TcpSocket::listen_any`] allows other settings.
    ///
    /// This concerns only TCP: a UDP datagram to an address that is not the stack's is dropped and
    /// counted as [`NotForUs`](crate::DropReason::NotForUs), and so is a ping. A gateway that must
    /// carry these takes their packets from the device before the stack does.
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse): such a listener exists.
    /// [`NetworkDown`](io::ErrorKind::NetworkDown): the stack has ended.
    pub fn listen_any(&self) -> io::Result<AnyListener> {
        self.socket_v4().listen_any(1024)
    }

    /// Opens a connection, as [`TcpStream::connect`] does on the current stack.
    ///
    /// # Errors
    /// As [`TcpStream::connect`].
    ///
    /// # Cancel safety
    /// Dropping the future abandons the attempt.
    pub async fn connect(&self, addr: impl ToSocketAddrs) -> io::Result<TcpStream> {
        let mut last = None;
        for addr in lookup_host(addr).await? {
            // The socket, which is large, is no part of the future.
            let result = match self.socket_for(addr).begin_to_connect(addr) {
                Ok(stream) => stream.connected().await.map(|()| stream),
                Err(error) => Err(error),
            };
            match result {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(no_address))
    }

    /// Binds a UDP socket, as [`UdpSocket::bind`] does on the current stack.
    ///
    /// # Errors
    /// As [`UdpSocket::bind`].
    pub async fn bind_udp(&self, addr: impl ToSocketAddrs) -> io::Result<UdpSocket> {
        let mut last = None;
        for addr in lookup_host(addr).await? {
            match self.bind_udp_with(addr, UdpOptions::default()) {
                Ok(socket) => return Ok(socket),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(no_address))
    }

    /// Binds a UDP socket with options that count when it is bound, such as
    /// [`reuse_addr`](field@UdpOptions::reuse_addr), or that are to hold from the first datagram
    /// on.
    ///
    /// # Errors
    /// As [`UdpSocket::bind`]; [`InvalidInput`](io::ErrorKind::InvalidInput) for an option with an
    /// invalid value.
    pub fn bind_udp_with(&self, addr: SocketAddr, options: UdpOptions) -> io::Result<UdpSocket> {
        UdpSocket::bind_on(&self.handle, addr, options)
    }

    /// A socket for IPv4 on this stack, to be configured before it listens or connects.
    #[must_use]
    pub fn socket_v4(&self) -> TcpSocket {
        TcpSocket::on(self, false)
    }

    /// A socket for IPv6 on this stack, to be configured before it listens or connects.
    #[must_use]
    pub fn socket_v6(&self) -> TcpSocket {
        TcpSocket::on(self, true)
    }

    fn listen_on(&self, addr: SocketAddr) -> io::Result<TcpListener> {
        let socket = self.socket_for(addr);
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        socket.listen(1024)
    }

    fn socket_for(&self, addr: SocketAddr) -> TcpSocket {
        TcpSocket::on(self, addr.is_ipv6())
    }

    /// The counters of the stack since it was built.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        for shard in self.handle.shards() {
            shard.inspect(|core| sum += core.engine.counters());
        }
        sum
    }

    /// How short memory is: see [`Config::memory`].
    #[must_use]
    pub fn memory_pressure(&self) -> Pressure {
        let mut most = Pressure::None;
        for shard in self.handle.shards() {
            shard.inspect(|core| most = most.max(core.engine.memory_pressure()));
        }
        most
    }

    /// All sockets of the stack, including half-open connections and those in TIME-WAIT, as `ss -a`
    /// lists them. The call takes time proportional to their number. Meanwhile the stack stands
    /// still; if it has several devices, only one shard at a time does.
    #[must_use]
    pub fn sockets(&self) -> Vec<SocketSummary> {
        let mut sockets = Vec::new();
        for (index, shard) in self.handle.shards().iter().enumerate() {
            // Listeners exist in all shards.
            let counts = |socket: &SocketSummary| index == 0 || socket.state != State::Listen;
            shard.inspect(|core| sockets.extend(core.engine.sockets().filter(counts)));
        }
        sockets
    }

    /// Ends the stack: resets every connection, sends for at most a second, ends the task and drops
    /// the device. Afterwards everything that belongs to the stack fails with
    /// [`StackClosed`](crate::StackClosed).
    ///
    /// # Cancel safety
    /// The shutdown continues if the future is dropped.
    pub async fn shutdown(&self) {
        self.handle.shut_down();
        self.handle.ended().await;
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = self
            .handle
            .inspect(|core| core.engine.config().addresses.clone());
        f.debug_struct("Stack")
            .field("addresses", &addresses)
            .finish_non_exhaustive()
    }
}

type Configure = Box<dyn FnOnce(&mut Config) + Send>;
type Observer = Box<dyn FnMut(&Transition) + Send>;

/// Describes a [`Stack`]: at least a device and an address.
#[derive(Default)]
#[must_use]
pub struct StackBuilder {
    devices: Vec<Arc<dyn Device>>,
    addresses: Vec<Result<Cidr, ParseCidrError>>,
    routes: Vec<Result<Cidr, ParseCidrError>>,
    configure: Vec<Configure>,
    seed: Option<[u8; 32]>,
    observer: Option<Observer>,
}

impl StackBuilder {
    /// Sets the device that carries the stack's packets, with its MTU and offloads.
    pub fn device(self, device: impl Device) -> Self {
        self.devices([device])
    }

    /// Sets several devices of the same capabilities that carry the packets of one link: the queues
    /// of a TUN interface (see
    /// [`TunBuilder::build_queues`](crate::device::TunBuilder::build_queues)). Each has a task and
    /// a lock of its own, so that as many processors can work on different connections.
    ///
    /// A connection sends through one of the devices, chosen by a keyed hash of its addresses and
    /// ports; its packets may arrive at any. Each device has its own backlog of a listener and its
    /// own order in [`poll_accept`](TcpListener::poll_accept), and the ids in [`Transition`] and
    /// [`SocketSummary`] are unique among the connections of one device.
    pub fn devices<D: Device>(mut self, devices: impl IntoIterator<Item = D>) -> Self {
        let devices = devices.into_iter();
        self.devices = devices.map(|device| Arc::new(device) as _).collect();
        self
    }

    /// Adds an address of the stack, with the prefix length of its network: `"10.0.0.2/24"`.
    pub fn address(mut self, address: impl IntoCidr) -> Self {
        self.addresses.push(address.into_cidr());
        self
    }

    /// Adds a network that is reachable through the device: `"192.168.0.0/16"`. Without any route
    /// or [`peer`](Self::peer) every address is reachable; otherwise only the routes and the
    /// networks of the stack's own addresses are.
    pub fn route(mut self, network: impl IntoCidr) -> Self {
        self.routes.push(network.into_cidr());
        self
    }

    /// Adds the single host at the other end of a point-to-point link: a [`route`](Self::route) to
    /// that host alone.
    pub fn peer(self, peer: impl Into<IpAddr>) -> Self {
        self.route(peer.into())
    }

    /// Changes the configuration, after the settings of the device and of the other methods.
    pub fn config(mut self, change: impl FnOnce(&mut Config) + Send + 'static) -> Self {
        self.configure.push(Box::new(change));
        self
    }

    /// Sets the secret from which initial sequence numbers, ports and timestamps are derived
    /// (RFC 6528, RFC 6056). With the same seed, traffic and clock a stack behaves identically. The
    /// default comes from the operating system; a fixed seed is for tests.
    pub fn seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Calls `observer` at every change of a connection's state. The observer runs while the stack
    /// is locked: it must be quick, must not call into the stack, and must not hold a handle of it.
    /// An observer that panics is not called again.
    pub fn on_transition(mut self, observer: impl FnMut(&Transition) + Send + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Builds the stack and starts its driver task on the current runtime, whose time driver must
    /// be enabled.
    ///
    /// # Errors
    /// See [`BuildError`].
    ///
    /// # Panics
    /// If the runtime has no time driver (see `tokio::runtime::Builder::enable_time`).
    pub fn build(self) -> Result<Stack, BuildError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let capabilities = common_capabilities(&self.devices)?;
        let shares = u16::try_from(self.devices.len())
            .ok()
            .and_then(NonZeroU16::new)
            .ok_or(BuildError::TooManyDevices(self.devices.len()))?;

        let addresses: Vec<Cidr> = self.addresses.into_iter().collect::<Result<_, _>>()?;
        let networks: Vec<Cidr> = self.routes.into_iter().collect::<Result<_, _>>()?;
        let routes = networks.into_iter().map(Route::new).collect();
        let mut config = Config::default()
            .addresses(addresses)
            .routes(routes)
            .mtu(capabilities.mtu)
            .offload(offload(&capabilities))
            .receive_queue(receive_queue(&self.devices, &capabilities))
            .receive_block(receive::chunk_size(&capabilities));
        for change in self.configure {
            change(&mut config);
        }
        config.mtu = config.mtu.min(capabilities.mtu);
        validate(&config, &capabilities)?;
        if self.devices.len() > 1 {
            config.memory_pool.get_or_insert_default();
        }
        let seed = match self.seed {
            Some(seed) => seed,
            None => random_seed()?,
        };

        let clock = Clock::start();
        let observers = observers(self.observer.map(contained), self.devices.len());
        let shards: Arc<[Arc<Shard>]> = zip(Share::split(shares), observers)
            .zip(&self.devices)
            .map(|((share, observer), device)| {
                let mut engine = Engine::new(config_of(&config, share, shares), seed);
                engine.set_observer(observer);
                Arc::new(Shard::new(clock, engine, device))
            })
            .collect();
        for (index, device) in self.devices.into_iter().enumerate() {
            sync::spawn(&runtime, Driver::new(Arc::clone(&shards), index, device));
        }
        Ok(Stack {
            handle: Arc::new(Handle::new(shards)),
        })
    }
}

impl fmt::Debug for StackBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackBuilder")
            .field("addresses", &self.addresses)
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}

/// The capabilities that all devices share.
fn common_capabilities(devices: &[Arc<dyn Device>]) -> Result<Capabilities, BuildError> {
    let (first, others) = devices.split_first().ok_or(BuildError::NoDevice)?;
    let capabilities = first.capabilities();
    if others
        .iter()
        .any(|other| other.capabilities() != capabilities)
    {
        return Err(BuildError::DevicesDiffer);
    }
    Ok(capabilities)
}

/// The configuration of one of `count` shares: the stack's limits are divided among them.
fn config_of(config: &Config, share: Share, count: NonZeroU16) -> Config {
    let count = count.get();
    config
        .clone()
        .share(share)
        .max_time_wait(config.max_time_wait.div_ceil(count.into()))
        .max_orphans(config.max_orphans.div_ceil(count.into()))
        .icmp_rate(config.icmp_rate.div_ceil(count.into()))
}

/// Wraps the observer, so that its panic does not interrupt the engine in the middle of a step.
fn contained(mut observer: Observer) -> Observer {
    let mut works = true;
    Box::new(move |transition| {
        let call = AssertUnwindSafe(|| observer(transition));
        if works && panic::catch_unwind(call).is_err() {
            works = false;
            tracing::error!("the observer of transitions has panicked, and is not called any more");
        }
    })
}

/// An observer for each of `count` engines, all of which call the given one.
fn observers(observer: Option<Observer>, count: usize) -> Vec<Option<Observer>> {
    match observer {
        Some(observer) if count > 1 => {
            let shared = Arc::new(Mutex::new(observer));
            let one = || {
                let shared = Arc::clone(&shared);
                let one: Observer = Box::new(move |transition: &Transition| {
                    (shared.lock().unwrap_or_else(PoisonError::into_inner))(transition);
                });
                Some(one)
            };
            std::iter::repeat_with(one).take(count).collect()
        }
        Some(observer) => vec![Some(observer)],
        None => std::iter::repeat_with(|| None).take(count).collect(),
    }
}

/// The work that the engine may leave to the adapter or the device.
fn offload(capabilities: &Capabilities) -> Offload {
    if capabilities.is_plain() {
        return Offload::default()
            .max_segment(Offload::MAX_SEGMENT)
            .transmit_checksum(true);
    }
    Offload::default()
        .max_segment(capabilities.max_segment)
        .transmit_checksum(capabilities.tx_checksum_offload)
        .datagram_checksum(capabilities.tx_checksum_offload)
        .max_datagrams(match capabilities.virtio_header_len {
            0 => 0,
            _ => capabilities.max_datagrams,
        })
}

/// The shortest of the devices' queues.
fn receive_queue(devices: &[Arc<dyn Device>], capabilities: &Capabilities) -> Option<QueueLen> {
    let frames = devices.iter().filter_map(Device::queue_len).min()?;
    let plain = capabilities.max_segment == 0;
    Some(if plain {
        QueueLen::Packets(frames)
    } else {
        QueueLen::SuperSegments(frames)
    })
}

fn validate(config: &Config, capabilities: &Capabilities) -> Result<(), BuildError> {
    if config.addresses.is_empty() {
        return Err(BuildError::NoAddress);
    }
    for Cidr { address, .. } in &config.addresses {
        let broadcast = *address == IpAddr::from([255; 4]);
        if address.is_unspecified() || address.is_multicast() || broadcast {
            return Err(BuildError::InvalidAddress(*address));
        }
    }
    // RFC 791 3.1: every host accepts 576 bytes; RFC 8200 5: every link carries 1280.
    let v6 = config.addresses.iter().any(|cidr| cidr.address.is_ipv6());
    let needed = if v6 { 1280 } else { 576 };
    let mtu = config.mtu;
    if mtu < needed {
        return Err(BuildError::MtuTooSmall { mtu, needed });
    }
    config.validate()?;
    match capabilities.virtio_header_len {
        0 | 10 | 12 => Ok(()),
        other => Err(BuildError::VirtioHeader(other)),
    }
}

pub(crate) fn no_address() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "could not resolve to any address",
    )
}

fn random_seed() -> Result<[u8; 32], BuildError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(seed)
}
