//! The link of a case: a TUN interface with the kernel at one end and a stack at the other, both
//! with an IPv4 and an IPv6 address, and with a gate and a trace between them.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use millstream::device::{Device as _, Tun};
use millstream::{Config, Stack};

use crate::gate::{Gate, GateControl};
use crate::history::History;
use crate::kernel;
use crate::link::Netlink;
use crate::trace::{Limits, Trace};

/// The number of packets shown for a failed case.
const TAIL: usize = 40;

/// The number of links created by this process: each has addresses of its own.
static LINKS: AtomicU8 = AtomicU8::new(1);

/// The two address families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both families.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];
}

/// The settings of a link.
pub struct Setup {
    /// The size of the largest IP packet on the link, in bytes. Below 1280 there is no IPv6.
    pub mtu: usize,
    /// Changes to the stack's configuration.
    pub configure: fn(&mut Config),
    /// The limits of the link's trace.
    pub trace: Limits,
    /// The record of the stack's state changes.
    pub history: History,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            mtu: 1500,
            configure: |_| {},
            trace: Limits::HEADERS,
            history: History::default(),
        }
    }
}

/// The environment of a case: creates links, and reports on them if the case fails.
pub struct Lab {
    case: String,
    links: Mutex<Vec<Witness>>,
}

/// The data of a link that a report needs.
struct Witness {
    interface: String,
    stack: Stack,
    history: History,
    trace: Trace,
}

/// A link with its kernel and its stack.
pub struct Net {
    /// The stack.
    pub stack: Stack,
    /// The states of the stack's connections.
    pub history: History,
    /// The control of the link's gate.
    pub gate: GateControl<Tun>,
    number: u8,
    configure: fn(&mut Config),
}

impl Lab {
    /// The environment of the case with this name.
    #[must_use]
    pub fn new(case: &str) -> Self {
        Self {
            case: case.to_owned(),
            links: Mutex::default(),
        }
    }

    /// Creates a link with the default settings.
    ///
    /// # Errors
    /// If the interface, its addresses or the stack cannot be created.
    pub async fn net(&self) -> Result<Net> {
        self.net_with(Setup::default()).await
    }

    /// Creates a link with the given settings.
    ///
    /// # Errors
    /// If the interface, its addresses or the stack cannot be created.
    pub async fn net_with(&self, setup: Setup) -> Result<Net> {
        let number = LINKS.fetch_add(1, Ordering::Relaxed);
        let interface = format!("mill{number}");
        let tun = Tun::builder()
            .name(&interface)
            .mtu(setup.mtu)
            .offload(false)
            .up()
            .build()
            .with_context(|| format!("making {interface}"))?;
        let netlink = Netlink::open()?;
        let link = netlink.link(&interface).await?;
        for family in families(setup.mtu) {
            let (address, prefix) = address(number, *family, 1);
            link.add_address(address, prefix).await?;
        }

        let (gate, control) = Gate::new(tun, Trace::new(setup.trace));
        let stack = build(gate, number, setup.mtu, setup.configure, &setup.history)?;
        let net = Net {
            stack,
            history: setup.history,
            gate: control,
            number,
            configure: setup.configure,
        };
        self.watch(&net, interface);
        Ok(net)
    }

    /// Switches the stack's host off and on again, with the cable unplugged so that no packet
    /// reports it: a new stack with empty tables takes over its addresses. The returned gate
    /// belongs to the new stack.
    ///
    /// # Errors
    /// If the new stack cannot be created.
    pub async fn reboot(&self, net: Net) -> Result<Net> {
        net.gate.cut();
        net.stack.shutdown().await;
        let (gate, control) = net.gate.replace();
        let history = History::default();
        let mtu = gate.capabilities().mtu;
        let stack = build(gate, net.number, mtu, net.configure, &history)?;
        let net = Net {
            stack,
            history,
            gate: control,
            ..net
        };
        self.watch(&net, format!("mill{} after the reboot", net.number));
        Ok(net)
    }

    /// A report on the case's links, with the paths of their traces.
    #[must_use]
    pub fn report(&self, directory: &Path) -> String {
        let mut text = String::new();
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        for link in links.iter() {
            // Writing to a String cannot fail.
            let _ = link.report(&mut text, &self.path(directory, &link.interface));
        }
        let _ = writeln!(text, "kernel sockets:\n{}", kernel::socket_table());
        text
    }

    fn watch(&self, net: &Net, interface: String) {
        let witness = Witness {
            interface,
            stack: net.stack.clone(),
            history: net.history.clone(),
            trace: net.gate.trace().clone(),
        };
        self.links
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(witness);
    }

    fn path(&self, directory: &Path, interface: &str) -> PathBuf {
        let name = format!("{}-{interface}.pcapng", self.case).replace([':', ' '], "-");
        directory.join(name)
    }
}

impl Witness {
    fn report(&self, text: &mut String, path: &Path) -> std::fmt::Result {
        writeln!(text, "{}:", self.interface)?;
        writeln!(text, "  {:?}", self.stack.counters())?;
        for socket in self.stack.sockets() {
            writeln!(text, "  {socket:?}")?;
        }
        for line in self.history.lines(TAIL) {
            writeln!(text, "  {line}")?;
        }
        for line in self.trace.tail(TAIL) {
            writeln!(text, "  {line}")?;
        }
        match self.trace.write_pcapng(path) {
            Ok(()) => writeln!(text, "  trace: {}", path.display()),
            Err(error) => writeln!(text, "  no trace: {error:#}"),
        }
    }
}

impl Net {
    /// The kernel's address with this port.
    #[must_use]
    pub fn kernel(&self, family: Family, port: u16) -> SocketAddr {
        SocketAddr::new(address(self.number, family, 1).0, port)
    }

    /// The stack's address with this port.
    #[must_use]
    pub fn stack(&self, family: Family, port: u16) -> SocketAddr {
        SocketAddr::new(address(self.number, family, 2).0, port)
    }

    /// An address on the kernel's loopback that only this link's case uses, with this port.
    #[must_use]
    pub fn loopback(&self, port: u16) -> SocketAddr {
        SocketAddr::from(([127, 77, self.number, 1], port))
    }

    /// The interface's name.
    #[must_use]
    pub fn interface(&self) -> String {
        format!("mill{}", self.number)
    }
}

fn build(
    gate: Gate<Tun>,
    number: u8,
    mtu: usize,
    configure: fn(&mut Config),
    history: &History,
) -> Result<Stack> {
    let mut builder = Stack::builder()
        .device(gate)
        .config(configure)
        .on_transition(history.observer());
    for family in families(mtu) {
        let (address, prefix) = address(number, *family, 2);
        builder = builder.address(millstream::Cidr::new(address, prefix));
    }
    builder.build().context("building the stack")
}

/// The families that a link with this MTU can carry (RFC 8200 section 5: IPv6 requires 1280).
fn families(mtu: usize) -> &'static [Family] {
    if mtu < 1280 {
        &[Family::V4]
    } else {
        &Family::BOTH
    }
}

/// Host 1 is the kernel, host 2 the stack.
fn address(link: u8, family: Family, host: u8) -> (IpAddr, u8) {
    match family {
        Family::V4 => (Ipv4Addr::new(10, 77, link, host).into(), 24),
        Family::V6 => {
            let host = Ipv6Addr::new(0xfd77, u16::from(link), 0, 0, 0, 0, 0, u16::from(host));
            (host.into(), 64)
        }
    }
}
