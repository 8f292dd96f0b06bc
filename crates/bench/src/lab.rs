//! The network namespace of the measurements, its host processes, and the clients.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context as _, Result, bail, ensure};
use millstream_testbed::link::{Netlink, dropped};
use millstream_testbed::netns;
use nix::sys::time::TimeValLike as _;
use nix::time::ClockId;
use nix::unistd::Pid;

use crate::measure::{Job, Target};
use crate::processors::Pinning;
use crate::setup::{HostDescription, Place, Runtime, Setup, Side};
use crate::work::{Report, Work};

/// Settings of the clients' kernel: enough local ports, and no TIME-WAIT, whose connections would
/// keep the ports in use.
const SYSCTLS: [(&str, &str); 2] = [
    ("ip_local_port_range", "1024 65535"),
    ("tcp_max_tw_buckets", "0"),
];

/// A network namespace of this program, with its hosts.
pub(crate) struct Lab {
    runtime: tokio::runtime::Runtime,
    netlink: Netlink,
    hosts: Vec<Host>,
    /// The number of hosts started so far.
    places: u8,
    pinning: Pinning,
}

/// A running side.
struct Host {
    description: HostDescription,
    child: Child,
}

/// One measurement.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// The client's report.
    pub(crate) report: Report,
    /// Processor time of the side during the measurement, if the side has a process of its own.
    pub(crate) processor: Option<Duration>,
    /// Packets to the side that its interface dropped, if it has an interface.
    pub(crate) dropped: Option<u64>,
}

impl Lab {
    /// Enters a network namespace in which hosts and clients run on the processors chosen by
    /// `pinning`. Must be called before any thread is started.
    ///
    /// # Errors
    /// If the machine does not permit network namespaces.
    pub(crate) fn enter(pinning: Pinning) -> Result<Self> {
        netns::enter().context("entering a network namespace")?;
        for (name, value) in SYSCTLS {
            fs::write(format!("/proc/sys/net/ipv4/{name}"), value)
                .with_context(|| format!("setting {name}"))?;
        }
        let runtime = Runtime::Current.build()?;
        let netlink = runtime.block_on(async {
            let netlink = Netlink::open()?;
            netlink.link("lo").await?.up().await?;
            Ok::<_, anyhow::Error>(netlink)
        })?;
        Ok(Self {
            runtime,
            netlink,
            hosts: Vec::new(),
            places: 0,
            pinning,
        })
    }

    /// Starts a side, unless it runs already or needs no process.
    ///
    /// # Errors
    /// If the side does not become ready.
    pub(crate) fn start(&mut self, setup: Setup) -> Result<()> {
        if setup.side.is_in_memory() || self.find(setup).is_some() {
            return Ok(());
        }
        let place = Place(self.places);
        self.places = self.places.checked_add(1).context("too many sides")?;
        let description = HostDescription {
            setup,
            place,
            pinning: self.pinning,
        };
        let child = ourselves("host", &serde_json::to_string(&description)?)?
            .stdin(Stdio::piped())
            .spawn()
            .context("starting a host process")?;
        let mut host = Host { description, child };
        let output = host.child.stdout.take().context("a host without output")?;
        let mut lines = BufReader::new(output).lines();
        if setup.side == Side::Veth {
            self.join(&mut host.child, &mut lines, description)?;
        }
        expect(&mut lines, "ready")
            .with_context(|| format!("{} with {}", setup.label(), setup.link))?;
        self.hosts.push(host);
        Ok(())
    }

    /// Ends a side.
    pub(crate) fn stop(&mut self, setup: Setup) {
        self.hosts.retain(|host| host.description.setup != setup);
    }

    /// Lets a client do `work` with a side that was started.
    ///
    /// # Errors
    /// If the client fails.
    pub(crate) fn measure(&self, setup: Setup, work: Work, seconds: f64) -> Result<Measured> {
        let host = self.find(setup);
        let target = match host {
            Some(host) => Target::Address(host.description.address()),
            None if setup.side.is_in_memory() => Target::Memory(setup),
            None => bail!("{} is not running", setup.label()),
        };
        let job = Job::Work {
            target,
            work,
            seconds,
            pinning: self.pinning,
        };
        let before = host.map(Host::processor).transpose()?;
        let dropped_before = host.map(Host::dropped).transpose()?.flatten();
        let report = run(&job)?;
        let after = host.map(Host::processor).transpose()?;
        let dropped_after = host.map(Host::dropped).transpose()?.flatten();
        Ok(Measured {
            report,
            processor: after.zip(before).map(|(after, before)| after - before),
            dropped: dropped_after
                .zip(dropped_before)
                .map(|(after, before)| after - before),
        })
    }

    /// Whether a side runs or needs no process.
    pub(crate) fn has(&self, setup: Setup) -> bool {
        setup.side.is_in_memory() || self.find(setup).is_some()
    }

    fn find(&self, setup: Setup) -> Option<&Host> {
        self.hosts
            .iter()
            .find(|host| host.description.setup == setup)
    }

    /// Creates a veth pair to a host in another namespace.
    fn join(
        &self,
        child: &mut Child,
        lines: &mut Lines<BufReader<ChildStdout>>,
        description: HostDescription,
    ) -> Result<()> {
        let HostDescription { setup, place, .. } = description;
        expect(lines, "entered")?;
        self.runtime.block_on(async {
            let name = place.interface();
            self.netlink
                .add_veth(&name, &place.far_interface(), child.id())
                .await?;
            let link = self.netlink.link(&name).await?;
            link.set_mtu(setup.link.mtu.into()).await?;
            link.add_address(place.client().into(), Place::PREFIX)
                .await?;
            link.up().await
        })?;
        let input = child.stdin.as_mut().context("a host without input")?;
        input.write_all(b"\n").context("resuming a host process")
    }
}

impl Host {
    /// The number of packets that the interface towards the side has dropped so far.
    fn dropped(&self) -> Result<Option<u64>> {
        if self.description.setup.side == Side::Loopback {
            return Ok(None);
        }
        dropped(&self.description.place.interface()).map(Some)
    }

    /// The processor time used by all threads so far.
    fn processor(&self) -> Result<Duration> {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        let time = ClockId::pid_cpu_clock_id(pid)?.now()?;
        Ok(Duration::from_nanos(time.num_nanoseconds().cast_unsigned()))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The end of its input stops the process.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Runs a job in a process of its own and returns its result.
///
/// # Errors
/// If the job fails.
pub(crate) fn run<R: serde::de::DeserializeOwned>(job: &Job) -> Result<R> {
    let output = ourselves("measure", &serde_json::to_string(job)?)?
        .stderr(Stdio::piped())
        .output()
        .context("starting a client process")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    serde_json::from_slice(&output.stdout).context("reading what a client measured")
}

/// A command that runs this program with a hidden subcommand.
fn ourselves(subcommand: &str, argument: &str) -> Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command
        .arg(subcommand)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    Ok(command)
}

fn expect(lines: &mut Lines<BufReader<ChildStdout>>, wanted: &str) -> Result<()> {
    match lines.next() {
        Some(Ok(line)) if line == wanted => Ok(()),
        Some(line) => bail!("a host process printed {:?} instead of {wanted:?}", line?),
        None => bail!("a host process ended before it was {wanted}"),
    }
}
