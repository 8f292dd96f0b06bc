//! The three services that every side offers, over any kind of stream.

use std::io;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Bytes per read from a bulk stream.
pub(crate) const READ: usize = 256 * 1024;
/// Bytes per read by the echo service.
const ECHO: usize = 16 * 1024;

/// A byte stream of any stack.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// A service on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Service {
    /// Reads to the end, then closes.
    Sink,
    /// Writes until the client closes.
    Source,
    /// Sends everything back.
    Echo,
}

impl Service {
    /// All services.
    pub(crate) const ALL: [Self; 3] = [Self::Sink, Self::Source, Self::Echo];

    /// The port of the service.
    pub(crate) const fn port(self) -> u16 {
        match self {
            Self::Sink => 9001,
            Self::Source => 9002,
            Self::Echo => 9003,
        }
    }

    /// The service at a port.
    pub(crate) fn at_port(port: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.port() == port)
    }

    /// Serves one connection; a source writes `write` bytes at a time.
    pub(crate) async fn serve(self, mut stream: impl Stream, write: usize) -> io::Result<()> {
        match self {
            Self::Sink => {
                // An idle connection needs no buffer.
                stream.read_u8().await?;
                let mut buffer = vec![0; READ];
                while stream.read(&mut buffer).await? > 0 {}
            }
            Self::Source => {
                let data = vec![0x5A; write];
                while stream.write_all(&data).await.is_ok() {}
            }
            Self::Echo => {
                let first = stream.read_u8().await?;
                stream.write_all(&[first]).await?;
                let mut buffer = vec![0; ECHO];
                loop {
                    let length = stream.read(&mut buffer).await?;
                    if length == 0 {
                        break;
                    }
                    stream.write_all(&buffer[..length]).await?;
                }
            }
        }
        stream.shutdown().await
    }

    /// Serves a connection in a task of its own. Errors are noticed by the client.
    pub(crate) fn spawn(self, stream: impl Stream, write: usize) {
        tokio::spawn(async move {
            let _ = self.serve(stream, write).await;
        });
    }
}

/// A source of incoming connections.
pub(crate) trait Accept {
    /// The type of a connection.
    type Stream: Stream;

    /// Waits for the next connection.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Accept for millstream::TcpListener {
    type Stream = millstream::TcpStream;

    async fn accept(&self) -> io::Result<Self::Stream> {
        let (stream, _) = self.accept().await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Accept for tokio::net::TcpListener {
    type Stream = tokio::net::TcpStream;

    async fn accept(&self) -> io::Result<Self::Stream> {
        let (stream, _) = self.accept().await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Serves all connections from `listener` with `service`, without end.
pub(crate) async fn offer(service: Service, listener: impl Accept, write: usize) -> io::Result<()> {
    loop {
        service.spawn(listener.accept().await?, write);
    }
}
