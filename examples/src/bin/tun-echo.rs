//! An echo server behind a TUN interface, for `nc`, `socat` or any other program on this machine.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use futures::TryStreamExt as _;
use millstream::TcpStream;
use millstream_console::log;
use millstream_examples::serve::Stop;
use millstream_examples::tun::TunArgs;
use tokio::io::AsyncWriteExt as _;

/// Echo server on its own TCP/IP stack
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    tun: TunArgs,
    /// Port to listen on; 0 selects a free one
    #[arg(long, default_value_t = 7)]
    port: u16,
}

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
    let address = listener.local_addr()?;
    log(format_args!(
        "echo on {address}; try: nc {} {}",
        address.ip(),
        address.port()
    ));
    let serve = async {
        let mut connections = listener.into_stream();
        while let Some(stream) = connections.try_next().await? {
            tokio::spawn(echo(stream));
        }
        Ok(())
    };
    stop.or(&stack, serve).await?;
    Ok(ExitCode::SUCCESS)
}

async fn echo(mut stream: TcpStream) {
    let peer = stream.peer_addr();
    let copied = async {
        let (mut reader, mut writer) = stream.split();
        let bytes = tokio::io::copy(&mut reader, &mut writer).await?;
        writer.shutdown().await?;
        std::io::Result::Ok(bytes)
    };
    match (copied.await, peer) {
        (Ok(bytes), Ok(peer)) => log(format_args!("{peer}: {bytes} bytes")),
        (Err(error), Ok(peer)) => log(format_args!("{peer}: {error}")),
        (_, Err(error)) => log(format_args!(
            "a connection failed before it was accepted: {error}"
        )),
    }
}
