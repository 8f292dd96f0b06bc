//! The command line.

use std::net::IpAddr;
use std::num::{ParseFloatError, ParseIntError};
use std::path::PathBuf;

use clap::builder::RangedI64ValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::processors::Pinning;
use crate::setup::{Runtime, Side};
use crate::work::bulk::Way;

/// Measures millstream beside the Linux kernel, other stacks, and what the device can carry
#[derive(Parser)]
#[command(version)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Throughput of streams that last
    Bulk(BulkArgs),
    /// Round-trip times of small messages
    Pingpong(PingPongArgs),
    /// Connections opened, used for one byte and closed, per second
    Connect(ConnectArgs),
    /// Memory of a connection that does nothing
    Idle(IdleArgs),
    /// Cost of a packet beside many connections, and of an acknowledgment with much in flight
    Scale(OutputArgs),
    /// The timer wheel beside other timers
    Wheel(OutputArgs),
    /// Flows over bad links, beside two kernels over the same
    Impaired(ImpairedArgs),
    /// Everything that has a target, and whether it is reached
    Targets(TargetArgs),
    /// A server on millstream over TUN: 9001 takes, 9002 gives, 9003 echoes
    Serve(ServeArgs),
    /// Loads such a server from kernel sockets
    Load(LoadArgs),
    /// One side of a comparison, for this program's own use
    #[command(hide = true)]
    Host {
        /// What it is, as JSON.
        description: String,
    },
    /// One measurement, for this program's own use
    #[command(hide = true)]
    Measure {
        /// What is measured, as JSON.
        job: String,
    },
    /// Moves data segments through the engine, for an instruction counter
    #[command(hide = true)]
    Instructions {
        /// Which way.
        path: crate::instructions::Path,
        /// Batches of segments.
        count: u32,
    },
}

/// How results are told.
#[derive(Args, Clone)]
pub(crate) struct OutputArgs {
    /// Rounds; all sides take turns in each, and medians are told
    #[arg(long, default_value_t = 5, value_parser = positive)]
    pub(crate) rounds: usize,
    /// Tell the results as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a chart of the results to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}

/// Who takes part.
#[derive(Args, Clone)]
pub(crate) struct SideArgs {
    /// Sides to compare
    #[arg(long, value_delimiter = ',', default_value = "tun,kernel,ceiling")]
    pub(crate) sides: Vec<SideChoice>,
    /// MTU of the links in bytes, 576 or more
    #[arg(long, value_delimiter = ',', default_value = "1500", value_parser = mtu())]
    pub(crate) mtu: Vec<u16>,
    /// With segmentation and checksum offload, without, or both one after the other
    #[arg(long, value_delimiter = ',', default_value = "off")]
    pub(crate) offload: Vec<Switch>,
    /// The tokio runtime that millstream runs on
    #[arg(long, value_delimiter = ',', default_value = "current")]
    pub(crate) runtime: Vec<Runtime>,
    /// Queues of millstream's interface
    #[arg(long, value_delimiter = ',', default_value = "1")]
    pub(crate) queues: Vec<usize>,
    /// Which processors client and side run on
    #[arg(long, value_enum, default_value_t)]
    pub(crate) pin: Pinning,
    /// Seconds of one measurement
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// A choice of sides that belong together.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SideChoice {
    /// Two stacks and a link in memory
    Memory,
    /// millstream against the kernel
    Tun,
    /// Two kernels over veth, and one over its loopback
    Kernel,
    /// What the device can carry: a pump without a stack
    Ceiling,
    /// The other stacks
    #[cfg(feature = "peers")]
    Peers,
}

impl SideChoice {
    /// The sides meant.
    pub(crate) fn sides(self) -> &'static [Side] {
        match self {
            #[cfg(feature = "peers")]
            Self::Memory => &[Side::Memory, Side::SmoltcpLoopback],
            #[cfg(not(feature = "peers"))]
            Self::Memory => &[Side::Memory],
            Self::Tun => &[Side::Tun],
            Self::Kernel => &[Side::Veth, Side::Loopback],
            Self::Ceiling => &[Side::Ceiling, Side::CeilingCopy],
            #[cfg(feature = "peers")]
            Self::Peers => crate::sides::peers::ALL,
        }
    }
}

/// On or off.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// On
    On,
    /// Off
    Off,
}

/// Of `bulk`.
#[derive(Args)]
pub(crate) struct BulkArgs {
    /// Which way the data goes, seen from the side measured
    #[arg(long, value_delimiter = ',', default_value = "in,out")]
    pub(crate) way: Vec<Way>,
    /// Streams at the same time
    #[arg(long, value_delimiter = ',', default_value = "1", value_parser = positive)]
    pub(crate) streams: Vec<usize>,
    /// Bytes given to the socket at a time
    #[arg(long, value_delimiter = ',', default_value = "262144", value_parser = positive)]
    pub(crate) write: Vec<usize>,
    #[command(flatten)]
    pub(crate) sides: SideArgs,
}

