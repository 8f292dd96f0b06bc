//! wrk: as many requests as possible in two seconds, over 32 connections.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use millstream_integration_tests::http;
use millstream_testbed::lab::{Family, Lab};
use millstream_testbed::program;

use crate::WRK;

/// The minimum number of answered requests for a meaningful run.
const MINIMUM: u64 = 1000;

/// Whether connections are kept after a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Connections {
    /// Each serves many requests.
    Kept,
    /// A new one for each request.
    Short,
}

/// Puts load on a server, which must answer every request successfully.
pub(crate) async fn load(server: SocketAddr, connections: Connections) -> Result<()> {
    let mut command = WRK.command()?;
    command.args(["--duration", "2s", "--threads", "1", "--connections", "32"]);
    if matches!(connections, Connections::Short) {
        command.args(["--header", "Connection: close"]);
    }
    command.arg(format!("http://{server}/data/100"));
    let report = program::run(command).await?;
    // wrk prints these lines only if there were errors.
    for complaint in ["Socket errors", "Non-2xx"] {
        ensure!(!report.contains(complaint), "wrk complains:\n{report}");
    }
    let requests = requests(&report).with_context(|| format!("wrk does not tell:\n{report}"))?;
    ensure!(requests >= MINIMUM, "{requests} requests in two seconds");
    Ok(())
}

/// The number in wrk's line `  12345 requests in 2.00s, 1.50MB read`.
fn requests(report: &str) -> Option<u64> {
    let line = report.lines().find(|line| line.contains(" requests in "))?;
    line.split_whitespace().next()?.parse().ok()
}

async fn on_the_stack(lab: &Lab, connections: Connections) -> Result<()> {
    let net = lab.net().await?;
    let address = net.stack(Family::V4, 80);
    http::serve(&net.stack, address).await?;
    load(address, connections).await
}

pub(crate) async fn keepalive(lab: &Lab) -> Result<()> {
    on_the_stack(lab, Connections::Kept).await
}

pub(crate) async fn short(lab: &Lab) -> Result<()> {
    on_the_stack(lab, Connections::Short).await
}
