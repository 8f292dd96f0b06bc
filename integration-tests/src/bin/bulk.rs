//! Bulk throughput over a plain TUN interface compared with that of two kernels over a veth pair.
//!
//! "in": the kernel sends and the stack receives; "out": the stack sends. For veth another kernel,
//! in a namespace of its own, takes the role of the stack. Both are measured alternately in the
//! same run, with CUBIC on the kernel's sockets, because the speed of a shared machine changes from
//! one minute to the next: only the ratio is reliable.

use std::env;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use millstream::Stack;
use millstream::device::Tun;
use millstream_testbed::link::Netlink;
use millstream_testbed::{kernel, netns};
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The environment variable that makes the program the other kernel of the veth pair.
const PEER: &str = "MILLSTREAM_BULK_PEER";
const PORT: u16 = 7000;
const BUFFER: usize = 256 * 1024;
const PREFIX: u8 = 24;
/// The first byte of a connection, which selects the server's behaviour.
const SINK: u8 = b'i';
const SOURCE: u8 = b'o';

/// Measures bulk throughput over TUN and veth
#[derive(Clone, Parser)]
struct Args {
    /// Number of rounds; the results are medians
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Duration of one measurement in seconds
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// MTU of both links in bytes
    #[arg(long, default_value_t = 1500)]
    mtu: u16,
    /// Leave checksums and segmentation on the TUN interface to the kernel
    #[arg(long)]
    offload: bool,
}

/// The direction of the data, seen from the stack.
#[derive(Clone, Copy)]
enum Way {
    In,
    Out,
}

fn main() -> Result<()> {
    // Before any thread is started.
    netns::enter().context("entering a network namespace")?;
    if env::var_os(PEER).is_some() {
        return peer();
    }
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(measure(args))
}

fn host(network: u8, host: u8) -> IpAddr {
    Ipv4Addr::new(10, 78, network, host).into()
}

async fn measure(args: Args) -> Result<()> {
    let netlink = Netlink::open()?;
    netlink.link("lo").await?.up().await?;
    let tun = Tun::builder().name("bulk0").mtu(args.mtu.into()).up();
    let tun = tun.offload(args.offload).build()?;
    netlink
        .link("bulk0")
        .await?
        .add_address(host(0, 1), PREFIX)
        .await?;
    let stack = Stack::builder()
        .device(tun)
        .address(millstream::Cidr::new(host(0, 2), PREFIX))
        .build()?;
    let tun = SocketAddr::new(host(0, 2), PORT);
    let listener = stack.listen(tun).await?;
    let server = tokio::spawn(serve(listener));
    let (_peer, veth) = start_peer(&netlink, args.mtu).await?;

    let mut rates = [const { Vec::new() }; 4];
    for round in 1..=args.rounds {
        for (rates, (target, way)) in rates.iter_mut().zip([
            (tun, Way::In),
            (veth, Way::In),
            (tun, Way::Out),
            (veth, Way::Out),
        ]) {
            let seconds = Duration::from_secs_f64(args.seconds);
            let client = tokio::task::spawn_blocking(move || client(target, way, seconds));
            rates.push(client.await??);
        }
        let last = rates
            .each_ref()
            .map(|rates| rates.last().copied().unwrap_or(f64::NAN));
        println!(
            "round {round}: in {:.2} (veth {:.2}), out {:.2} (veth {:.2}) Gbit/s",
            last[0], last[1], last[2], last[3]
        );
    }
    ensure!(!server.is_finished(), "the server ended");
    let [tun_in, veth_in, tun_out, veth_out] = rates.map(median);
    println!(
        "\nmedians of {} rounds, MTU {}, Gbit/s",
        args.rounds, args.mtu
    );
    println!("          TUN    veth   ratio");
    println!(
        "in   {tun_in:>8.2} {veth_in:>7.2} {:>7.3}",
        tun_in / veth_in
    );
    println!(
        "out  {tun_out:>8.2} {veth_out:>7.2} {:>7.3}",
        tun_out / veth_out
    );
    println!("\n{:?}", stack.counters());
    Ok(())
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Moves data over a kernel socket for `time`; returns Gbit/s.
fn client(target: SocketAddr, way: Way, time: Duration) -> Result<f64> {
    let mut stream = TcpStream::connect(target).context("connecting")?;
    kernel::use_cubic(&SockRef::from(&stream))?;
    let mut buffer = vec![0; BUFFER];
    let mut bytes = 0;
    let began = Instant::now();
    match way {
        Way::In => {
            stream.write_all(&[SINK])?;
            while began.elapsed() < time {
                stream.write_all(&buffer)?;
                bytes += buffer.len();
            }
            stream.shutdown(std::net::Shutdown::Write)?;
            // The server closes when it has received everything.
            ensure!(stream.read(&mut buffer)? == 0, "data from a sink");
        }
        Way::Out => {
            stream.write_all(&[SOURCE])?;
            while began.elapsed() < time {
                let length = stream.read(&mut buffer)?;
                ensure!(length > 0, "the source ended");
                bytes += length;
            }
        }
    }
    Ok(bytes as f64 * 8.0 / began.elapsed().as_secs_f64() / 1e9)
}

/// The server on the stack: serves one connection after another.
async fn serve(listener: millstream::TcpListener) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let (mut stream, _) = listener.accept().await?;
        if stream.read_u8().await? == SINK {
            while stream.read(&mut buffer).await? > 0 {}
        } else {
            // Until the client has enough data and resets.
            while stream.write_all(&buffer).await.is_ok() {}
        }
    }
}