/// Of `pingpong`.
#[derive(Args)]
pub(crate) struct PingPongArgs {
    /// Bytes of a message
    #[arg(long, value_delimiter = ',', default_value = "1,1024", value_parser = positive)]
    pub(crate) size: Vec<usize>,
    /// Connections that are open and do nothing meanwhile
    #[arg(long, value_delimiter = ',', default_value = "0")]
    pub(crate) idle: Vec<usize>,
    #[command(flatten)]
    pub(crate) sides: SideArgs,
}

/// Of `connect`.
#[derive(Args)]
pub(crate) struct ConnectArgs {
    /// Connections at the same time
    #[arg(long, value_delimiter = ',', default_value = "1,16", value_parser = positive)]
    pub(crate) parallel: Vec<usize>,
    #[command(flatten)]
    pub(crate) sides: SideArgs,
}

/// Of `idle`.
#[derive(Args)]
pub(crate) struct IdleArgs {
    /// Connections
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "10000,100000,1000000",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub(crate) count: Vec<u32>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Of `impaired`.
#[derive(Args)]
pub(crate) struct ImpairedArgs {
    /// Rounds; all pairs take turns in each, and medians are told
    #[arg(long, default_value_t = 3, value_parser = positive)]
    pub(crate) rounds: usize,
    /// Only links whose name has this in it
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) link: String,
    /// Only flows whose length, as in "10 KB", has this in it
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) flow: String,
    /// What chance does to the links, alike for all pairs
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// A flow of millstream's and one of the kernel's through one bottleneck instead: how they share it
    #[arg(long)]
    pub(crate) fair: bool,
    /// Tell the results as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw window, goodput and sequence over time of the longest flows to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}

/// Of `targets`.
#[derive(Args)]
pub(crate) struct TargetArgs {
    /// Fewer and shorter rounds
    #[arg(long)]
    pub(crate) quick: bool,
    /// Tell the results as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Of `serve`.
#[derive(Args)]
pub(crate) struct ServeArgs {
    /// Name of the TUN interface to make
    #[arg(long)]
    pub(crate) tun: String,
    /// The stack's address and the prefix length of its network
    #[arg(long, value_name = "CIDR")]
    pub(crate) addr: String,
    /// The kernel's address in that network; without it the interface is configured by others
    #[arg(long, value_name = "ADDR")]
    pub(crate) peer: Option<IpAddr>,
    /// Let the device cut segments and complete checksums
    #[arg(long)]
    pub(crate) offload: bool,
    /// MTU of the interface in bytes, 576 or more
    #[arg(long, default_value_t = 1500, value_parser = mtu())]
    pub(crate) mtu: u16,
    /// Threads of the runtime; the interface has as many queues
    #[arg(long, default_value_t = 1, value_parser = positive)]
    pub(crate) threads: usize,
}

/// Of `load`.
#[derive(Args)]
pub(crate) struct LoadArgs {
    /// Address of the server
    pub(crate) host: IpAddr,
    /// Streams at the same time
    #[arg(long, default_value_t = 1, value_parser = positive)]
    pub(crate) streams: usize,
    /// Seconds of one measurement
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// A number of which there must be at least one, so that a measurement measures something.
fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1 is needed".to_owned()),
        parsed => parsed.map_err(|error: ParseIntError| error.to_string()),
    }
}

/// Seconds, which one can wait for.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|error: ParseFloatError| error.to_string())?;
    if seconds > 0.0 && seconds <= 86_400.0 {
        Ok(seconds)
    } else {
        Err("more than 0 and at most a day are needed".to_owned())
    }
}

/// From the size that every host takes (RFC 791 3.1).
fn mtu() -> RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(576..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> bool {
        Cli::try_parse_from(line.split(' ')).is_err()
    }

    #[test]
    fn what_measures_nothing_is_refused() {
        for line in [
            "bench bulk --mtu 10",
            "bench bulk --mtu 1500,575",
            "bench bulk --rounds 0",
            "bench bulk --streams 1,0",
            "bench bulk --write 0",
            "bench bulk --seconds 0",
            "bench bulk --seconds NaN",
            "bench bulk --seconds inf",
            "bench pingpong --size 0",
            "bench connect --parallel 0",
            "bench idle --count 10,0",
            "bench impaired --rounds 0",
            "bench serve --tun a --addr 10.0.0.1/24 --mtu 10",
            "bench serve --tun a --addr 10.0.0.1/24 --threads 0",
            "bench load 10.0.0.1 --streams 0",
        ] {
            assert!(refused(line), "{line}");
        }
        assert!(!refused(
            "bench bulk --mtu 576,65535 --streams 1,4 --seconds 0.5"
        ));
    }
}
