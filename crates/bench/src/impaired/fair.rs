//! Two senders, a kernel and millstream, that share a bottleneck to one receiver: the share of
//! each.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::thread;

use anyhow::{Context as _, Result};
use millstream_console::Out;
use millstream_netsim::{Bridge, LinkConfig};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{read, write};
use socket2::{Domain, Socket, Type};

use super::end::{End, Flow, Kind};
use super::{MS, RECEIVER, SENDER};
use crate::cli::ImpairedArgs;
use crate::rounds::progress;
use crate::stats::{jain, median};

/// The address of the second sender, millstream.
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 3));

/// Bytes from each sender: about 26 seconds for both.
const LENGTH: usize = 80_000_000;
/// The rate of the bottleneck in bits per second.
const RATE: u64 = 50_000_000;
/// Seconds at the start that are not counted.
const SETTLE: f64 = 4.0;

/// `impaired --fair`.
pub(super) fn run(args: &ImpairedArgs) -> Result<()> {
    let bar = progress(args.rounds);
    let mut shares = Vec::new();
    for round in 0..args.rounds {
        shares.push(measure(args.seed + round as u64)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let medians = [0, 1].map(|side| median(&shares.iter().map(|s| s[side]).collect::<Vec<_>>()));
    let indices: Vec<_> = shares.iter().map(|&[a, b]| jain(&[a, b])).collect();
    let jain = median(&indices);
    if args.json {
        let fair =
            serde_json::json!({ "kernel": medians[0], "millstream": medians[1], "jain": jain });
        writeln!(Out, "{}", serde_json::json!({ "fair": fair }))?;
        return Ok(());
    }
    writeln!(
        Out,
        "50 Mbit/s, 20 ms, two flows of cubic, medians: kernel {:.2} Mbit/s, millstream {:.2}; Jain's index {jain:.3}",
        medians[0], medians[1]
    )?;
    Ok(())
}

/// Rates in Mbit/s of the kernel's and millstream's flow while both last.
fn measure(seed: u64) -> Result<[f64; 2]> {
    let queue = (RATE / 8 / 50) as usize;
    let link = LinkConfig::new().rate(RATE).delay(10 * MS).queue(queue);
    let (receiver, there) = End::start(Kind::Kernel, RECEIVER)?;
    let (kernel, left) = End::start(Kind::Kernel, SENDER)?;
    let (millstream, right) = End::start(Kind::Millstream, OTHER)?;
    let here = join(left, right)?;
    let bridge = Bridge::start(here, there, link.clone(), link, seed)?;
    receiver.serve(2)?;
    let flows = [&kernel, &millstream].map(|sender| sender.begin(RECEIVER, LENGTH));
    let [kernel_flow, millstream_flow] =
        flows.map(|flow| flow.recv().context("the thread is gone").flatten());
    bridge.stop()?;
    let (kernel_flow, millstream_flow) = (kernel_flow?, millstream_flow?);
    let end = kernel_flow.last().at.min(millstream_flow.last().at);
    Ok([rate(&kernel_flow, end), rate(&millstream_flow, end)])
}

/// The rate in Mbit/s of acknowledged data from the end of the settling time to `end`.
fn rate(flow: &Flow, end: f64) -> f64 {
    let within: Vec<_> = flow
        .looks
        .iter()
        .filter(|look| (SETTLE..=end).contains(&look.at))
        .collect();
    match within[..] {
        [first, .., last] => (last.acked - first.acked) as f64 * 8e-6 / (last.at - first.at),
        _ => 0.0,
    }
}

/// Joins two ends into one: the returned descriptor carries packets from both, and packets to it
/// are distributed by destination address.
fn join(left: OwnedFd, right: OwnedFd) -> io::Result<OwnedFd> {
    let (ours, theirs) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None)?;
    thread::spawn(move || carry(&left, &right, &ours.into()));
    Ok(theirs.into())
}

fn carry(left: &OwnedFd, right: &OwnedFd, joined: &OwnedFd) -> io::Result<()> {
    let mut packet = vec![0; 65_536];
    loop {
        let mut fds = [left, right, joined].map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN));
        poll(&mut fds, PollTimeout::NONE)?;
        let ready = fds.each_ref().map(|fd| fd.any().unwrap_or(false));
        for (from, _) in [left, right]
            .into_iter()
            .zip(ready)
            .filter(|(_, ready)| *ready)
        {
            if let Some(len) = take(from, &mut packet)? {
                write(joined, &packet[..len])?;
            }
        }
        if ready[2]
            && let Some(len) = take(joined, &mut packet)?
        {
            // The destination address in the IPv4 header.
            let to_other = matches!(OTHER, IpAddr::V4(other) if packet[16..20] == other.octets());
            // A full queue drops the packet, as a host would.
            let _ = write(if to_other { right } else { left }, &packet[..len]);
        }
    }
}

/// Reads one packet, or `None` if there is none. The end of the other side is an error.
fn take(fd: &OwnedFd, packet: &mut [u8]) -> io::Result<Option<usize>> {
    match read(fd, packet) {
        Ok(0) => Err(io::ErrorKind::BrokenPipe.into()),
        Ok(len) => Ok(Some(len)),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
