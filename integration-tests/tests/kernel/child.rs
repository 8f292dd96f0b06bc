//! This program as a second process: a kernel server that a case can kill.

use std::env;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{ExitCode, Stdio};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// The environment variable with the address that makes this process a server instead of a test.
const SERVER: &str = "MILLSTREAM_TEST_SERVER";
/// The environment variable with the number of bytes that the server reads.
const READS: &str = "MILLSTREAM_TEST_SERVER_READS";

/// Starts the server and waits until it listens. It accepts one connection, reads `reads` bytes and
/// answers each of them, and then waits until it is killed.
pub(crate) async fn start_server(address: SocketAddr, reads: u64) -> Result<Child> {
    let mut child = Command::new(env::current_exe()?)
        .env(SERVER, address.to_string())
        .env(READS, reads.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting the server")?;
    let output = child.stdout.take().context("the server's output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).await?;
    anyhow::ensure!(line == "listening\n", "the server said {line:?}");
    Ok(child)
}

/// Runs the server, if this process was started as one.
pub(crate) fn run_if_asked() -> Option<ExitCode> {
    let address = env::var(SERVER).ok()?;
    match serve(&address) {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("server on {address}: {error}");
            Some(ExitCode::FAILURE)
        }
    }
}

fn serve(address: &str) -> io::Result<()> {
    let reads: u64 = env::var(READS)
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    let listener = TcpListener::bind(address)?;
    println!("listening");
    io::stdout().flush()?;
    let (mut stream, _) = listener.accept()?;
    let mut byte = [0];
    for _ in 0..reads {
        stream.read_exact(&mut byte)?;
        stream.write_all(&byte)?;
    }
    // Until the test ends, which closes the input.
    io::copy(&mut io::stdin().lock(), &mut io::sink()).map(drop)
}
