//! A stack behind a TUN interface, from the command line.

use std::io::ErrorKind;
use std::net::IpAddr;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use millstream::device::Tun;
use millstream::{Cidr, IntoCidr as _, Stack};

/// Where the stack stands.
#[derive(Args, Debug)]
pub struct TunArgs {
    /// Name of the TUN interface to create
    #[arg(long, default_value = "mill0")]
    tun: String,
    /// The stack's own address and the length of its network's prefix
    #[arg(long, default_value = "10.77.0.2/24", value_name = "CIDR", value_parser = cidr)]
    addr: Cidr,
    /// The kernel's address on the interface, in the same network
    #[arg(long, default_value = "10.77.0.1")]
    peer: IpAddr,
}

fn cidr(text: &str) -> Result<Cidr, String> {
    text.into_cidr().map_err(|error| error.to_string())
}

impl TunArgs {
    /// Creates the interface and a stack on it.
    ///
    /// # Errors
    /// Says what to do when the process may not create interfaces.
    pub fn stack(&self) -> Result<Stack> {
        let prefix = self.addr.prefix;
        if !self.addr.contains(self.peer) {
            bail!(
                "--peer {} is not in the network of --addr {}/{prefix}",
                self.peer,
                self.addr.address
            );
        }
        let mut tun = Tun::builder().name(&self.tun).up();
        if self.peer.is_ipv4() {
            tun = tun.address(format!("{}/{prefix}", self.peer));
        }
        let tun = match tun.build() {
            Ok(tun) => tun,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => bail!(
                "creating the TUN interface {} takes the capability CAP_NET_ADMIN: run this \
                 program with sudo, or inside `unshare --user --map-root-user --net` where \
                 /dev/net/tun may be opened",
                self.tun
            ),
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("creating the TUN interface {}", self.tun));
            }
        };
        if self.peer.is_ipv6() {
            println!(
                "now give the kernel its address: ip address add {}/{prefix} dev {}",
                self.peer, self.tun
            );
        }
        let stack = Stack::builder()
            .device(tun)
            .address(self.addr)
            .build()
            .context("building the stack")?;
        println!(
            "interface {}: the kernel is {}, the stack is {}",
            self.tun, self.peer, self.addr.address
        );
        Ok(stack)
    }

    /// The stack's own address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.addr.address
    }
}
