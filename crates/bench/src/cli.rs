//! The command line.

use std::net::IpAddr;
use std::num::{ParseFloatError, ParseIntError};
use std::path::PathBuf;

use clap::builder::RangedI64ValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::processors::Pinning;
use crate::setup::{Runtime, Side};
use crate::work::bulk::Way;

/// Benchmarks millstream against the Linux kernel, other stacks, and the capacity of the device
#[derive(Parser)]
#[command(version)]
pub(crate) struct Cli {
    /// The chosen subcommand.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Throughput of bulk streams
    Bulk(BulkArgs),
    /// Round-trip times of small messages
    Pingpong(PingPongArgs),
    /// Connections per second that are opened, used for one byte and closed
    Connect(ConnectArgs),
    /// Memory of an idle connection
    Idle(IdleArgs),
    /// Cost of a packet with many idle connections, and of an acknowledgment with many segments in
    /// flight
    Scale(OutputArgs),
    /// The timer wheel compared with other timers
    Wheel(OutputArgs),
    /// Flows over bad links, compared with two kernels over the same links
    Impaired(ImpairedArgs),
    /// All measurements that have a target, and whether the target is reached
    Targets(TargetArgs),
    /// A server on millstream over TUN: port 9001 receives, 9002 sends, 9003 echoes
    Serve(ServeArgs),
    /// Puts load on such a server from kernel sockets
    Load(LoadArgs),
    /// One side of a comparison, for this program's own use
    #[command(hide = true)]
    Host {
        /// The description of the host, as JSON.
        description: String,
    },
    /// One measurement, for this program's own use
    #[command(hide = true)]
    Measure {
        /// The measurement, as JSON.
        job: String,
    },
    /// Moves data segments through the engine, for an instruction counter
    #[command(hide = true)]
    Instructions {
        /// The path to measure.
        path: crate::instructions::Path,
        /// Batches of segments.
        count: u32,
    },
}

/// The form of the results.
#[derive(Args, Clone)]
pub(crate) struct OutputArgs {
    /// Number of rounds; in each round every side runs once, and the results are medians
    #[arg(long, default_value_t = 5, value_parser = positive)]
    pub(crate) rounds: usize,
    /// Print the results as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a chart of the results to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}

/// The sides of a comparison and their settings.
#[derive(Args, Clone)]
pub(crate) struct SideArgs {
    /// Sides to compare
    #[arg(long, value_delimiter = ',', default_value = "tun,kernel,ceiling")]
    pub(crate) sides: Vec<SideChoice>,
    /// MTU of the links in bytes, 576 or more
    #[arg(long, value_delimiter = ',', default_value = "1500", value_parser = mtu())]
    pub(crate) mtu: Vec<u16>,
    /// Whether the device has segmentation and checksum offload; both values run one after the
    /// other
    #[arg(long, value_delimiter = ',', default_value = "off")]
    pub(crate) offload: Vec<Switch>,
    /// The tokio runtime for millstream
    #[arg(long, value_delimiter = ',', default_value = "current")]
    pub(crate) runtime: Vec<Runtime>,
    /// Queues of millstream's interface
    #[arg(long, value_delimiter = ',', default_value = "1")]
    pub(crate) queues: Vec<usize>,
    /// The processors of client and side
    #[arg(long, value_enum, default_value_t)]
    pub(crate) pin: Pinning,
    /// Duration of one measurement in seconds
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// A group of sides.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SideChoice {
    /// Two stacks connected in memory
    Memory,
    /// millstream with the kernel as its peer
    Tun,
    /// Two kernels over veth, and one over its loopback
    Kernel,
    /// The capacity of the device: a packet pump without a stack
    Ceiling,
    /// The other stacks
    #[cfg(feature = "peers")]
    Peers,
}

impl SideChoice {
    /// The sides of this group.
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

/// Arguments of `bulk`.
#[derive(Args)]
pub(crate) struct BulkArgs {
    /// Direction of the data, seen from the measured side
    #[arg(long, value_delimiter = ',', default_value = "in,out")]
    pub(crate) way: Vec<Way>,
    /// Number of parallel streams
    #[arg(long, value_delimiter = ',', default_value = "1", value_parser = positive)]
    pub(crate) streams: Vec<usize>,
    /// Bytes per write to the socket
    #[arg(long, value_delimiter = ',', default_value = "262144", value_parser = positive)]
    pub(crate) write: Vec<usize>,
    #[command(flatten)]
    pub(crate) sides: SideArgs,
}

/// Arguments of `pingpong`.
#[derive(Args)]
pub(crate) struct PingPongArgs {
    /// Message size in bytes
    #[arg(long, value_delimiter = ',', default_value = "1,1024", value_parser = positive)]
    pub(crate) size: Vec<usize>,
    /// Number of other connections, open and idle
    #[arg(long, value_delimiter = ',', default_value = "0")]
    pub(crate) idle: Vec<usize>,
    #[command(flatten)]
    pub(crate) sides: SideArgs,
}

/// Arguments of `connect`.
#[derive(Args)]
pub(crate) struct ConnectArgs {
    /// Number of parallel connections
    #[arg(long, value_delimiter = ',', default_value = "1,16", value_parser = positive)]
    pub(crate) parallel: Vec<usize>,
    #[command(flatten)]
    pub(crate) sides: SideArgs,
}

/// Arguments of `idle`.
#[derive(Args)]
pub(crate) struct IdleArgs {
    /// Number of connections
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

/// Arguments of `impaired`.
#[derive(Args)]
pub(crate) struct ImpairedArgs {
    /// Number of rounds; in each round every pair runs once, and the results are medians
    #[arg(long, default_value_t = 3, value_parser = positive)]
    pub(crate) rounds: usize,
    /// Only links whose name contains this text
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) link: String,
    /// Only flows whose length, as in "10 KB", contains this text
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) flow: String,
    /// Seed of the links' random decisions, the same for all pairs
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Instead, run one flow of millstream and one of the kernel through a shared bottleneck and
    /// report their shares
    #[arg(long)]
    pub(crate) fair: bool,
    /// Print the results as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw window, goodput and sequence numbers of the longest flows over time to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}

/// Arguments of `targets`.
#[derive(Args)]
pub(crate) struct TargetArgs {
    /// Run fewer and shorter rounds
    #[arg(long)]
    pub(crate) quick: bool,
    /// Print the results as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `serve`.
#[derive(Args)]
pub(crate) struct ServeArgs {
    /// Name of the TUN interface to create
    #[arg(long)]
    pub(crate) tun: String,
    /// The stack's address and the prefix length of its network
    #[arg(long, value_name = "CIDR")]
    pub(crate) addr: String,
    /// The kernel's address in that network; without it the interface is not configured
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

/// Arguments of `load`.
#[derive(Args)]
pub(crate) struct LoadArgs {
    /// Address of the server
    pub(crate) host: IpAddr,
    /// Number of parallel streams
    #[arg(long, default_value_t = 1, value_parser = positive)]
    pub(crate) streams: usize,
    /// Duration of one measurement in seconds
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// A number greater than zero, so that there is something to measure.
fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1 is needed".to_owned()),
        parsed => parsed.map_err(|error: ParseIntError| error.to_string()),
    }
}

/// A duration in seconds, at most a day.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|error: ParseFloatError| error.to_string())?;
    if seconds > 0.0 && seconds <= 86_400.0 {
        Ok(seconds)
    } else {
        Err("the value must be greater than 0 and at most a day".to_owned())
    }
}

/// At least the size that every host accepts (RFC 791 3.1).
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
    fn arguments_without_anything_to_measure_are_refused() {
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
