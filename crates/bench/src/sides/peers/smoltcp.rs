//! smoltcp, in an event loop without a runtime, which is its fastest use.

use std::io;
use std::os::fd::AsRawFd as _;
use std::time::Instant as Clock;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, Device, DeviceCapabilities, Loopback, Medium, TunTapInterface};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, Ipv4Address};
use tun_rs::DeviceBuilder;

use super::BUFFER;
use crate::service::Service;
use crate::setup::{HostDescription, Link, Place};
use crate::sides::ready;
use crate::work::Report;

/// The number of listening sockets for each service. There is no backlog: a connection without a
/// listening socket is refused. Every socket makes each packet slower, so there are many only where
/// many connections arrive at once.
const fn listening(service: Service) -> usize {
    match service {
        Service::Sink | Service::Source => 2,
        Service::Echo => 16,
    }
}

/// Offers the services.
pub(in crate::sides) fn host(description: HostDescription) -> Result<()> {
    let HostDescription { setup, place, .. } = description;
    make_interface(description).context("making the TUN interface")?;
    let mut device = TunTapInterface::new(&place.interface(), Medium::Ip)?;
    let fd = device.as_raw_fd();
    let mut server = Server::new(place.server(), &mut device)?;
    ensure!(
        device.capabilities().max_transmission_unit == usize::from(setup.link.mtu),
        "the interface does not have the configured MTU"
    );
    ready()?;
    loop {
        let now = Instant::now();
        server.interface.poll(now, &mut device, &mut server.sockets);
        if !server.serve()? {
            let delay = server.interface.poll_delay(now, &server.sockets);
            phy::wait(fd, delay)?;
        }
    }
}

/// Creates a persistent interface with the MTU, to which smoltcp attaches.
fn make_interface(description: HostDescription) -> io::Result<()> {
    let HostDescription { setup, place, .. } = description;
    DeviceBuilder::new()
        .name(place.interface())
        .ipv4(place.client(), Place::PREFIX, None)
        .mtu(setup.link.mtu)
        .build_sync()?
        .persist()
}

/// The interface, the sockets, and the service of each socket.
struct Server {
    interface: Interface,
    sockets: SocketSet<'static>,
    served: Vec<(SocketHandle, Service)>,
    data: Vec<u8>,
}

impl Server {
    fn new(address: std::net::Ipv4Addr, device: &mut impl Device) -> Result<Self> {
        let mut server = Self {
            interface: interface(address, device)?,
            sockets: SocketSet::new(Vec::new()),
            served: Vec::new(),
            data: vec![0x5A; BUFFER],
        };
        for service in Service::ALL {
            for _ in 0..listening(service) {
                server.add(service)?;
            }
        }
        Ok(server)
    }

    fn add(&mut self, service: Service) -> Result<()> {
        let mut socket = socket();
        listen(&mut socket, service)?;
        self.served.push((self.sockets.add(socket), service));
        Ok(())
    }

    /// Serves all sockets; returns whether there was work.
    fn serve(&mut self) -> Result<bool> {
        let mut busy = false;
        let mut waiting = [0; Service::ALL.len()];
        for (handle, service) in &self.served {
            let socket = self.sockets.get_mut::<Socket<'_>>(*handle);
            if !socket.is_open() {
                listen(socket, *service)?;
            } else if socket.is_active() {
                busy |= serve(socket, *service, &mut self.data)?;
            }
            waiting[*service as usize] += usize::from(socket.is_listening());
        }
        for service in Service::ALL {
            if waiting[service as usize] < listening(service) {
                self.add(service)?;
            }
        }
        Ok(busy)
    }
}

/// Serves one socket; returns whether there was work.
fn serve(socket: &mut Socket<'_>, service: Service, data: &mut [u8]) -> Result<bool> {
    let mut busy = false;
    match service {
        Service::Sink => {
            while socket.can_recv() {
                busy |= socket.recv(|bytes| (bytes.len(), !bytes.is_empty()))?;
            }
        }
        Service::Source => {
            while socket.can_send() {
                busy |= socket.send_slice(data)? > 0;
            }
        }
        Service::Echo => {
            while socket.can_recv() && socket.can_send() {
                let length = data.len().min(socket.send_capacity() - socket.send_queue());
                let length = socket.recv_slice(&mut data[..length])?;
                busy |= socket.send_slice(&data[..length])? > 0;
            }
        }
    }
    // The peer has closed, and all its data has been read.
    if socket.may_send() && !socket.may_recv() && !socket.can_recv() {
        socket.close();
        busy = true;
    }
    Ok(busy)
}

fn interface(address: std::net::Ipv4Addr, device: &mut impl Device) -> Result<Interface> {
    let config = Config::new(HardwareAddress::Ip);
    let mut interface = Interface::new(config, device, Instant::now());
    let mut room = true;
    interface.update_ip_addrs(|addresses| {
        let address = IpCidr::new(IpAddress::Ipv4(address), Place::PREFIX);
        room = addresses.push(address).is_ok();
    });
    ensure!(room, "no room for an address");
    Ok(interface)
}

fn socket() -> Socket<'static> {
    let buffer = || SocketBuffer::new(vec![0; BUFFER]);
    let mut socket = Socket::new(buffer(), buffer());
    socket.set_nagle_enabled(false);
    socket.set_congestion_control(CongestionControl::Cubic);
    socket
}

fn listen(socket: &mut Socket<'_>, service: Service) -> Result<()> {
    socket
        .listen(service.port())
        .map_err(|error| anyhow!("listening: {error:?}"))
}

/// A loopback device with a configurable MTU, and with checksums.
struct Capped {
    device: Loopback,
    mtu: usize,
}

impl Device for Capped {
    type RxToken<'a> = <Loopback as Device>::RxToken<'a>;
    type TxToken<'a> = <Loopback as Device>::TxToken<'a>;

    fn receive(&mut self, now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        self.device.receive(now)
    }

    fn transmit(&mut self, now: Instant) -> Option<Self::TxToken<'_>> {
        self.device.transmit(now)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities
    }
}

/// Moves data from one socket to another on the same interface for `seconds`.
pub(crate) fn loopback(link: Link, seconds: f64) -> Result<Report> {
    let mut device = Capped {
        device: Loopback::new(Medium::Ip),
        mtu: link.mtu.into(),
    };
    let address = Ipv4Address::new(10, 0, 0, 1);
    let mut server = Server::new(address, &mut device)?;
    let mut client = socket();
    let remote = (IpAddress::Ipv4(address), Service::Sink.port());
    client
        .connect(server.interface.context(), remote, 50_000)
        .map_err(|error| anyhow!("connecting: {error:?}"))?;
    let client = server.sockets.add(client);
    let data = vec![0x5A; BUFFER];
    let began = Clock::now();
    let mut bytes = 0;
    while began.elapsed().as_secs_f64() < seconds {
        server
            .interface
            .poll(Instant::now(), &mut device, &mut server.sockets);
        server.serve()?;
        let socket = server.sockets.get_mut::<Socket<'_>>(client);
        if socket.can_send() {
            bytes += socket.send_slice(&data)? as u64;
        }
        if !socket.is_open() {
            bail!("the connection ended");
        }
    }
    Ok(Report::Bulk {
        bytes,
        seconds: began.elapsed().as_secs_f64(),
        flows: Vec::new(),
    })
}
