//! [`Connector`] as the connector of hyper-util's client, and through it of hyper-rustls and tonic.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use pin_project::pin_project;
use tower_service::Service;

use super::Connector;
use crate::net::stream::TcpStream;

/// A [`TcpStream`] with the traits of hyper.
#[pin_project]
#[derive(Debug)]
pub struct HyperStream {
    #[pin]
    io: TokioIo<TcpStream>,
}

impl HyperStream {
    /// The stream, with tokio's traits.
    pub fn into_inner(self) -> TcpStream {
        self.io.into_inner()
    }
}

impl From<TcpStream> for HyperStream {
    fn from(stream: TcpStream) -> Self {
        Self {
            io: TokioIo::new(stream),
        }
    }
}

/// The addresses of a connection, which hyper-util's client adds to the extensions of each
/// response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The address of the server.
    pub remote_addr: SocketAddr,
    /// The stack's own address.
    pub local_addr: SocketAddr,
}

impl Connection for HyperStream {
    fn connected(&self) -> Connected {
        let stream = self.io.inner();
        let connected = Connected::new();
        match (stream.peer_addr(), stream.local_addr()) {
            (Ok(remote_addr), Ok(local_addr)) => connected.extra(ConnectionInfo {
                remote_addr,
                local_addr,
            }),
            _ => connected,
        }
    }
}

impl Read for HyperStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.project().io.poll_read(cx, buf)
    }
}

impl Write for HyperStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.project().io.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().io.poll_write_vectored(cx, bufs)
    }
}

/// Connects to the host and port of a URI. Without a port it is 443 for `https` and `wss`, and 80
/// otherwise; encryption is the task of a layer above, such as hyper-rustls.
impl Service<Uri> for Connector {
    type Response = HyperStream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<HyperStream>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let (host, port) = target(&uri)?;
            Ok(connector.connect(host, port).await?.into())
        })
    }
}

fn target(uri: &Uri) -> io::Result<(&str, u16)> {
    let host = uri.host().ok_or_else(|| {
        let error = format!("a URI with a host is needed to connect, such as http://host/: {uri}");
        io::Error::new(io::ErrorKind::InvalidInput, error)
    })?;
    let default = match uri.scheme_str() {
        Some("https" | "wss") => 443,
        _ => 80,
    };
    Ok((host, uri.port_u16().unwrap_or(default)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_follows_the_scheme() {
        let targets = [
            ("http://a.example/x", ("a.example", 80)),
            ("https://a.example", ("a.example", 443)),
            ("wss://a.example", ("a.example", 443)),
            ("https://[fd00::1]:8443/", ("[fd00::1]", 8443)),
        ];
        for (uri, wanted) in targets {
            let uri: Uri = uri.parse().expect("a URI");
            assert_eq!(target(&uri).expect("a host"), wanted);
        }
    }

    #[test]
    fn a_uri_without_a_host_is_refused() {
        let error = target(&Uri::from_static("/path")).expect_err("no host");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(
            error.to_string().ends_with("http://host/: /path"),
            "{error}"
        );
    }
}
