//! hyper's client on a connection of the stack.

use anyhow::{Result, bail, ensure};
use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::header::HOST;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use millstream::TcpStream;
use millstream_integration_tests::http;
use millstream_testbed::pattern;

/// The HTTP version.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Version {
    /// HTTP/1.1, with chunked bodies.
    Http1,
    /// HTTP/2 from the first byte on.
    Http2,
}

/// One connection to a server.
pub(crate) enum Client {
    Http1(http1::SendRequest<Body>, String),
    Http2(http2::SendRequest<Body>, String),
}

impl Client {
    /// Starts HTTP on a connection.
    pub(crate) async fn new(stream: TcpStream, version: Version) -> Result<Self> {
        let host = stream.peer_addr()?.to_string();
        let stream = TokioIo::new(stream);
        Ok(match version {
            Version::Http1 => {
                let (sender, connection) = http1::handshake(stream).await?;
                tokio::spawn(connection);
                Self::Http1(sender, host)
            }
            Version::Http2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
                tokio::spawn(connection);
                Self::Http2(sender, host)
            }
        })
    }

    /// Clients that share this one's connection, each with a stream of its own.
    pub(crate) fn streams(&self, count: usize) -> Result<Vec<Self>> {
        let Self::Http2(sender, host) = self else {
            bail!("HTTP/1.1 has no streams");
        };
        Ok((0..count)
            .map(|_| Self::Http2(sender.clone(), host.clone()))
            .collect())
    }

    /// Gets a path, which must return `length` bytes of the pattern.
    pub(crate) async fn expect_pattern(&mut self, path: &str, length: u64) -> Result<()> {
        let mut response = self.send("GET", path, Body::empty()).await?;
        let mut received = 0;
        while let Some(frame) = response.frame().await {
            if let Some(data) = frame?.data_ref() {
                pattern::check(received, data)?;
                received += data.len() as u64;
            }
        }
        ensure!(received == length, "received {received} of {length} bytes");
        Ok(())
    }

    /// Puts `length` bytes of the pattern to a path.
    pub(crate) async fn put_pattern(&mut self, path: &str, length: u64) -> Result<()> {
        let response = self.send("PUT", path, http::body(length)).await?;
        // The body is read to its end, so that the connection can be reused.
        response.into_body().collect().await?;
        Ok(())
    }

    /// Sends a request, which must succeed.
    async fn send(&mut self, method: &str, path: &str, body: Body) -> Result<Response<Incoming>> {
        let request = Request::builder().method(method);
        let response = match self {
            Self::Http1(sender, host) => {
                sender.ready().await?;
                let request = request.uri(path).header(HOST, host.as_str());
                sender.send_request(request.body(body)?).await?
            }
            Self::Http2(sender, host) => {
                sender.ready().await?;
                let request = request.uri(format!("http://{host}{path}"));
                sender.send_request(request.body(body)?).await?
            }
        };
        let status = response.status();
        ensure!(status.is_success(), "{method} {path}: {status}");
        Ok(response)
    }
}
