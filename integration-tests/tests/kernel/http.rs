//! curl with an axum server that runs on the stack.

use anyhow::{Context as _, Result, ensure};
use millstream_integration_tests::http::{self, AT_ONCE};
use millstream_testbed::lab::{Family, Lab};
use millstream_testbed::program::{self, CURL};
use millstream_testbed::{digest, pattern};
use tokio::process::Command;

const PORT: u16 = 80;
/// The size of the large file in bytes.
const LARGE: u64 = 256 << 20;
/// The size of a small file in bytes.
const SMALL: u64 = 100_000;

fn curl() -> Result<Command> {
    let mut command = CURL.command()?;
    command.args(["--silent", "--show-error", "--fail"]);
    Ok(command)
}

pub(crate) async fn download(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    for family in Family::BOTH {
        let server = net.stack(family, PORT);
        let task = http::serve(&net.stack, server).await?;
        let mut command = curl()?;
        command.arg(format!("http://{server}/data/{LARGE}"));
        program::expect_pattern(command, LARGE).await?;
        task.abort();
    }
    Ok(())
}

pub(crate) async fn upload(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    for family in Family::BOTH {
        let server = net.stack(family, PORT);
        let task = http::serve(&net.stack, server).await?;
        let mut command = curl()?;
        command.args(["--upload-file", "-", &format!("http://{server}/sha256")]);
        let digest =
            program::run_fed(command, async |input| pattern::send(input, LARGE).await).await?;
        ensure!(
            digest == digest::of_pattern(LARGE),
            "the server received other bytes"
        );
        task.abort();
    }
    Ok(())
}

/// The server answers only after it has received all requests, so all are open at the same time.
pub(crate) async fn two_hundred_at_once(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    let server = net.stack(Family::V4, PORT);
    let task = http::serve(&net.stack, server).await?;
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut command = curl()?;
    command
        .args(["--parallel", "--parallel-immediate", "--parallel-max"])
        .arg(AT_ONCE.to_string())
        .arg("--output")
        .arg(directory.path().join("#1"))
        .arg(format!("http://{server}/together/{SMALL}?[1-{AT_ONCE}]"));
    program::run(command).await?;
    for number in 1..=AT_ONCE {
        let body = tokio::fs::read(directory.path().join(number.to_string())).await?;
        ensure!(
            body.len() as u64 == SMALL,
            "request {number}: {} bytes",
            body.len()
        );
        pattern::check(0, &body).with_context(|| format!("request {number}"))?;
    }
    task.abort();
    Ok(())
}
