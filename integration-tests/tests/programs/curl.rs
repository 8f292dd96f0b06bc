//! curl, with an axum server on the stack or any server at an address.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use millstream_integration_tests::http;
use millstream_testbed::lab::{Family, Lab};
use millstream_testbed::program::{self, CURL};
use millstream_testbed::{digest, pattern};
use tokio::process::Command;

/// Bytes moved in each direction.
pub(crate) const LARGE: u64 = 50 << 20;

/// curl's option for the HTTP version from the first byte on.
pub(crate) const HTTP1: &str = "--http1.1";
pub(crate) const HTTP2: &str = "--http2-prior-knowledge";

fn curl(version: &str) -> Result<Command> {
    let mut command = CURL.command()?;
    command.args(["--silent", "--show-error", "--fail", version]);
    Ok(command)
}

/// Fetches `/data/LARGE` and checks it.
pub(crate) async fn download(server: SocketAddr, version: &str) -> Result<()> {
    let mut command = curl(version)?;
    command.arg(format!("http://{server}/data/{LARGE}"));
    program::expect_pattern(command, LARGE).await
}

/// Uploads [`LARGE`] bytes, without an announced length, to `path`. Returns the answer.
pub(crate) async fn upload(server: SocketAddr, path: &str, version: &str) -> Result<String> {
    let mut command = curl(version)?;
    command.args(["--upload-file", "-", &format!("http://{server}{path}")]);
    program::run_fed(command, async |input| pattern::send(input, LARGE).await).await
}

async fn both_directions(lab: &Lab, version: &str) -> Result<()> {
    let net = lab.net().await?;
    let server = net.stack(Family::V4, 80);
    http::serve(&net.stack, server).await?;
    download(server, version).await?;
    let answer = upload(server, "/sha256", version).await?;
    ensure!(
        answer == digest::of_pattern(LARGE),
        "the server received different bytes"
    );
    Ok(())
}

pub(crate) async fn http1(lab: &Lab) -> Result<()> {
    both_directions(lab, HTTP1).await
}

pub(crate) async fn http2(lab: &Lab) -> Result<()> {
    both_directions(lab, HTTP2).await
}
