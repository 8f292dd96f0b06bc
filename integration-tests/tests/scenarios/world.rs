//! Two hosts and their link.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, ensure};
use millstream::State::{
    self, CloseWait, Closed, Established, FinWait1, FinWait2, LastAck, Listen, SynReceived,
    SynSent, TimeWait,
};
use millstream::device::{Device, Pair, pair};
use millstream::{Config, Stack, TcpSocket, TcpStream};
use millstream_testbed::gate::{Gate, GateControl};
use millstream_testbed::history::History;
use millstream_testbed::segments::Narrator;
use millstream_testbed::trace::{Limits, Record, Trace};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub(crate) const NEAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
pub(crate) const FAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
pub(crate) const TEXT: &[u8; 13] = b"hello, world\n";
pub(crate) const TWO_MSL: Duration = Duration::from_secs(60);

/// The options on every SYN, and on every other segment.
pub(crate) const SYN: &str = "<mss 1460,sackOK,TS,nop,wscale 10>";
pub(crate) const TS: &str = "<nop,nop,TS>";

/// Two hosts and their link.
pub(crate) struct World {
    pub(crate) near: Host,
    pub(crate) far: Host,
    pub(crate) gate: GateControl<Pair>,
    pub(crate) names: [(IpAddr, &'static str); 2],
}

/// A stack and the states of its connections.
pub(crate) struct Host {
    pub(crate) stack: Stack,
    pub(crate) history: History,
}

impl Host {
    pub(crate) fn new(
        address: IpAddr,
        device: impl Device,
        configure: fn(&mut Config),
    ) -> Result<Self> {
        let history = History::default();
        let stack = Stack::builder()
            .device(device)
            .address(millstream::Cidr::new(address, 24))
            .config(configure)
            .seed([address.is_ipv4().into(); 32])
            .on_transition(history.observer())
            .build()?;
        Ok(Self { stack, history })
    }

    /// A socket bound to a port of the host.
    pub(crate) fn socket(&self, local: SocketAddr, reuse: bool) -> Result<TcpSocket> {
        let socket = self.stack.socket_v4();
        socket.set_reuseaddr(reuse)?;
        socket.bind(local)?;
        Ok(socket)
    }
}

impl World {
    /// Two hosts with these names; the near one is behind the gate.
    pub(crate) fn new(near: &'static str, far: &'static str) -> Result<Self> {
        Self::with(near, far, |_| {})
    }

    pub(crate) fn with(
        near: &'static str,
        far: &'static str,
        configure: fn(&mut Config),
    ) -> Result<Self> {
        let (near_end, far_end) = pair();
        let (gate, control) = Gate::new(near_end, Trace::new(Limits::EVERYTHING));
        Ok(Self {
            near: Host::new(NEAR, gate, configure)?,
            far: Host::new(FAR, far_end, configure)?,
            gate: control,
            names: [(NEAR, near), (FAR, far)],
        })
    }

    /// Connects the near host from one of its ports to a port of the far host; returns both ends.
    pub(crate) async fn connect(&self, from: u16, to: u16) -> Result<(TcpStream, TcpStream)> {
        let (local, peer) = (SocketAddr::new(NEAR, from), SocketAddr::new(FAR, to));
        let listener = self.far.stack.listen(peer).await?;
        let socket = self.near.socket(local, false)?;
        let (near, (far, _)) = tokio::try_join!(socket.connect(peer), listener.accept())?;
        Ok((near, far))
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.gate.trace().records()
    }

    /// Checks all segments so far.
    pub(crate) fn expect_segments(&self, expected: &[String]) -> Result<()> {
        let told = Narrator::by_address(self.names).tell(&self.records())?;
        ensure!(
            told == expected,
            "the segments were\n{}\ninstead of\n{}",
            told.join("\n"),
            expected.join("\n")
        );
        Ok(())
    }

    /// Runs everything that is due without the passing of time.
    pub(crate) async fn settle(&self) {
        // A paused clock advances only when no task is ready.
        tokio::time::sleep(Duration::from_nanos(1)).await;
    }
}

pub(crate) fn port(ip: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(ip, port)
}

pub(crate) async fn read_end(stream: &mut TcpStream) -> Result<()> {
    let length = stream.read(&mut [0; 64]).await?;
    ensure!(length == 0, "{length} bytes instead of the end");
    Ok(())
}

pub(crate) async fn read_error(stream: &mut TcpStream) -> Option<ErrorKind> {
    stream
        .read(&mut [0; 64])
        .await
        .err()
        .map(|error| error.kind())
}

pub(crate) async fn deliver(from: &mut TcpStream, to: &mut TcpStream) -> Result<()> {
    from.write_all(TEXT).await?;
    let mut text = [0; TEXT.len()];
    to.read_exact(&mut text).await?;
    ensure!(&text == TEXT, "{text:?}");
    Ok(())
}

/// The handshake's three segments.
pub(crate) fn handshake(client: &str, server: &str) -> [String; 3] {
    [
        format!("{client} > {server} S 0:0(0) {SYN}"),
        format!("{server} > {client} S. 0:0(0) ack 1 {SYN}"),
        format!("{client} > {server} . 1:1(0) ack 1 {TS}"),
    ]
}

pub(crate) fn path(parts: &[&[State]]) -> Vec<State> {
    parts.concat()
}

pub(crate) const CLIENT_OPENS: &[State] = &[Closed, SynSent, Established];
pub(crate) const SERVER_OPENS: &[State] = &[Listen, SynReceived, Established];
pub(crate) const CLOSES_FIRST: &[State] = &[FinWait1, FinWait2, TimeWait, Closed];
pub(crate) const CLOSES_SECOND: &[State] = &[CloseWait, LastAck, Closed];
