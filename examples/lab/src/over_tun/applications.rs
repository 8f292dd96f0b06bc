//! The calls of the applications on both hosts; each is recorded with its result.

use std::io;

use anyhow::{Result, ensure};
use millstream::TcpStream;
use millstream_testbed::kernel;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream as KernelStream;

use super::stage::{KERNEL, OURS, Stage};
use crate::errors;
use crate::trace::{Call, Change, What};

impl Stage {
    /// Connects a port of the millstream stack to a listening kernel socket; returns both ends.
    pub(super) async fn to_the_kernel(
        &self,
        port: u16,
        server: u16,
    ) -> Result<(TcpStream, KernelStream)> {
        let listener = kernel::listen(self.theirs(server))?;
        self.listens(KERNEL, server);
        let socket = self.net.stack.socket_v4();
        socket.bind(self.ours(port))?;
        let (ours, theirs) = tokio::join!(
            self.connected(socket.connect(self.theirs(server)), OURS, "linux", server),
            listener.accept()
        );
        let (theirs, peer) = theirs?;
        self.note_answer(
            KERNEL,
            "accept()",
            Ok(format!("millstream.{}", peer.port())),
        );
        Ok((ours?, theirs))
    }

    /// Waits for a connection attempt and records its result.
    pub(super) async fn connected<S>(
        &self,
        connecting: impl Future<Output = io::Result<S>>,
        host: usize,
        to: &str,
        port: u16,
    ) -> io::Result<S> {
        let result = connecting.await;
        let told = result.as_ref().map(|_| ()).map_err(same);
        self.note(host, &format!("connect({to}.{port})"), &told);
        result
    }

    /// Writes all of `data`.
    pub(super) async fn write(
        &self,
        host: usize,
        stream: &mut (impl AsyncWrite + Unpin),
        data: &[u8],
    ) -> Result<()> {
        let result = stream.write_all(data).await;
        let length = data.len();
        let told = result.as_ref().map(|()| length.to_string()).map_err(same);
        self.note_answer(host, &format!("write({length} bytes)"), told);
        Ok(result?)
    }

    /// Reads once.
    pub(super) async fn read(
        &self,
        host: usize,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> io::Result<usize> {
        let mut buffer = [0; 64];
        let result = stream.read(&mut buffer).await;
        let told = match &result {
            Ok(0) => Ok("0, the end".to_owned()),
            Ok(length) => {
                let text = String::from_utf8_lossy(&buffer[..*length]);
                Ok(format!("{length} {text:?}"))
            }
            Err(error) => Err(same(error)),
        };
        self.note_answer(host, "read()", told);
        result
    }

    /// Reads the end of the stream.
    pub(super) async fn read_end(
        &self,
        host: usize,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> Result<()> {
        let length = self.read(host, stream).await?;
        ensure!(length == 0, "{length} bytes instead of the end");
        Ok(())
    }

    /// Reads, and expects an error because of a reset.
    pub(super) async fn read_reset(
        &self,
        host: usize,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> Result<()> {
        let kind = self.read(host, stream).await.err().map(|e| e.kind());
        ensure!(kind == Some(io::ErrorKind::ConnectionReset), "{kind:?}");
        Ok(())
    }

    /// Shuts down the writing direction.
    pub(super) async fn shutdown(
        &self,
        host: usize,
        stream: &mut (impl AsyncWrite + Unpin),
    ) -> Result<()> {
        let result = stream.shutdown().await;
        let told = result.as_ref().copied().map_err(same);
        self.note(host, "shutdown(SHUT_WR)", &told);
        Ok(result?)
    }

    /// Records that a port listens.
    pub(super) fn listens(&self, host: usize, port: u16) {
        let local = if host == OURS {
            self.ours(port)
        } else {
            self.theirs(port)
        };
        self.push(What::State(Change::listens(host, local)));
        self.note(host, &format!("listen({port})"), &Ok(()));
    }

    /// Records a call without a return value.
    pub(super) fn note(&self, host: usize, call: &str, result: &io::Result<()>) {
        let told = result.as_ref().map(|()| "ok".to_owned()).map_err(same);
        self.note_answer(host, call, told);
    }

    fn note_answer(&self, host: usize, call: &str, answer: io::Result<String>) {
        self.push(What::Call(Call {
            host,
            call: call.to_owned(),
            answer: answer.map_err(|error| errors::of_io(&error)),
        }));
    }
}

/// A copy of the error, because `io::Error` is not `Clone`.
fn same(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}
