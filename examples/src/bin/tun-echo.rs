//! An echo server behind a TUN interface, for `nc`, `socat` or any other program of this machine.

use std::net::SocketAddr;

use anyhow::Result;
use clap::Parser;
use futures::TryStreamExt as _;
use millstream::TcpStream;
use millstream_examples::tun::TunArgs;
use tokio::io::AsyncWriteExt as _;

/// Echo server on a TCP/IP stack of its own
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    tun: TunArgs,
    /// Port to listen on
    #[arg(long, default_value_t = 7)]
    port: u16,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let stack = args.tun.stack()?;
    let address = SocketAddr::new(args.tun.address(), args.port);
    let listener = stack.listen(address).await?;
    println!(
        "echo on {address}; try: nc {} {}",
        address.ip(),
        address.port()
    );

    let serve = listener.into_stream().try_for_each(|stream| async {
        tokio::spawn(echo(stream));
        Ok(())
    });
    tokio::select! {
        result = serve => result?,
        result = tokio::signal::ctrl_c() => result?,
    }
    stack.shutdown().await;
    Ok(())
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
        (Ok(bytes), Ok(peer)) => println!("{peer}: {bytes} bytes"),
        (Err(error), Ok(peer)) => println!("{peer}: {error}"),
        (_, Err(error)) => println!("a connection was over before it began: {error}"),
    }
}