/// Starts the other kernel and creates the veth pair to it.
async fn start_peer(netlink: &Netlink, mtu: u16) -> Result<(Child, SocketAddr)> {
    let mut child = Command::new(env::current_exe()?)
        .env(PEER, mtu.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting the peer process")?;
    let mut lines = io::BufReader::new(child.stdout.take().context("output")?).lines();
    let mut expect = |wanted: &str| match lines.next() {
        Some(Ok(line)) if line == wanted => Ok(()),
        other => bail!("the peer process printed {other:?} instead of {wanted:?}"),
    };
    expect("entered")?;
    netlink.add_veth("veth0", "veth1", child.id()).await?;
    let link = netlink.link("veth0").await?;
    link.set_mtu(mtu.into()).await?;
    link.add_address(host(1, 1), PREFIX).await?;
    link.up().await?;
    // The peer's interface exists: let it be configured.
    child.stdin.as_mut().context("input")?.write_all(b"\n")?;
    expect("listening")?;
    Ok((child, SocketAddr::new(host(1, 2), PORT)))
}

/// Runs the other kernel. It ends at the end of its input, that is, with its parent.
fn peer() -> Result<()> {
    println!("entered");
    let mut input = io::stdin().lock();
    input.read_exact(&mut [0])?;
    let mtu = env::var(PEER)?.parse()?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let netlink = Netlink::open()?;
            let link = netlink.link("veth1").await?;
            link.set_mtu(mtu).await?;
            link.add_address(host(1, 2), PREFIX).await?;
            link.up().await
        })?;
    let listener = TcpListener::bind(SocketAddr::new(host(1, 2), PORT))?;
    // Accepted sockets inherit it.
    kernel::use_cubic(&SockRef::from(&listener))?;
    thread::spawn(move || {
        for stream in listener.incoming() {
            if let Err(error) = stream.and_then(serve_one) {
                eprintln!("peer: {error}");
            }
        }
    });
    println!("listening");
    io::copy(&mut input, &mut io::sink())?;
    Ok(())
}

fn serve_one(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    stream.read_exact(&mut buffer[..1])?;
    if buffer[0] == SINK {
        while stream.read(&mut buffer)? > 0 {}
    } else {
        while stream.write_all(&buffer).is_ok() {}
    }
    Ok(())
}
