//! h2load: HTTP/2 with a hundred concurrent streams on each of eight connections.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use millstream_integration_tests::http;
use millstream_testbed::lab::{Family, Lab};
use millstream_testbed::program;

use crate::H2LOAD;

/// The total number of requests.
const REQUESTS: u64 = 10_000;

/// Puts load on a server, which must answer every request successfully.
pub(crate) async fn load(server: SocketAddr) -> Result<()> {
    let mut command = H2LOAD.command()?;
    command
        .args(["--requests", &REQUESTS.to_string()])
        .args(["--clients", "8", "--max-concurrent-streams", "100"])
        .arg(format!("http://{server}/data/1000"));
    let report = program::run(command).await?;
    for line in [
        format!("{REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout"),
        format!("({}) data", REQUESTS * 1000),
    ] {
        ensure!(report.contains(&line), "not {line:?}:\n{report}");
    }
    Ok(())
}

pub(crate) async fn streams(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    let address = net.stack(Family::V4, 80);
    http::serve(&net.stack, address).await?;
    load(address).await
}
