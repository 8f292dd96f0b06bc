//! A UDP echo server behind a TUN interface, for `nc -u`, `socat` or any other program on this
//! machine.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use millstream::{UdpSend, UdpSocket};
use millstream_console::log;
use millstream_examples::serve::Stop;
use millstream_examples::tun::TunArgs;

/// UDP echo server on its own TCP/IP stack
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    tun: TunArgs,
    /// Port to receive on; 0 selects a free one
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
    let socket = stack
        .bind_udp(SocketAddr::new(args.tun.address(), args.port))
        .await?;
    let address = socket.local_addr()?;
    log(format_args!(
        "echo on {address}; try: nc -u {} {}",
        address.ip(),
        address.port()
    ));
    stop.or(&stack, echo(&socket)).await?;
    Ok(ExitCode::SUCCESS)
}

/// Returns every datagram to its sender, from the address to which it was sent and with its ECN
/// bits, without a copy.
async fn echo(socket: &UdpSocket) -> Result<()> {
    loop {
        let datagram = socket.recv_datagram().await?;
        let answer = UdpSend::new(datagram.payload)
            .to(Some(datagram.from))
            .from(Some(datagram.to))
            .tos(Some(datagram.tos));
        if let Err(error) = socket.send_datagram(&answer).await {
            log(format_args!("{}: {error}", datagram.from));
        }
    }
}
