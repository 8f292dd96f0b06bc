//! Python's socket and http.client modules, and its http.server.

use std::fs;

use anyhow::{Result, ensure};
use millstream_integration_tests::http;
use millstream_testbed::lab::{Family, Lab};
use millstream_testbed::program::{self, Server};
use millstream_testbed::{kernel, pattern};
use tokio::process::Command;

use crate::PYTHON;
use crate::http_client::{Client, Version};
use crate::route::{Route, Way};

const PORT: u16 = 8000;
/// Sockets at both ends: echo, half-close, resets.
const SOCKETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs/sockets.py");
/// A client that downloads, and uploads in chunks.
const HTTP_CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs/http_client.py");

fn script(path: &str) -> Result<Command> {
    let mut command = PYTHON.command()?;
    // Unbuffered output, so that a server's first line appears at once.
    command.args(["-u", path]);
    Ok(command)
}

/// The client checks all results, including those of its server.
pub(crate) async fn sockets(lab: &Lab, way: Way) -> Result<()> {
    let route = Route::new(lab, way).await?;
    let server = route.server(PORT);
    let mut command = script(SOCKETS)?;
    command.args([
        "serve",
        &server.ip().to_string(),
        &server.port().to_string(),
    ]);
    let _server = Server::start(command, "listening").await?;

    let address = route.open(PORT).await?;
    let mut command = script(SOCKETS)?;
    command.args([
        "talk",
        &address.ip().to_string(),
        &address.port().to_string(),
    ]);
    let report = program::run(command).await?;
    ensure!(report == "all is well\n", "the client says {report}");
    Ok(())
}

/// Requests on one connection, including uploads in chunks of all sizes.
pub(crate) async fn chunked_upload(lab: &Lab, way: Way) -> Result<()> {
    let route = Route::new(lab, way).await?;
    let listener = kernel::listen(route.server(PORT))?;
    tokio::spawn(async move { axum::serve(listener, http::router()).await });

    let address = route.open(PORT).await?;
    let mut command = script(HTTP_CLIENT)?;
    command.args([address.ip().to_string(), address.port().to_string()]);
    let report = program::run(command).await?;
    ensure!(report == "all is well\n", "the client says {report}");
    Ok(())
}

/// hyper on the stack with Python's server, which closes after each answer.
pub(crate) async fn http_server(lab: &Lab) -> Result<()> {
    const LENGTH: u64 = 10 << 20;
    let net = lab.net().await?;
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    fs::write(
        directory.path().join("file"),
        pattern::bytes(0, LENGTH as usize),
    )?;
    for family in Family::BOTH {
        let address = net.kernel(family, PORT);
        let mut command = PYTHON.command()?;
        command
            .args(["-u", "-m", "http.server", &address.port().to_string()])
            .args(["--bind", &address.ip().to_string(), "--directory"])
            .arg(directory.path());
        let _server = Server::start(command, "Serving HTTP").await?;
        for _ in 0..5 {
            let stream = net.stack.connect(address).await?;
            let mut client = Client::new(stream, Version::Http1).await?;
            client.expect_pattern("/file", LENGTH).await?;
        }
    }
    Ok(())
}
