//! One scenario's link with its two hosts, and the record of what happens.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use millstream::{Config, State, TcpStream};
use millstream_integration_tests::gate::GateControl;
use millstream_integration_tests::kernel;
use millstream_integration_tests::lab::{Family, Lab, Net, Setup};
use millstream_integration_tests::trace::{self, Limits};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream as KernelStream;
use tokio::time::Instant;

use super::kernel_states::KernelStates;
use crate::errors;
use crate::trace::{Call, Change, Fate, Host, Trace, What};

/// Our stack's place in the trace.
pub(super) const OURS: usize = 0;
/// The kernel's place in the trace.
pub(super) const KERNEL: usize = 1;

/// See the module.
pub(super) struct Stage {
    pub(super) net: Net,
    told: RefCell<Vec<(Instant, What)>>,
    kernel_states: KernelStates,
}

impl Stage {
    /// A link whose TIME-WAIT is 400 ms.
    pub(super) async fn new(lab: &Lab) -> Result<Self> {
        Self::configured(lab, short_msl).await
    }

    /// A link with our stack configured by `configure`.
    pub(super) async fn configured(lab: &Lab, configure: fn(&mut Config)) -> Result<Self> {
        let net = lab.net_with(Setup {
            configure,
            trace: Limits::EVERYTHING,
            ..Setup::default()
        });
        let net = net.await?;
        let kernel_states = KernelStates::of(net.kernel(Family::V4, 0).ip());
        let watcher = kernel_states.clone();
        net.gate.trace().watch(move || watcher.look());
        Ok(Self {
            net,
            kernel_states,
            told: RefCell::default(),
        })
    }

    pub(super) fn gate(&self) -> &GateControl<millstream::device::Tun> {
        &self.net.gate
    }

    /// Lets what the gate holds go, and everything that comes pass.
    pub(super) fn release(&self) -> io::Result<()> {
        self.gate().open();
        self.gate().release()?;
        self.kernel_states.look();
        Ok(())
    }

    /// An address of our stack.
    pub(super) fn ours(&self, port: u16) -> SocketAddr {
        self.net.stack(Family::V4, port)
    }

    /// An address of the kernel.
    pub(super) fn theirs(&self, port: u16) -> SocketAddr {
        self.net.kernel(Family::V4, port)
    }

    /// Waits until our end has been through exactly these states.
    pub(super) async fn expect(
        &self,
        (local, peer): (SocketAddr, SocketAddr),
        states: &[&[State]],
    ) -> Result<()> {
        self.net.history.expect(local, peer, &states.concat()).await
    }

    // ---- what the applications do, each noted ----

    /// Connects our port to a listening kernel socket; both ends.
    pub(super) async fn to_the_kernel(
        &self,
        port: u16,
        server: u16,
    ) -> Result<(TcpStream, KernelStream)> {
        let listener = kernel::listen(self.theirs(server))?;
        self.note(KERNEL, &format!("listen({server})"), &Ok(()));
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

    /// Waits for a connect and notes its answer.
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

    /// Reads the orderly end.
    pub(super) async fn read_end(
        &self,
        host: usize,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> Result<()> {
        let length = self.read(host, stream).await?;
        ensure!(length == 0, "{length} bytes and not the end");
        Ok(())
    }

    /// Reads, and must be told that the connection was reset.
    pub(super) async fn read_reset(
        &self,
        host: usize,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> Result<()> {
        let kind = self.read(host, stream).await.err().map(|e| e.kind());
        ensure!(kind == Some(io::ErrorKind::ConnectionReset), "{kind:?}");
        Ok(())
    }

    /// Says that no more will be written.
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

    // ---- the record ----

    /// Notes a sentence.
    pub(super) fn remark(&self, text: &str) {
        let text = text.to_owned();
        self.push(What::Remark { text });
    }

    /// Notes a call that has nothing to give.
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

    fn push(&self, what: What) {
        self.told.borrow_mut().push((Instant::now(), what));
        self.kernel_states.look();
    }

    /// The record, in order.
    pub(super) fn finish(self) -> Result<Trace> {
        let hosts = [("millstream", self.ours(0)), ("linux", self.theirs(0))];
        let hosts = hosts.map(|(name, address)| Host {
            name: name.to_owned(),
            address: address.ip(),
        });
        let mut trace = Trace::new(hosts.into());
        let packets = self.net.gate.trace();
        let records = packets.records();
        let history = self.net.history.timed();
        // Time begins with the first thing that happens, as over memory.
        let sent = records.first().map(|record| packets.began() + record.at);
        let changed = history.first().map(|(at, _)| *at);
        let told = self.told.borrow().first().map(|(at, _)| *at);
        let beginnings = [sent, changed, told].into_iter().flatten();
        let zero = beginnings.min().context("nothing happened")?;
        for record in records {
            let fate = match record.fate {
                trace::Fate::Passed => Fate::Passed,
                trace::Fate::Dropped => Fate::Lost,
                trace::Fate::Held => Fate::Held,
            };
            let at = packets.began() + record.at - zero;
            trace.push_packet(at, &record.packet, fate, None);
        }
        for (at, change) in history {
            let what = What::State(Change {
                host: OURS,
                local: change.local,
                peer: change.peer,
                from: change.from,
                to: change.to,
                stimulus: Some(change.stimulus),
            });
            trace.push(at - zero, what);
        }
        self.kernel_states.look();
        for (at, change) in self.kernel_states.changes() {
            trace.push(at - zero, What::State(change));
        }
        for (at, what) in self.told.into_inner() {
            trace.push(at - zero, what);
        }
        trace.finish();
        Ok(trace)
    }
}

fn short_msl(config: &mut Config) {
    config.msl = super::MSL;
}

/// The same error once more: `io::Error` cannot be cloned.
fn same(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}
