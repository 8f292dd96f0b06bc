//! ssh, with an sshd that has keys and a configuration of its own.

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use millstream_testbed::lab::Lab;
use millstream_testbed::program::{self, Server};
use millstream_testbed::{digest, kernel, pattern};
use tempfile::TempDir;
use tokio::process::Command;

use crate::route::{Route, Way};
use crate::{SSH, SSH_KEYGEN, SSHD};

const PORT: u16 = 2222;
/// Bytes that a command moves in each direction.
const LARGE: u64 = 20 << 20;

/// A running sshd that accepts the key in its directory.
struct Sshd {
    directory: TempDir,
    _server: Server,
}

impl Sshd {
    async fn start(address: SocketAddr) -> Result<Self> {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let host_key = new_key(directory.path(), "host_key").await?;
        let user_key = new_key(directory.path(), "user_key").await?;
        let configuration = directory.path().join("sshd_config");
        fs::write(
            &configuration,
            format!(
                "ListenAddress {address}
                HostKey {}
                AuthorizedKeysFile {}
                PidFile none
                StrictModes no
                UsePAM no
                PasswordAuthentication no
                KbdInteractiveAuthentication no
                PermitRootLogin prohibit-password
                ClientAliveInterval 5
                ClientAliveCountMax 2\n",
                host_key.display(),
                user_key.with_extension("pub").display(),
            ),
        )?;
        // sshd's directory for privilege separation, which a service unit would create.
        match fs::create_dir("/run/sshd") {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).context("making /run/sshd");
            }
            _ => {}
        }

        let mut command = SSHD.command()?;
        command.args(["-D", "-e", "-f"]).arg(&configuration);
        let server = Server::start(command, "Server listening on").await?;
        Ok(Self {
            directory,
            _server: server,
        })
    }

    /// ssh to the server through `address`, without the user's own configuration.
    fn ssh(&self, address: SocketAddr) -> Result<Command> {
        let mut command = SSH.command()?;
        command
            .args(["-F", "none", "-o", "BatchMode=yes"])
            .args(["-o", "IdentityAgent=none"])
            .args(["-o", "StrictHostKeyChecking=no"])
            .args(["-o", "UserKnownHostsFile=/dev/null"])
            .args(["-o", "IdentitiesOnly=yes", "-i"])
            .arg(self.directory.path().join("user_key"))
            .args(["-p", &address.port().to_string()])
            .arg(address.ip().to_string());
        Ok(command)
    }
}

async fn new_key(directory: &Path, name: &str) -> Result<PathBuf> {
    let path = directory.join(name);
    let mut command = SSH_KEYGEN.command()?;
    command
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&path);
    program::run(command).await?;
    Ok(path)
}

/// Commands with much data, in one direction at a time and then in both.
pub(crate) async fn commands(lab: &Lab, way: Way) -> Result<()> {
    let route = Route::new(lab, way).await?;
    let sshd = Sshd::start(route.server(PORT)).await?;
    let address = route.open(PORT).await?;

    let mut upload = sshd.ssh(address)?;
    upload.arg("sha256sum");
    let answer = program::run_fed(upload, async |input| pattern::send(input, LARGE).await).await?;
    ensure!(
        answer.split_whitespace().next() == Some(&digest::of_pattern(LARGE)),
        "the command received other bytes: {answer}"
    );

    let file = sshd.directory.path().join("file");
    fs::write(&file, pattern::bytes(0, LARGE as usize))?;
    let mut download = sshd.ssh(address)?;
    download.arg(format!("cat '{}'", file.display()));
    program::expect_pattern(download, LARGE).await?;

    let mut both = sshd.ssh(address)?;
    both.arg("cat");
    echo_pattern(both).await
}

/// Feeds a command that prints its input, and checks the output meanwhile.
async fn echo_pattern(mut command: Command) -> Result<()> {
    let mut child = command
        .stdin(std::process::Stdio::piped())
        .spawn()
        .context("starting ssh")?;
    let mut input = child.stdin.take().context("ssh's input")?;
    let mut output = child.stdout.take().context("ssh's output")?;
    let feed = async {
        pattern::send(&mut input, LARGE).await?;
        drop(input);
        Ok(())
    };
    tokio::try_join!(feed, pattern::receive(&mut output, LARGE))?;
    let status = child.wait().await?;
    ensure!(status.success(), "ssh ended with {status}");
    Ok(())
}

/// Connections to a server behind the sshd, each as a channel of one SSH connection.
pub(crate) async fn forwarding(lab: &Lab, way: Way) -> Result<()> {
    const CONNECTIONS: usize = 8;
    const BYTES: u64 = 2 << 20;
    let route = Route::new(lab, way).await?;
    let sshd = Sshd::start(route.server(PORT)).await?;
    let address = route.open(PORT).await?;
    let behind = route.server(PORT + 1);
    let entrance = route.server(PORT + 2);
    serve_echo(behind)?;

    let mut command = sshd.ssh(address)?;
    command
        .args(["-v", "-N", "-o", "ExitOnForwardFailure=yes", "-L"])
        .arg(format!(
            "[{}]:{}:[{}]:{}",
            entrance.ip(),
            entrance.port(),
            behind.ip(),
            behind.port()
        ));
    let _ssh = Server::start(command, "Entering interactive session").await?;

    try_join_all(
        (0..CONNECTIONS)
            .map(|_| async { pattern::exchange(kernel::connect(entrance).await?, BYTES).await }),
    )
    .await?;
    Ok(())
}

/// An echo server on the kernel.
fn serve_echo(address: SocketAddr) -> Result<()> {
    let listener = kernel::listen(address)?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(pattern::echo(stream));
        }
    });
    Ok(())
}
