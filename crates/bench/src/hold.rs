//! Idle connections, held by separate processes: the file limit of one process is too low for all
//! of them.

use std::env;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use millstream_testbed::kernel;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::measure::Job;
use crate::service::Service;
use crate::setup::Runtime;

/// Connections per process.
const EACH: usize = 15_000;

/// The local port of the first and second connection: there are two services, so that each of their
/// ports has fewer than 65536 clients. Ports are chosen here, because a kernel takes a minute to
/// find a free one among so many.
const FIRST_PORT: usize = 10_000;

/// Processes that hold connections open until this is dropped.
pub(crate) struct Holders(Vec<Child>);

impl Holders {
    /// Opens `count` connections to the host at `address`.
    pub(crate) fn open(address: IpAddr, count: usize) -> Result<Self> {
        let mut holders = Self(Vec::new());
        for first in (0..count).step_by(EACH) {
            let count = EACH.min(count - first);
            let job = serde_json::to_string(&Job::Hold {
                address,
                first,
                count,
            })?;
            let mut child = Command::new(env::current_exe()?)
                .args(["measure", &job])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .context("starting a process that holds connections")?;
            let told = child.stdout.take().context("no standard output")?;
            holders.0.push(child);
            let mut line = String::new();
            BufReader::new(told).read_line(&mut line)?;
            anyhow::ensure!(!line.is_empty(), "idle connections could not be opened");
        }
        Ok(holders)
    }
}

impl Drop for Holders {
    fn drop(&mut self) {
        for holder in &mut self.0 {
            // The end of its standard input stops the process.
            drop(holder.stdin.take());
        }
        for holder in &mut self.0 {
            let _ = holder.wait();
        }
    }
}

/// Runs such a process: opens `count` connections, reports that, and waits for the end of its
/// standard input. Other processes hold the `first` connections.
pub(crate) fn hold(address: IpAddr, first: usize, count: usize) -> Result<()> {
    let runtime = Runtime::Current.build()?;
    let held = runtime.block_on(async {
        let mut held = Vec::with_capacity(count);
        for n in first..first + count {
            let stream = open(address, n).await;
            held.push(stream.with_context(|| format!("opening idle connection {n}"))?);
        }
        anyhow::Ok(held)
    })?;
    writeln!(io::stdout(), "open")?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    runtime.block_on(async {
        for stream in held {
            close(stream).await?;
        }
        Ok(())
    })
}

/// Closes in both directions, one connection after the other: the interface loses packets of a
/// larger burst, and the next process uses the same ports.
async fn close(mut stream: TcpStream) -> Result<()> {
    stream.shutdown().await?;
    let rest = stream.read(&mut [0]).await?;
    anyhow::ensure!(rest == 0, "an idle connection had data");
    Ok(())
}

async fn open(address: IpAddr, n: usize) -> Result<TcpStream> {
    let service = [Service::Sink, Service::Echo][n % 2];
    let port = u16::try_from(FIRST_PORT + n / 2).context("more idle connections than ports")?;
    let local = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
    Ok(kernel::connect_from(local, SocketAddr::new(address, service.port())).await?)
}
