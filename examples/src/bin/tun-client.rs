//! Fetches a page from a server on this machine's kernel: hyper's client on millstream, over a TUN
//! interface.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use http_body_util::{BodyExt as _, Empty};
use hyper::header::HOST;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use millstream::Stack;
use millstream_console::{log, of_output};
use millstream_examples::serve::Stop;
use millstream_examples::tun::TunArgs;
use tokio::io::{AsyncWriteExt as _, stdout};

/// HTTP client on its own TCP/IP stack
///
/// Start a server first, for example `python3 -m http.server 8000`.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    tun: TunArgs,
    /// URL to fetch
    #[arg(default_value = "http://10.77.0.1:8000/")]
    url: Uri,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    millstream_console::exit(run(&Args::parse()).await)
}

async fn run(args: &Args) -> Result<ExitCode> {
    let stop = Stop::catch()?;
    let stack = args.tun.stack()?;
    stop.or(&stack, get(&stack, &args.url)).await?;
    Ok(ExitCode::SUCCESS)
}

async fn get(stack: &Stack, url: &Uri) -> Result<()> {
    let (Some("http"), Some(authority)) = (url.scheme_str(), url.authority()) else {
        bail!("{url} is not of the form http://HOST[:PORT]/PATH");
    };
    let port = authority.port_u16().unwrap_or(80);
    let stream = stack
        .connect((authority.host().trim_matches(['[', ']']), port))
        .await
        .with_context(|| format!("connecting to {authority}"))?;
    log(format_args!(
        "connected: {} > {}",
        stream.local_addr()?,
        stream.peer_addr()?
    ));

    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get(url.path_and_query().map_or("/", |path| path.as_str()))
        .header(HOST, authority.as_str())
        .body(Empty::<&[u8]>::new())?;
    let mut response = sender.send_request(request).await?;
    log(format_args!(
        "{:?} {}",
        response.version(),
        response.status()
    ));
    let mut out = stdout();
    while let Some(frame) = response.frame().await {
        if let Some(data) = frame?.data_ref() {
            out.write_all(data).await.map_err(of_output)?;
        }
    }
    out.flush().await.map_err(of_output)?;
    drop(sender);
    connection.await??;
    Ok(())
}
