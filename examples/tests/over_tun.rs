//! The TUN programs, run from the command line in a network namespace of this process.

use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use millstream_testbed::cases;
use millstream_testbed::harness::{self, Case};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};

const LIMIT: Duration = Duration::from_secs(30);

const ECHO: &str = env!("CARGO_BIN_EXE_tun-echo");
const HTTP: &str = env!("CARGO_BIN_EXE_tun-http");

/// A running server.
struct Server {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Server {
    fn start(program: &str, arguments: &[&str]) -> Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stderr = child.stderr.take().context("its standard error")?;
        Ok(Self {
            child,
            lines: BufReader::new(stderr).lines(),
        })
    }

    /// The rest of the next line that contains `start`.
    async fn line(&mut self, start: &str) -> Result<String> {
        let mut before = Vec::new();
        while let Some(line) = self.lines.next_line().await? {
            if let Some((_, rest)) = line.split_once(start) {
                return Ok(rest.to_owned());
            }
            before.push(line);
        }
        anyhow::bail!("no {start:?} in {before:?}")
    }

    /// The address in an echo server's output.
    async fn echo_address(&mut self) -> Result<String> {
        let line = self.line("echo on ").await?;
        Ok(line.split(';').next().unwrap_or_default().to_owned())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.child.id().context("it runs")?;
        Ok(kill(Pid::from_raw(pid.try_into()?), signal)?)
    }
}

/// The error message of a program that refuses to start.
async fn refusal(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().await?;
    let told = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(1), "{}: {told}", output.status);
    Ok(told)
}

fn ensure_has(text: &str, words: &str) -> Result<()> {
    ensure!(text.contains(words), "no {words:?} in {text:?}");
    Ok(())
}

/// Has a line echoed, and returns the connection.
async fn echoed(address: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"grist").await?;
    let mut echo = [0; 5];
    stream.read_exact(&mut echo).await?;
    ensure!(&echo == b"grist", "{echo:?}");
    Ok(stream)
}

mod programs {
    use millstream_testbed::lab::Lab;

    use super::*;

    /// Ctrl-C and `kill` both reset open connections, remove the interface, and exit with success.
    pub(super) async fn both_signals_close(_: &Lab) -> Result<()> {
        for (signal, tun) in [(Signal::SIGINT, "int0"), (Signal::SIGTERM, "term0")] {
            let mut server = Server::start(ECHO, &["--tun", tun, "--port", "0"])?;
            let address = server.echo_address().await?;
            ensure!(!address.ends_with(":0"), "{address} is no address to go to");
            let mut stream = echoed(&address).await?;
            server.signal(signal)?;
            let read = stream.read(&mut [0; 1]).await;
            let error = read.err().context("the connection ended in good order")?;
            ensure!(
                error.kind() == std::io::ErrorKind::ConnectionReset,
                "{error}"
            );
            let status = server.child.wait().await?;
            ensure!(status.success(), "{signal}: {status}");
            let interfaces = std::fs::read_to_string("/proc/self/net/dev")?;
            ensure!(!interfaces.contains(tun), "{tun} is still there");
        }
        Ok(())
    }

    pub(super) async fn ipv6_needs_no_other_command(_: &Lab) -> Result<()> {
        let arguments = ["--tun", "six0", "--addr", "fd88::2/64", "--peer", "fd88::1"];
        let mut server = Server::start(ECHO, &arguments)?;
        let address = server.echo_address().await?;
        ensure!(address == "[fd88::2]:7", "{address}");
        echoed(&address).await?;
        Ok(())
    }

    pub(super) async fn http_lists_its_routes(_: &Lab) -> Result<()> {
        let arguments = [
            "--tun",
            "http0",
            "--addr",
            "10.88.1.2/24",
            "--peer",
            "10.88.1.1",
        ];
        let mut server = Server::start(HTTP, &arguments)?;
        ensure!(server.line("http://").await? == "10.88.1.2:80/, with");
        let mut stream = TcpStream::connect("10.88.1.2:80").await?;
        let request = b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await?;
        let mut page = String::new();
        stream.read_to_string(&mut page).await?;
        ensure_has(&page, "HTTP/1.1 200 OK")?;
        for path in ["/download/", "/sha256/", "/upload"] {
            ensure_has(&page, path)?;
        }
        Ok(())
    }

    pub(super) async fn the_kernel_may_name_the_interface(_: &Lab) -> Result<()> {
        let arguments = ["--tun", "", "--addr", "10.88.2.2/24", "--peer", "10.88.2.1"];
        let mut server = Server::start(ECHO, &arguments)?;
        let line = server.line("interface ").await?;
        ensure!(line.starts_with("tun0: "), "{line}");
        Ok(())
    }

    pub(super) async fn addresses_and_names_in_use_are_rejected(_: &Lab) -> Result<()> {
        let network = ["--addr", "10.88.3.2/24", "--peer", "10.88.3.1"];
        let other = ["--addr", "10.88.4.2/24", "--peer", "10.88.4.1"];
        let named = |tun, network: [&'static str; 4]| [&["--tun", tun][..], &network].concat();
        let mut server = Server::start(ECHO, &named("first0", network))?;
        server.echo_address().await?;

        let told = refusal(ECHO, &named("second0", network)).await?;
        ensure_has(&told, "is already that of interface first0")?;
        let told = refusal(ECHO, &named("first0", other)).await?;
        ensure_has(&told, "another program has the interface first0")?;
        let told = refusal(ECHO, &named("lo", other)).await?;
        ensure_has(&told, "lo is an interface of another kind")?;
        let told = refusal(ECHO, &["--addr", "10.88.5.1/24", "--peer", "10.88.5.1"]).await?;
        ensure_has(&told, "need an address each")
    }
}

fn cases() -> impl IntoIterator<Item = Case> {
    cases![LIMIT, &[], one_thread;
        programs::both_signals_close,
        programs::ipv6_needs_no_other_command,
        programs::http_lists_its_routes,
        programs::the_kernel_may_name_the_interface,
        programs::addresses_and_names_in_use_are_rejected,
    ]
}

fn main() -> ExitCode {
    harness::main(cases(), Path::new(env!("CARGO_TARGET_TMPDIR")))
}
