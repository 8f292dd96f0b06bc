//! curl against an axum server that runs on the stack.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use axum::Router;
use axum::body::Body;
use axum::extract::{self, DefaultBodyLimit, State};
use axum::routing::{get, post};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use millstream_integration_tests::lab::{Family, Lab, Net};
use millstream_integration_tests::pattern;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::sync::Barrier;
use tokio::task::JoinHandle;

const PORT: u16 = 80;
/// Bytes of the large file.
const LARGE: u64 = 256 << 20;
/// Bytes of a small one.
const SMALL: u64 = 100_000;
/// Requests that wait for each other.
const AT_ONCE: usize = 200;
const CHUNK: u64 = 64 * 1024;

/// `GET /data/N` gives N bytes of the pattern; `GET /together/N` does when [`AT_ONCE`] requests
/// for it are open; `POST /sha256` tells the digest of what it was sent.
fn router() -> Router {
    let everybody = Arc::new(Barrier::new(AT_ONCE));
    Router::new()
        .route("/data/{length}", get(data))
        .route("/together/{length}", get(together))
        .route("/sha256", post(digest).put(digest))
        .layer(DefaultBodyLimit::disable())
        .with_state(everybody)
}

async fn data(extract::Path(length): extract::Path<u64>) -> Body {
    let chunks = (0..length).step_by(CHUNK as usize).map(move |offset| {
        let bytes = pattern::bytes(offset, (length - offset).min(CHUNK) as usize);
        io::Result::Ok(Bytes::from(bytes))
    });
    Body::from_stream(stream::iter(chunks))
}

async fn together(State(everybody): State<Arc<Barrier>>, path: extract::Path<u64>) -> Body {
    everybody.wait().await;
    data(path).await
}

async fn digest(body: Body) -> Result<String, String> {
    let mut hash = Sha256::new();
    let mut body = body.into_data_stream();
    while let Some(chunk) = body.next().await {
        hash.update(chunk.map_err(|error| error.to_string())?);
    }
    Ok(hex(&hash.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The digest of the first `length` bytes of the pattern.
fn digest_of_pattern(length: u64) -> String {
    let mut hash = Sha256::new();
    for offset in (0..length).step_by(CHUNK as usize) {
        hash.update(pattern::bytes(
            offset,
            (length - offset).min(CHUNK) as usize,
        ));
    }
    hex(&hash.finalize())
}

async fn serve(net: &Net, family: Family) -> Result<(SocketAddr, JoinHandle<io::Result<()>>)> {
    let address = net.stack(family, PORT);
    let listener = net.stack.listen(address).await?;
    let server = tokio::spawn(async move { axum::serve(listener, router()).await });
    Ok((address, server))
}

fn curl() -> Command {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--fail"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Hashes what curl prints; it must end well.
async fn digest_of_output(mut command: Command) -> Result<(u64, String)> {
    let mut child = command
        .spawn()
        .context("starting curl (is it installed?)")?;
    let mut output = child.stdout.take().context("curl's output")?;
    let (mut hash, mut length) = (Sha256::new(), 0);
    let mut buffer = vec![0; CHUNK as usize];
    loop {
        let read = output.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        length += read as u64;
    }
    let rest = child.wait_with_output().await?;
    if !rest.status.success() {
        bail!(
            "curl: {}: {}",
            rest.status,
            String::from_utf8_lossy(&rest.stderr)
        );
    }
    Ok((length, hex(&hash.finalize())))
}

pub(crate) async fn download(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    for family in Family::BOTH {
        let (server, task) = serve(&net, family).await?;
        let mut command = curl();
        command.arg(format!("http://{server}/data/{LARGE}"));
        let (length, digest) = digest_of_output(command).await?;
        ensure!(length == LARGE, "{length} bytes came");
        ensure!(digest == digest_of_pattern(LARGE), "other bytes came");
        task.abort();
    }
    Ok(())
}

pub(crate) async fn upload(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    for family in Family::BOTH {
        let (server, task) = serve(&net, family).await?;
        let mut command = curl();
        command
            .args(["--upload-file", "-", &format!("http://{server}/sha256")])
            .stdin(Stdio::piped());
        let mut child = command
            .spawn()
            .context("starting curl (is it installed?)")?;
        let mut input = child.stdin.take().context("curl's input")?;
        let feed = async {
            pattern::send(&mut input, LARGE).await?;
            input.shutdown().await?;
            drop(input);
            anyhow::Ok(())
        };
        let wait = async { Ok(child.wait_with_output().await?) };
        let ((), output) = tokio::try_join!(feed, wait)?;
        ensure!(
            output.status.success(),
            "curl: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let digest = String::from_utf8(output.stdout)?;
        ensure!(
            digest == digest_of_pattern(LARGE),
            "the server received other bytes"
        );
        task.abort();
    }
    Ok(())
}

/// The server answers none of them before it has all: they are open at the same time.
pub(crate) async fn two_hundred_at_once(lab: &Lab) -> Result<()> {
    let net = lab.net().await?;
    let (server, task) = serve(&net, Family::V4).await?;
    let directory = Scratch::new("two_hundred_at_once").await?;
    let mut command = curl();
    command
        .args(["--parallel", "--parallel-immediate", "--parallel-max"])
        .arg(AT_ONCE.to_string())
        .arg("--output")
        .arg(directory.path().join("#1"))
        .arg(format!("http://{server}/together/{SMALL}?[1-{AT_ONCE}]"));
    let output = command
        .output()
        .await
        .context("starting curl (is it installed?)")?;
    ensure!(
        output.status.success(),
        "curl: {}",
        String::from_utf8_lossy(&output.stderr)
    );
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

/// A directory for one case's files, removed with them.
struct Scratch(PathBuf);

impl Scratch {
    async fn new(name: &str) -> Result<Self> {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        tokio::fs::create_dir_all(&path).await?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Under target/: what cannot be removed does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
