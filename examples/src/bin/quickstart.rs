//! Two stacks over a link in memory: an echo server on one, a client on the other.
//!
//! The client sends pseudorandom bytes to the echo server and checks every byte that comes back.
//! Both then print throughput, round-trip time, retransmissions, the states of each end of the
//! connection, and the handshake and close in tcpdump's notation.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use millstream::device::{Capture, Captured, Device, pair};
use millstream::{Stack, State, TcpInfo, TcpListener, TcpStream, Transition};
use millstream_console::{Out, Progress};
use millstream_examples::payload;
use millstream_wire::ip;
use millstream_wire::pretty::Trace;
use millstream_wire::tcp::{Flags, View};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

/// Bytes per call of write or read.
const CHUNK: usize = 64 * 1024;
/// The number of segments shown from the beginning: the handshake and the first data.
const BEGINNING: usize = 6;
/// The number of segments shown from the first FIN on.
const END: usize = 8;
/// Half the duration of TIME-WAIT. The default duration of a minute would delay the output.
const MSL: Duration = Duration::from_millis(100);

/// Moves data through an echo server over an in-memory link, no privilege needed
#[derive(Parser)]
struct Args {
    /// How many bytes to move there and back
    #[arg(long, default_value_t = 1 << 30, value_parser = clap::value_parser!(u64).range(1..))]
    bytes: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Args { bytes } = Args::parse();
    millstream_console::exit(run(bytes).await)
}

async fn run(bytes: u64) -> Result<ExitCode> {
    let states = States::default();
    let segments = Segments::default();
    let (server_device, client_device) = pair();
    let client_device = Capture::new(client_device, segments.recorder());
    let server = stack("10.0.0.1/24", server_device, &states)?;
    let client = stack("10.0.0.2/24", client_device, &states)?;

    let listener = server.listen("10.0.0.1:7").await?;
    let echo = tokio::spawn(echo(listener));
    payload::prepare();
    let stream = client.connect("10.0.0.1:7").await?;
    let ends = [stream.local_addr()?, stream.peer_addr()?];
    let [client_end, server_end] = ends;
    writeln!(
        Out,
        "{client_end} > {server_end}: {bytes} bytes there and back"
    )?;
    let began = Instant::now();
    let info = exchange(stream, bytes).await?;
    let took = began.elapsed();
    echo.await??;
    states.both_closed().await;

    report(bytes, took, &info)?;
    for (local, path) in states.paths() {
        writeln!(Out, "  {local:<16} {}", path.join(" -> "))?;
    }
    writeln!(Out, "\nhandshake and close, as the client saw them:")?;
    segments.print()?;
    Ok(ExitCode::SUCCESS)
}

fn stack(address: &str, device: impl Device, states: &States) -> Result<Stack> {
    Stack::builder()
        .device(device)
        .address(address)
        .config(|config| config.msl = MSL)
        .on_transition(states.observer())
        .build()
        .context("building a stack")
}

async fn echo(listener: TcpListener) -> Result<()> {
    let (mut stream, _) = listener.accept().await?;
    let (mut reader, mut writer) = stream.split();
    tokio::io::copy(&mut reader, &mut writer).await?;
    writer.shutdown().await?;
    Ok(())
}

/// Sends and checks the data, then closes; returns the connection's `TcpInfo` from just before the
/// close.
async fn exchange(mut stream: TcpStream, bytes: u64) -> Result<TcpInfo> {
    let progress = Progress::of_bytes(bytes);
    let (mut reader, mut writer) = stream.split();
    let send = async {
        let mut sent = 0;
        while sent < bytes {
            let length = usize::try_from(bytes - sent).unwrap_or(CHUNK).min(CHUNK);
            let chunk = payload::at(sent, length);
            writer.write_all(chunk).await?;
            sent += chunk.len() as u64;
        }
        anyhow::Ok(())
    };
    let receive = async {
        let mut buffer = vec![0; CHUNK];
        let mut received = 0;
        while received < bytes {
            let length = reader.read(&mut buffer).await?;
            ensure!(
                length > 0,
                "the echo ended after {received} of {bytes} bytes"
            );
            payload::check(received, &buffer[..length])?;
            received += length as u64;
            progress.set_position(received);
        }
        ensure!(received == bytes, "received {received} of {bytes} bytes");
        anyhow::Ok(())
    };
    tokio::try_join!(send, receive)?;
    progress.finish_and_clear();
    let info = stream.info().context("the connection is gone")?;
    stream.shutdown().await?;
    let rest = stream.read(&mut [0; 1]).await?;
    ensure!(rest == 0, "data after the end");
    Ok(info)
}

