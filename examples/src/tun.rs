//! A stack behind a TUN interface, configured on the command line.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use millstream::device::Tun;
use millstream::{Cidr, IntoCidr as _, Stack};
use millstream_console::log;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

/// The addresses and settings of the interface.
#[derive(Args, Debug)]
pub struct TunArgs {
    /// Name of the TUN interface to create; "" lets the kernel choose
    #[arg(long, default_value = "mill0")]
    tun: String,
    /// The stack's own address and the length of its network's prefix
    #[arg(long, default_value = "10.77.0.2/24", value_name = "CIDR", value_parser = cidr)]
    addr: Cidr,
    /// The kernel's address on the interface, in the same network
    #[arg(long, default_value = "10.77.0.1")]
    peer: IpAddr,
    /// Segment packets and compute checksums here instead of in the kernel: many times slower
    #[arg(long)]
    no_offload: bool,
}

fn cidr(text: &str) -> Result<Cidr, String> {
    text.into_cidr().map_err(|error| error.to_string())
}

impl TunArgs {
    /// Creates the interface and a stack on it.
    ///
    /// # Errors
    /// If the addresses are inconsistent or the interface cannot be created, with advice.
    pub fn stack(&self) -> Result<Stack> {
        self.check_addresses()?;
        self.check_network(&networks()?)?;
        let peer = format!("{}/{}", self.peer, self.addr.prefix);
        let tun = Tun::builder()
            .name(&self.tun)
            .address(peer)
            .offload(!self.no_offload)
            .up()
            .build()
            .context("creating the TUN interface (--tun)")?;
        let interface = tun.name().to_owned();
        let cutter = if tun.offloads().segmentation {
            "the kernel"
        } else {
            "the stack"
        };
        let stack = Stack::builder()
            .device(tun)
            .address(self.addr)
            .build()
            .context("building the stack")?;
        log(format_args!(
            "interface {interface}: the kernel is {}, the stack is {}; {cutter} cuts segments",
            self.peer, self.addr.address
        ));
        Ok(stack)
    }

    /// The stack's own address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.addr.address
    }

    fn check_addresses(&self) -> Result<()> {
        let Cidr { address, prefix } = self.addr;
        ensure!(
            self.addr.contains(self.peer),
            "--peer {} is not in the network of --addr {address}/{prefix}",
            self.peer
        );
        ensure!(
            self.peer != address,
            "--addr and --peer are both {address}: the stack and the kernel need an address each"
        );
        Ok(())
    }

    /// Rejects a network that contains an address of another interface: the kernel would send the
    /// stack's packets there.
    fn check_network(&self, taken: &[(String, Cidr)]) -> Result<()> {
        let there = taken.iter().find(|(interface, other)| {
            *interface != self.tun
                && other.prefix >= self.addr.prefix
                && self.addr.contains(other.address)
        });
        let Cidr { address, prefix } = self.addr;
        if let Some((interface, other)) = there {
            anyhow::bail!(
                "the network of --addr {address}/{prefix} is already that of interface {interface} \
                 ({}/{}): choose another network with --addr and --peer",
                other.address,
                other.prefix
            );
        }
        Ok(())
    }
}

/// The addresses of this machine's interfaces.
fn networks() -> Result<Vec<(String, Cidr)>> {
    let entries = getifaddrs().context("reading the addresses of this machine's interfaces")?;
    let network = |address: SockaddrStorage, mask: SockaddrStorage| {
        Some(Cidr::new(ip(&address)?, prefix(ip(&mask)?)))
    };
    Ok(entries
        .filter_map(|entry| {
            let network = network(entry.address?, entry.netmask?)?;
            Some((entry.interface_name, network))
        })
        .collect())
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|it| it.ip().into());
    v4.or_else(|| address.as_sockaddr_in6().map(|it| it.ip().into()))
}

fn prefix(mask: IpAddr) -> u8 {
    let ones = match mask {
        IpAddr::V4(mask) => mask.to_bits().count_ones(),
        IpAddr::V6(mask) => mask.to_bits().count_ones(),
    };
    // The value is at most 128.
    ones as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(addr: &str, peer: &str) -> TunArgs {
        TunArgs {
            tun: "mill0".to_owned(),
            addr: cidr(addr).expect("an address"),
            peer: peer.parse().expect("an address"),
            no_offload: false,
        }
    }

    fn refusal(result: Result<()>) -> String {
        result.expect_err("is refused").to_string()
    }

    #[test]
    fn both_ends_must_have_addresses_of_the_same_network() {
        for (addr, peer, why) in [
            ("10.1.0.2/24", "10.1.1.1", "not in the network"),
            ("10.1.0.2/24", "fd00::1", "not in the network"),
            ("10.1.0.2/24", "10.1.0.2", "both 10.1.0.2"),
            ("fd00::2/64", "fd00::2", "both fd00::2"),
        ] {
            let told = refusal(args(addr, peer).check_addresses());
            assert!(told.contains(why), "{told}");
        }
        let fine = args("10.1.0.2/24", "10.1.0.1").check_addresses();
        fine.expect("two addresses");
    }

    #[test]
    fn a_network_of_another_interface_is_refused() {
        let here = args("10.1.0.2/24", "10.1.0.1");
        let taken =
            |name: &str, text| here.check_network(&[(name.to_owned(), cidr(text).expect("one"))]);
        assert!(refusal(taken("mill1", "10.1.0.1/24")).contains("mill1 (10.1.0.1/24)"));
        assert!(refusal(taken("mill1", "10.1.0.9/32")).contains("mill1"));
        // A wider network's route yields to the more specific one, and the interface itself may
        // exist already.
        taken("eth0", "10.1.2.3/8").expect("wider");
        taken("eth0", "10.1.1.1/24").expect("another");
        taken("mill0", "10.1.0.1/24").expect("the same interface");
    }

    #[test]
    fn netmasks_are_converted_to_prefix_lengths() {
        let masks = ["255.0.0.0", "255.255.255.255", "0.0.0.0", "ffff:ffff::"];
        let prefixes = masks.map(|mask| prefix(mask.parse().expect("a mask")));
        assert_eq!(prefixes, [8, 32, 0, 32]);
    }
}
