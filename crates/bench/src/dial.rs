//! A client's access to the services: by kernel sockets, or by a millstream stack.

use std::io;
use std::net::{IpAddr, SocketAddr};

use millstream_testbed::{kernel, tcp_info};

use crate::service::{Service, Stream};

/// A way to connect.
pub(crate) trait Dial: Clone + Send + Sync + 'static {
    /// The type of a connection.
    type Stream: Stream;

    /// Connects to a service.
    fn dial(&self, service: Service) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// The number of written bytes that the peer has acknowledged.
    fn arrived(stream: &Self::Stream) -> io::Result<u64>;
}

/// Kernel sockets, with CUBIC.
#[derive(Clone)]
pub(crate) struct KernelDial(pub(crate) IpAddr);

impl Dial for KernelDial {
    type Stream = tokio::net::TcpStream;

    async fn dial(&self, service: Service) -> io::Result<Self::Stream> {
        let stream = kernel::connect(SocketAddr::new(self.0, service.port())).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn arrived(stream: &Self::Stream) -> io::Result<u64> {
        Ok(tcp_info::of(stream)?.tcpi_bytes_acked)
    }
}

/// A millstream stack.
#[derive(Clone)]
pub(crate) struct StackDial {
    /// The client's stack.
    pub(crate) stack: millstream::Stack,
    /// The server's address.
    pub(crate) host: IpAddr,
}

impl Dial for StackDial {
    type Stream = millstream::TcpStream;

    async fn dial(&self, service: Service) -> io::Result<Self::Stream> {
        let stream = self.stack.connect((self.host, service.port())).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn arrived(stream: &Self::Stream) -> io::Result<u64> {
        Ok(stream.info()?.bytes_acked)
    }
}
