//! Forwards every TCP connection into a TUN interface, whatever its destination address, to the
//! same port of one host.
//!
//! The machine's own programs are the clients; the forwarded connections use the kernel's sockets.
//! A client's handshake completes after that of the forwarded connection, and a refused connection
//! is refused to the client.

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use millstream::Attempt;
use millstream_console::log;
use millstream_examples::serve::Stop;
use millstream_examples::tun::TunArgs;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Forwards TCP connections into a TUN interface to the same port of one host
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    tun: TunArgs,
    /// The host to forward to
    #[arg(long, default_value = "127.0.0.1")]
    to: IpAddr,
    /// Seconds to wait for the host's reply
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    patience: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    millstream_console::exit(run(&Args::parse()).await)
}

async fn run(args: &Args) -> Result<ExitCode> {
    let stop = Stop::catch()?;
    let stack = args.tun.stack()?;
    let listener = stack.listen_any()?;
    log(format_args!(
        "forwarding TCP to {}; try: nc {} PORT, or route other networks into the interface",
        args.to,
        args.tun.address()
    ));
    let patience = Duration::from_secs(args.patience);
    let serve = async {
        loop {
            let attempt = listener.accept().await?;
            let host = SocketAddr::new(args.to, attempt.local_addr().port());
            tokio::spawn(forward(attempt, host, patience));
        }
    };
    stop.or(&stack, serve).await?;
    Ok(ExitCode::SUCCESS)
}

async fn forward(attempt: Attempt, host: SocketAddr, patience: Duration) {
    let way = format!("{} to {}", attempt.peer_addr(), attempt.local_addr());
    let mut there = match timeout(patience, TcpStream::connect(host)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            log(format_args!("{way}: {host}: {error}"));
            return attempt.reject();
        }
        Err(_) => {
            log(format_args!("{way}: {host} does not answer"));
            return attempt.ignore();
        }
    };
    let forwarded = async {
        let mut here = attempt.accept().await?;
        copy_bidirectional(&mut here, &mut there).await
    };
    match forwarded.await {
        Ok((sent, received)) => log(format_args!("{way}: {sent} bytes there, {received} back")),
        Err(error) => log(format_args!("{way}: {error}")),
    }
}
