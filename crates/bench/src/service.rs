//! The three services that every side offers, for any kind of stream.

use std::io;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Bytes read at a time from a stream that carries much.
pub(crate) const READ: usize = 256 * 1024;
/// Bytes read at a time by the echo.
const ECHO: usize = 16 * 1024;

/// A stream of bytes, of whatever stack.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// What a server does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Service {
    /// Reads to the end, then closes.
    Sink,
    /// Writes until the client has enough.
    Source,
    /// Sends everything back.
    Echo,
}

impl Service {
    /// Every one.
    pub(crate) const ALL: [Self; 3] = [Self::Sink, Self::Source, Self::Echo];

    /// Its port.
    pub(crate) const fn port(self) -> u16 {
        match self {
            Self::Sink => 9001,
            Self::Source => 9002,
            Self::Echo => 9003,
        }
    }

    /// The one at a port.
    pub(crate) fn at_port(port: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.port() == port)
    }

    /// Serves one connection; `write` bytes are written at a time where the service is a source.
    pub(crate) async fn serve(self, mut stream: impl Stream, write: usize) -> io::Result<()> {
        match self {
            Self::Sink => {
                // A connection that is idle has no buffer.
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

    /// Serves a connection in a task of its own. How it ends is the client's to notice.
    pub(crate) fn spawn(self, stream: impl Stream, write: usize) {
        tokio::spawn(async move {
            let _ = self.serve(stream, write).await;
        });
    }
}

/// Something that connections come from.
pub(crate) trait Accept {
    /// What comes.
    type Stream: Stream;

    /// Waits for the next.
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

/// Offers `service` to all who come to `listener`, for ever.
pub(crate) async fn offer(service: Service, listener: impl Accept, write: usize) -> io::Result<()> {
    loop {
        service.spawn(listener.accept().await?, write);
    }
}