fn report(bytes: u64, took: Duration, info: &TcpInfo) -> io::Result<()> {
    let rate = bytes as f64 * 8.0 / took.as_secs_f64() / 1e9;
    let micros = |time: Option<Duration>| time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e6);
    writeln!(Out, "every byte came back as it was sent\n")?;
    writeln!(Out, "time             {:.3} s", took.as_secs_f64())?;
    writeln!(Out, "throughput       {rate:.2} Gbit/s each way")?;
    writeln!(
        Out,
        "round trip       {:.0} us smoothed, {:.0} us at the least",
        micros(info.rtt),
        micros(info.min_rtt)
    )?;
    writeln!(
        Out,
        "segments         {} out, {} in",
        info.segs_out, info.segs_in
    )?;
    writeln!(Out, "retransmissions  {}", info.total_retrans)?;
    writeln!(Out, "\nstates of each end:")
}

/// The states of every local end.
#[derive(Clone, Default)]
struct States {
    paths: watch::Sender<BTreeMap<SocketAddr, Vec<State>>>,
}

impl States {
    fn observer(&self) -> impl FnMut(&Transition) + Send + 'static {
        let paths = self.paths.clone();
        move |transition| {
            paths.send_modify(|paths| {
                let path = paths.entry(transition.local).or_default();
                if path.last() != Some(&transition.from) {
                    path.push(transition.from);
                }
                path.push(transition.to);
            });
        }
    }

    async fn both_closed(&self) {
        let over = |path: &Vec<State>| path.len() > 2 && path.last() == Some(&State::Closed);
        let mut changes = self.paths.subscribe();
        // `self` holds a sender, so the channel cannot be closed.
        let _ = changes
            .wait_for(|paths| paths.values().filter(|path| over(path)).count() == 2)
            .await;
    }

    fn paths(&self) -> Vec<(SocketAddr, Vec<&'static str>)> {
        let names = |path: &Vec<State>| path.iter().map(|state| state.name()).collect();
        self.paths
            .borrow()
            .iter()
            .map(|(local, path)| (*local, names(path)))
            .collect()
    }
}

/// The first segments on the link, and those from the first FIN on.
#[derive(Clone, Default)]
struct Segments {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    beginning: Vec<(Duration, Vec<u8>)>,
    end: Vec<(Duration, Vec<u8>)>,
    between: u64,
}

impl Segments {
    fn recorder(&self) -> impl FnMut(Captured<'_>) + Send + 'static {
        let kept = self.kept.clone();
        move |captured| {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.beginning.len() < BEGINNING {
                kept.beginning
                    .push((captured.elapsed, captured.packet.to_vec()));
            } else if kept.end.len() < END && (!kept.end.is_empty() || has_fin(captured.packet)) {
                kept.end.push((captured.elapsed, captured.packet.to_vec()));
            } else {
                kept.between += 1;
            }
        }
    }

    fn print(&self) -> io::Result<()> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut trace = Trace::new();
        let mut print = |segments: &[(Duration, Vec<u8>)]| {
            segments.iter().try_for_each(|(at, packet)| {
                writeln!(Out, "  {:>11.6} {}", at.as_secs_f64(), trace.line(packet))
            })
        };
        print(&kept.beginning)?;
        writeln!(Out, "              .. {} segments ..", kept.between)?;
        print(&kept.end)
    }
}

fn has_fin(packet: &[u8]) -> bool {
    let Ok(packet) = ip::Packet::parse(packet) else {
        return false;
    };
    packet.protocol() == ip::TCP
        && View::parse(packet.payload()).is_ok_and(|segment| segment.flags().contains(Flags::FIN))
}
