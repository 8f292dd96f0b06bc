//! The capacity of the device: a packet pump with just enough TCP to satisfy the kernel at the
//! other end. It has no retransmission timer, no congestion control, no options except MSS and
//! window scale, and no checks of its input. `device` has the interface, `connection` the state of
//! a connection, and this file the loop.

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

/// Packets read before responses are sent.
const BATCH: usize = 64;
/// Segments sent before the device is read again.
const BURST: usize = 16;
/// The delay of an acknowledgment in milliseconds.
const ACK_DELAY: u16 = 1;

/// Whether the pump copies the data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Copying {
    /// The same bytes are sent and received repeatedly.
    None,
    /// Each byte is copied once, as an application's data would be.
    Once,
}

/// The key of a connection: the peer's address and port, and the service's port.
type Name = (IpAddr, u16, u16);

/// Runs the pump until the process ends.
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
    /// Reads a batch of packets; returns whether no more are waiting.
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

    /// Processes the last received packet.
    fn take(&mut self) -> Result<()> {
        let (packet, sender) = self.device.split();
        // Other traffic, such as IPv6 neighbour discovery, is ignored.
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

    /// With super-segments a batch is acknowledged at once.
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

    /// Sends the sources' data; returns whether all windows are full.
    fn send(&mut self) -> Result<bool> {
        let (_, sender) = self.device.split();
        let mut full = true;
        for connection in self.connections.values_mut() {
            full &= !connection.send(BURST, sender)?;
        }
        Ok(full)
    }

    /// The maximum time to wait for a packet.
    fn timeout(&self) -> EpollTimeout {
        let owing = self.connections.values().any(Connection::owes_ack);
        if owing {
            EpollTimeout::from(ACK_DELAY)
        } else {
            EpollTimeout::NONE
        }
    }
}
