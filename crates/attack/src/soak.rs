//! Mixed real traffic between a stack and the Linux kernel over TUN, through a bad link, with every
//! kind of end. Every byte is checked, and nothing may be left.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use fastrand::Rng;
use millstream::device::{Device, Tun};
use millstream::{Stack, TcpListener, TcpStream};
use millstream_netsim::{Corruption, Impaired, LinkConfig};
use millstream_testbed::link::Netlink;
use millstream_testbed::{kernel, netns, pattern};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::heap;

/// The kernel's address.
const KERNEL: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 1);
/// The stack's address.
const STACK: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 2);
/// The port on which both serve.
const PORT: u16 = 7;
/// The number of simultaneous conversations.
const WORKERS: u64 = 16;
/// Bytes of the longest conversation, in each direction.
const LONGEST: u64 = 2 << 20;
/// The time after which a conversation counts as hung.
const PATIENCE: Duration = Duration::from_secs(60);
/// The lifetime of a stack; then it crashes or shuts down, and another takes its interface.
const LIFE: Duration = Duration::from_secs(10);
/// Lifetimes after which the memory of the process should no longer grow: conversations with
/// crashed stacks last a minute.
const SETTLING: u32 = 8;
/// Bytes that the process may hold in addition later.
const SLACK: usize = 4 << 20;

/// Counts of conversations.
#[derive(Debug, Default)]
struct Tally {
    whole: AtomicU64,
    aborted: AtomicU64,
    /// Conversations that ended with the stack's lifetime.
    cut: AtomicU64,
    bytes: AtomicU64,
}

/// Runs for `minutes`, in a network namespace of its own.
///
/// # Errors
/// A byte was wrong, a conversation hung, or something was left.
pub(crate) fn run(minutes: f64) -> Result<ExitCode> {
    netns::enter().context("the soak needs a network namespace with a TUN device: run as root")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let seed = fastrand::u64(..);
    eprintln!("seed {seed:#x}");
    runtime.block_on(soak(Duration::from_secs_f64(minutes * 60.0), seed))?;
    Ok(ExitCode::SUCCESS)
}

async fn soak(length: Duration, seed: u64) -> Result<()> {
    let end = Instant::now() + length;
    let mut chance = Rng::with_seed(seed);
    let tally = Arc::new(Tally::default());
    // The kernel's end persists; its listener is on every address.
    let every = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), PORT);
    let server = tokio::spawn(serve_kernel(kernel::listen(every)?));
    let (mut lives, mut settled) = (0_u32, 0);
    while Instant::now() < end {
        life(&mut chance, end.min(Instant::now() + LIFE), &tally).await?;
        lives += 1;
        let held = heap::live();
        if lives <= SETTLING {
            settled = settled.max(held);
        }
        ensure!(
            held <= settled + SLACK,
            "after {lives} lives {held} bytes are held, at most {settled} after the first {SETTLING}"
        );
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        eprintln!(
            "{lives} lives: {} whole, {} aborted, {} cut, {:.1} MB checked, {:.1} MB held",
            count(&tally.whole),
            count(&tally.aborted),
            count(&tally.cut),
            count(&tally.bytes) as f64 / 1e6,
            held as f64 / 1e6,
        );
    }
    server.abort();
    ensure!(
        tally.whole.load(Ordering::Relaxed) > 0,
        "no conversation came to its end"
    );
    Ok(())
}

/// The end of a stack's lifetime.
#[derive(Clone, Copy, Debug)]
enum End {
    /// All conversations finish, and the stack waits for them.
    Orderly,
    /// The stack shuts down: open connections are reset.
    Shutdown,
    /// The stack and its tables vanish silently.
    Crash,
}

async fn life(chance: &mut Rng, until: Instant, tally: &Arc<Tally>) -> Result<()> {
    let stack = Stack::builder()
        .device(device(chance).await?)
        .address("10.88.0.2/24")
        .build()?;
    let listener = stack.listen(SocketAddr::new(STACK.into(), PORT)).await?;
    let serving = tokio::spawn(serve_stack(listener, chance.u64(..)));
    let end = match chance.u8(..3) {
        0 => End::Orderly,
        1 => End::Shutdown,
        _ => End::Crash,
    };
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let (stack, tally, chance) = (stack.clone(), Arc::clone(tally), chance.fork());
        workers.spawn(work(
            stack,
            chance,
            until,
            tally,
            matches!(end, End::Orderly),
        ));
    }
    if !matches!(end, End::Orderly) {
        tokio::time::sleep_until(until).await;
        workers.abort_all();
    }
    while let Some(done) = workers.join_next().await {
        match done {
            Ok(worked) => {
                worked.with_context(|| format!("a conversation of a life that ends {end:?}"))?;
            }
            Err(error) if error.is_cancelled() => {
                tally.cut.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => bail!(error),
        }
    }
    serving.abort();
    let _ = serving.await;
    match end {
        End::Orderly => nothing_is_left(&stack).await?,
        End::Shutdown => {
            stack.shutdown().await;
            ensure!(
                stack.sockets().is_empty(),
                "a stack that was shut down has connections"
            );
        }
        End::Crash => {}
    }
    drop(stack);
    Ok(())
}

