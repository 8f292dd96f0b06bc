//! The sides: each in a process of its own, configured by a [`HostDescription`].
//!
//! A host prints `ready` on its standard output when its services are reachable, and exits at the
//! end of its standard input. A host that needs a network namespace of its own first prints
//! `entered` and waits for a byte.

pub(crate) mod ceiling;
pub(crate) mod kernel;
pub(crate) mod memory;
#[cfg(feature = "peers")]
pub(crate) mod peers;
pub(crate) mod tun;

use std::io::{self, Read as _, Write as _};
use std::thread;

use anyhow::{Result, bail};

use crate::measure::raise_file_limit;
use crate::processors::End;
use crate::setup::{HostDescription, Runtime, Setup, Side};
use crate::work::{Report, Work};

/// Runs one side until standard input ends.
///
/// # Errors
/// If the side cannot run.
pub(crate) fn host(description: HostDescription) -> Result<()> {
    let setup = description.setup;
    raise_file_limit()?;
    description.pinning.apply(End::Side)?;
    match setup.side {
        Side::Memory => bail!("the memory side has no host: it is its own client"),
        Side::Tun => setup.runtime.build()?.block_on(tun::host(description)),
        Side::Veth => kernel::host_behind_veth(description),
        Side::Loopback => Runtime::Current
            .build()?
            .block_on(kernel::host(description.address(), setup.write)),
        Side::Ceiling => ceiling::host(description, ceiling::Copying::None),
        Side::CeilingCopy => ceiling::host(description, ceiling::Copying::Once),
        #[cfg(feature = "peers")]
        Side::SmoltcpLoopback => bail!("smoltcp's loopback is its own client"),
        #[cfg(feature = "peers")]
        Side::Smoltcp => peers::smoltcp::host(description),
        #[cfg(feature = "peers")]
        Side::TcpIp => Runtime::Current
            .build()?
            .block_on(peers::tcp_ip::host(description)),
        #[cfg(feature = "peers")]
        // It blocks in tasks, which a single-threaded runtime does not allow.
        Side::Ipstack => Runtime::Multi
            .build()?
            .block_on(peers::ipstack::host(description)),
        #[cfg(feature = "peers")]
        Side::NetstackSmoltcp => Runtime::Current
            .build()?
            .block_on(peers::netstack_smoltcp::host(description)),
    }
}

/// Does the work of a side with both ends in this process.
///
/// # Errors
/// If the work fails.
pub(crate) fn run_in_memory(setup: Setup, work: Work, seconds: f64) -> Result<Report> {
    match setup.side {
        Side::Memory => {
            let report = memory::run(work, setup.link, setup.write, seconds);
            setup.runtime.build()?.block_on(report)
        }
        #[cfg(feature = "peers")]
        Side::SmoltcpLoopback => peers::smoltcp::loopback(setup.link, seconds),
        _ => bail!("{} does not have both ends in one process", setup.label()),
    }
}

/// Reports that the services are reachable, and makes the process exit at the end of its input.
fn ready() -> io::Result<()> {
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        std::process::exit(0);
    });
    say("ready")
}

/// Reports that a network namespace was entered, and waits until it has an interface.
fn entered() -> io::Result<()> {
    say("entered")?;
    io::stdin().lock().read_exact(&mut [0])
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
