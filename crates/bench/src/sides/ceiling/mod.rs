//! What the device can carry: a pump that knows just enough TCP to please the kernel on the other
//! side. No retransmission timer, no congestion control, no options but the MSS and the window's scale,
//! nothing checked. `device` is the interface, `connection` the little it has to know of one,
//! and here is the loop.

mod connection;
mod device;

use std::collections::HashMap;
use std::net::IpAddr;

use anyhow::{Context as _, Result};
use millstream_wire::ip;
use millstream_wire::tcp::{Flags, View};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use self::connection::Connection;
use self::device::Device;
use super::ready;
use crate::service::Service;
use crate::setup::HostDescription;

/// Packets read before answers are given.
const BATCH: usize = 64;
/// Segments sent before the device is read again.
const BURST: usize = 16;
/// Milliseconds that an acknowledgment waits for more to come.
const ACK_DELAY: u16 = 1;

/// Whether the pump touches the data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Copying {
    /// It sends and receives the same bytes again and again.
    None,
    /// Each byte is copied once, as an application's data would be.
    Once,
}

/// A connection's name: the peer's address and port, and the service.
type Name = (IpAddr, u16, u16);

/// Pumps until the process ends.
pub(super) fn host(description: HostDescription, copying: Copying) -> Result<()> {
    let device = Device::open(description, copying).context("making the TUN interface")?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&device, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
    ready()?;
    let mut pump = Pump {
        device,
        connections: HashMap::new(),
    };
    loop {
        let empty = pump.receive()?;
        let full = pump.send()?;
        if empty && full {
            let timeout = pump.timeout();
            if epoll.wait(&mut [EpollEvent::empty()], timeout)? == 0 {
                pump.acknowledge_all()?;
            }
        }
    }
}

struct Pump {
    device: Device,
    connections: HashMap<Name, Connection>,
}

impl Pump {
    /// Takes a batch of packets; whether there are no more.
    fn receive(&mut self) -> Result<bool> {
        for _ in 0..BATCH {
            if !self.device.receive()? {
                self.end_batch()?;
                return Ok(true);
            }
            self.take()?;
        }
        self.end_batch()?;
        Ok(false)
    }

    /// Takes the packet that the device has received.
    fn take(&mut self) -> Result<()> {
        let (packet, sender) = self.device.split();
        // IPv6 neighbour discovery and the like is not ours.
        let Ok(packet) = ip::Packet::parse(packet) else {
            return Ok(());
        };
        let Ok(view) = View::parse(packet.payload()) else {
            return Ok(());
        };
        let name = (packet.src(), view.src_port(), view.dst_port());
        if view.flags().contains(Flags::SYN) {
            if let Some(service) = Service::at_port(view.dst_port()) {
                let connection = Connection::open(service, &packet, &view, sender)?;
                self.connections.insert(name, connection);
            }
        } else if let Some(connection) = self.connections.get_mut(&name)
            && connection.take(&view, sender)?.is_break()
        {
            self.connections.remove(&name);
        }
        Ok(())
    }

    /// With super-segments a batch is answered at once.
    fn end_batch(&mut self) -> Result<()> {
        if self.device.offload() {
            self.acknowledge_all()?;
        }
        Ok(())
    }

    fn acknowledge_all(&mut self) -> Result<()> {
        let (_, sender) = self.device.split();
        for connection in self.connections.values_mut() {
            connection.acknowledge(sender)?;
        }
        Ok(())
    }

    /// Sends what the sources may; whether no window has room for more.
    fn send(&mut self) -> Result<bool> {
        let (_, sender) = self.device.split();
        let mut full = true;
        for connection in self.connections.values_mut() {
            full &= !connection.send(BURST, sender)?;
        }
        Ok(full)
    }

    /// How long to wait for a packet.
    fn timeout(&self) -> EpollTimeout {
        let owing = self.connections.values().any(Connection::owes_ack);
        if owing {
            EpollTimeout::from(ACK_DELAY)
        } else {
            EpollTimeout::NONE
        }
    }
}