/// Waits until every connection has ended: the longest wait is the TIME-WAIT of the last.
async fn nothing_is_left(stack: &Stack) -> Result<()> {
    let gone = async {
        while !stack.sockets().is_empty() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    let ended = timeout(Duration::from_secs(150), gone).await;
    ensure!(ended.is_ok(), "left after 150 s: {:?}", stack.sockets());
    Ok(())
}

/// An interface behind a link that occasionally loses, reorders, delays and duplicates packets.
async fn device(chance: &mut Rng) -> Result<impl Device> {
    let tun = timeout(PATIENCE, free_interface())
        .await
        .context("the interface of the last stack does not go")??;
    let netlink = Netlink::open()?;
    let link = netlink.link("soak").await?;
    link.add_address(IpAddr::V4(KERNEL), 24).await?;
    link.up().await?;
    let bad = |chance: &mut Rng| {
        let link = LinkConfig::new().delay(Duration::from_millis(chance.u64(..8)));
        match chance.u8(..4) {
            0 => link,
            1 => link.loss(0.01),
            2 => link.duplication(0.02).loss(0.002),
            _ => link.corruption(Corruption::new(0.001)),
        }
    };
    let (out, back) = (bad(chance), bad(chance));
    Ok(Impaired::new(tun, out, back, chance.u64(..)))
}

/// Waits for the name, which is free when the last stack's driver has ended.
async fn free_interface() -> Result<Tun> {
    loop {
        match Tun::builder().name("soak").offload(false).build() {
            Ok(tun) => return Ok(tun),
            Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                sleep(Duration::from_millis(20)).await;
            }
            Err(error) => return Err(error).context("making a TUN interface"),
        }
    }
}

/// The conversations of one worker, one after the other.
async fn work(
    stack: Stack,
    mut chance: Rng,
    until: Instant,
    tally: Arc<Tally>,
    orderly: bool,
) -> Result<()> {
    while Instant::now() < until {
        let length = chance.u64(1..LONGEST);
        let how = chance.u8(..8);
        let talk = async {
            if how < 4 {
                let stream = stack.connect((KERNEL, PORT)).await?;
                stream.set_nodelay(chance.bool())?;
                talk(stream, length, how == 0).await
            } else {
                let address = SocketAddr::new(STACK.into(), PORT);
                let stream = kernel::connect(address).await?;
                talk(stream, length, how == 4).await
            }
        };
        match timeout(PATIENCE, talk).await {
            Err(_) => bail!(
                "a conversation of {length} bytes hangs: {:?}",
                stack.sockets()
            ),
            Ok(Ok(Some(bytes))) => {
                tally.whole.fetch_add(1, Ordering::Relaxed);
                tally.bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            Ok(Ok(None)) => {
                tally.aborted.fetch_add(1, Ordering::Relaxed);
            }
            // For a while, resets answer the traffic of a stack that crashed before.
            Ok(Err(error)) if !orderly || is_reset(&error) => {
                tally.cut.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Err(error)) => return Err(error),
        }
    }
    Ok(())
}

fn is_reset(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionReset)
}

/// Sends `length` bytes, reads them back and checks each. With `leaves` the stream is dropped in
/// the middle.
async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    length: u64,
    leaves: bool,
) -> Result<Option<u64>> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    if leaves {
        pattern::send(&mut writer, length / 2).await?;
        return Ok(None);
    }
    let send = async {
        pattern::send(&mut writer, length).await?;
        writer.shutdown().await?;
        anyhow::Ok(())
    };
    tokio::try_join!(send, pattern::receive(&mut reader, length))?;
    Ok(Some(2 * length))
}

/// Echoes on the kernel's side until the peer has sent everything.
async fn serve_kernel(listener: tokio::net::TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        // The kernel receives nothing more from a stack that has crashed.
        tokio::spawn(timeout(PATIENCE, echo(stream)));
    }
}

/// Echoes on the stack's side; sometimes gives up in the middle.
async fn serve_stack(listener: TcpListener, seed: u64) {
    let mut chance = Rng::with_seed(seed);
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve_one(stream, chance.bool()));
    }
}

async fn serve_one(stream: TcpStream, keepalive: bool) {
    let _ = stream.set_nodelay(keepalive);
    echo(stream).await;
}

async fn echo(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    if tokio::io::copy(&mut reader, &mut writer).await.is_ok() {
        let _ = writer.shutdown().await;
        // The peer closes when it has read everything.
        let _ = reader.read(&mut [0; 1]).await;
    }
}
