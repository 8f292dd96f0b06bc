//! The paths from a program to its server that pass through the stack. A relay stands between the
//! two: one of its connections is the stack's, the other the kernel's.

use std::io;
use std::net::SocketAddr;

use anyhow::Result;
use millstream::Stack;
use millstream_testbed::kernel;
use millstream_testbed::lab::{Family, Lab, Net};
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};

/// Bytes that a relay reads at once.
const CHUNK: usize = 64 * 1024;

/// The program's side of the link.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// The program connects to the stack, over IPv4; the relay connects to a server on loopback.
    StackServes,
    /// The program connects to the relay on loopback; the relay connects through the stack, over
    /// IPv6, to a server on the kernel.
    StackConnects,
}

/// A link, and the direction in which programs use it.
pub(crate) struct Route {
    net: Net,
    way: Way,
}

impl Route {
    /// Creates a link.
    pub(crate) async fn new(lab: &Lab, way: Way) -> Result<Self> {
        let net = lab.net().await?;
        Ok(Self { net, way })
    }

    /// The address on the kernel where a server reached through `port` has to listen.
    pub(crate) fn server(&self, port: u16) -> SocketAddr {
        match self.way {
            Way::StackServes => self.net.loopback(port),
            Way::StackConnects => self.net.kernel(Family::V6, port),
        }
    }

    /// Relays further connections to the server on `port`. Returns the address to which programs
    /// connect.
    pub(crate) async fn open(&self, port: u16) -> Result<SocketAddr> {
        let server = self.server(port);
        match self.way {
            Way::StackServes => {
                let entrance = self.net.stack(Family::V4, port);
                tokio::spawn(relay_in(self.net.stack.listen(entrance).await?, server));
                Ok(entrance)
            }
            Way::StackConnects => {
                let entrance = self.net.loopback(port);
                let stack = self.net.stack.clone();
                tokio::spawn(relay_out(kernel::listen(entrance)?, stack, server));
                Ok(entrance)
            }
        }
    }
}

/// Relays from the stack to a server on the kernel.
async fn relay_in(listener: millstream::TcpListener, server: SocketAddr) -> io::Result<()> {
    loop {
        let (far, _) = listener.accept().await?;
        tokio::spawn(async move { relay(kernel::connect(server).await?, far).await });
    }
}

/// Relays from the kernel to a server to which the stack connects.
async fn relay_out(listener: TcpListener, stack: Stack, server: SocketAddr) -> io::Result<()> {
    loop {
        let (near, _) = listener.accept().await?;
        let stack = stack.clone();
        tokio::spawn(async move { relay(near, stack.connect(server).await?).await });
    }
}

/// Copies in both directions until both ends have closed. A reset at one end causes a reset at the
/// other.
async fn relay(mut near: TcpStream, mut far: millstream::TcpStream) -> io::Result<()> {
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    if copy_bidirectional_with_sizes(&mut near, &mut far, CHUNK, CHUNK)
        .await
        .is_err()
    {
        far.set_zero_linger()?;
        kernel::reset(near)?;
    }
    Ok(())
}
