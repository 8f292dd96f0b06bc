//! An HTTP server, axum on millstream, behind a TUN interface.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path};
use axum::http::StatusCode;
use axum::routing::{get, post};
use bytes::Bytes;
use clap::Parser;
use futures::{StreamExt as _, stream};
use millstream_console::log;
use millstream_examples::payload;
use millstream_examples::serve::Stop;
use millstream_examples::tun::TunArgs;
use sha2::{Digest as _, Sha256};

/// HTTP server on its own TCP/IP stack
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    tun: TunArgs,
    /// Port to listen on; 0 selects a free one
    #[arg(long, default_value_t = 80)]
    port: u16,
}

/// Size of a download's chunks in bytes.
const CHUNK: usize = 64 * 1024;

/// The routes, for the index page.
const ROUTES: &str = "  GET  /download/BYTES  that many pseudorandom bytes, always the same
  GET  /sha256/BYTES    their SHA-256
  POST /upload          the length and the SHA-256 of the body
";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    millstream_console::exit(run(&Args::parse()).await)
}

async fn run(args: &Args) -> Result<ExitCode> {
    let stop = Stop::catch()?;
    let stack = args.tun.stack()?;
    let listener = stack
        .listen(SocketAddr::new(args.tun.address(), args.port))
        .await?;
    log(format_args!(
        "http://{}/, with\n{}",
        listener.local_addr()?,
        ROUTES.trim_end()
    ));
    let serve = async { Ok(axum::serve(listener, router()).await?) };
    stop.or(&stack, serve).await?;
    Ok(ExitCode::SUCCESS)
}

fn router() -> Router {
    Router::new()
        .route("/", get(index))
        .route("/download/{length}", get(download))
        .route("/sha256/{length}", get(sha256))
        .route("/upload", post(upload).put(upload))
        .layer(DefaultBodyLimit::disable())
}

async fn index() -> String {
    format!("This is tun-http, axum on millstream. It has\n{ROUTES}")
}

fn chunks(length: u64) -> impl Iterator<Item = &'static [u8]> + Send {
    (0..length).step_by(CHUNK).map(move |offset| {
        let rest = usize::try_from(length - offset).unwrap_or(CHUNK);
        payload::at(offset, rest.min(CHUNK))
    })
}

async fn download(Path(length): Path<u64>) -> Body {
    let chunks = chunks(length).map(|chunk| io::Result::Ok(Bytes::from_static(chunk)));
    Body::from_stream(stream::iter(chunks))
}

async fn sha256(Path(length): Path<u64>) -> String {
    let mut hash = Sha256::new();
    chunks(length).for_each(|chunk| hash.update(chunk));
    format!("{}\n", hex(&hash.finalize()))
}

async fn upload(body: Body) -> Result<String, (StatusCode, String)> {
    let mut hash = Sha256::new();
    let mut length = 0;
    let mut body = body.into_data_stream();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
        length += chunk.len();
        hash.update(chunk);
    }
    Ok(format!(
        "{length} bytes, SHA-256 {}\n",
        hex(&hash.finalize())
    ))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
