//! A host for one script: a network namespace with a TUN interface and sysctls.

use std::fmt::Display;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context as _, Result};
use millstream_testbed::link::{Netlink, RouteMetric};
use millstream_wire::ip;
use nix::sched::{CloneFlags, unshare};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::runtime::{Builder, Runtime};

use super::diag::Diag;
use crate::target::{Called, Environment, Failure};

const INTERFACE: &str = "tun0";

/// A timeout for which the kernel's slack exceeds a millisecond.
const LONG: Duration = Duration::from_secs(1);

/// ICMPv6 messages from this type on belong to neighbour discovery and multicast groups, which
/// scripts ignore.
const FIRST_LINK_MESSAGE: u8 = 130;

/// Settings that no script changes: without the kernel's caches of earlier connections and its
/// limits on replies.
const SYSCTLS: &[(&str, &str)] = &[
    ("net/ipv4/tcp_no_metrics_save", "1"),
    ("net/ipv4/tcp_challenge_ack_limit", "2147483647"),
    ("net/ipv4/icmp_ratelimit", "0"),
    ("net/ipv4/tcp_autocorking", "0"),
    ("net/ipv4/tcp_syn_linear_timeouts", "0"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/router_solicitations", "0"),
];

/// A host; see the module.
pub(super) struct Host {
    _tun: tokio_tun::Tun,
    fd: OwnedFd,
    /// An epoll instance that reports each event on a socket once.
    sockets: OwnedFd,
    diag: Diag,
    mtu: usize,
    _runtime: Runtime,
}

impl Host {
    pub(super) fn new(environment: &Environment) -> Called<Self> {
        let unavailable =
            |error: anyhow::Error| Failure::Unsupported(format!("no Linux target: {error:#}"));
        let host = Self::make(environment).map_err(unavailable)?;
        configure(environment)?;
        Ok(host)
    }

    fn make(environment: &Environment) -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET).context("a network namespace")?;
        for (name, value) in SYSCTLS {
            sysctl(name, value)?;
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let tun = runtime.block_on(interface(environment))?;
        let fd = rustix::io::fcntl_dupfd_cloexec(borrow(&tun), 0)?;
        Ok(Self {
            _tun: tun,
            fd,
            sockets: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            diag: Diag::new()?,
            mtu: environment.mtu,
            _runtime: runtime,
        })
    }

    /// The next packet from the kernel that is relevant to a script, if there is one.
    pub(super) fn receive(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; self.mtu];
        loop {
            let length = rustix::io::read(&self.fd, &mut buffer).ok()?;
            if concerns(&buffer[..length]) {
                buffer.truncate(length);
                return Some(buffer);
            }
        }
    }

    /// Delivers a packet to the kernel. It rejects packets that are not IP at all.
    pub(super) fn send(&self, packet: &[u8]) {
        let _ = rustix::io::write(&self.fd, packet);
    }

    /// The state of the connection between two addresses. If the kernel does not answer, the result
    /// matches no state of a script.
    pub(super) fn state(&self, local: SocketAddr, remote: SocketAddr) -> &'static str {
        self.diag.state(local, remote).unwrap_or("unknown")
    }

    /// From now on events on `socket` end a [`wait`](Self::wait).
    pub(super) fn watch(&self, socket: impl AsFd) -> io::Result<()> {
        let news = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.sockets, socket, EventData::new_u64(0), news)?;
        Ok(())
    }

    /// Waits until the kernel has sent a packet or a socket has an event, but not longer than
    /// `limit`. May return earlier.
    pub(super) fn wait(&self, limit: Duration) {
        // The kernel extends a timeout by up to a thousandth, so a long wait ends with a separate
        // short one.
        let limit = if limit > LONG {
            limit - LONG / 2
        } else {
            limit
        };
        let mut entries = [
            PollFd::new(&self.fd, PollFlags::IN),
            PollFd::new(&self.sockets, PollFlags::IN),
        ];
        let timeout = Timespec {
            tv_sec: limit.as_secs() as _,
            tv_nsec: limit.subsec_nanos().into(),
        };
        // An interrupted wait only ends early.
        let _ = poll(&mut entries, Some(&timeout));
        // Each event is reported once.
        let mut news = [MaybeUninit::uninit(); 16];
        let _ = epoll::wait(&self.sockets, &mut news, Some(&Timespec::default()));
    }
}

fn borrow(tun: &tokio_tun::Tun) -> BorrowedFd<'_> {
    #[expect(
        unsafe_code,
        reason = "tokio-tun gives its descriptor as a number only"
    )]
    // SAFETY: the descriptor is open as long as `tun`, which the result borrows.
    unsafe {
        BorrowedFd::borrow_raw(tun.as_raw_fd())
    }
}

/// Creates the interface, brings it up with the stack's address, and adds a default route through
/// it.
async fn interface(environment: &Environment) -> Result<tokio_tun::Tun> {
    let mtu = i32::try_from(environment.mtu)?;
    let tun = tokio_tun::Tun::builder()
        .name(INTERFACE)
        .mtu(mtu)
        .up()
        .build()
        .context("a TUN interface")?
        .pop()
        .context("a TUN interface without a queue")?;
    let netlink = Netlink::open()?;
    netlink.link("lo").await?.up().await?;
    let link = netlink.link(INTERFACE).await?;
    let prefix = if environment.ipv6 { 64 } else { 24 };
    link.add_address(environment.local_ip(), prefix).await?;
    let prefix = if environment.ipv6 { 128 } else { 32 };
    let mut metrics = Vec::new();
    if environment.quick_acks {
        metrics.push(RouteMetric::QuickAck(1));
    }
    if environment.initial_window != Environment::default().initial_window {
        metrics.push(RouteMetric::InitCwnd(environment.initial_window.into()));
    }
    link.add_route(environment.peer_ip(), prefix, metrics)
        .await?;
    Ok(tun)
}

fn sysctl(name: &str, value: impl Display) -> Result<()> {
    fs::write(format!("/proc/sys/{name}"), value.to_string())
        .with_context(|| format!("sysctl {name} = {value}"))
}

/// Applies the script's settings to the host. A setting that the kernel rejects matters only if it
/// differs from the kernel's own value.
fn configure(environment: &Environment) -> Called<()> {
    let usual = settings(&Environment::default());
    for ((name, value), (_, usual)) in settings(environment).into_iter().zip(usual) {
        if sysctl(&format!("net/ipv4/{name}"), &value).is_err() && value != usual {
            return Err(Failure::Unsupported(format!(
                "this kernel does not take {name} = {value} in a namespace"
            )));
        }
    }
    Ok(())
}

fn settings(environment: &Environment) -> Vec<(&'static str, String)> {
    let switch = |on: bool| u8::from(on).to_string();
    vec![
        ("tcp_timestamps", switch(environment.timestamps)),
        ("tcp_sack", switch(environment.sack)),
        ("tcp_window_scaling", switch(environment.window_scaling)),
        ("tcp_syn_retries", environment.syn_retries.to_string()),
        (
            "tcp_synack_retries",
            environment.syn_ack_retries.to_string(),
        ),
        ("tcp_retries1", environment.retries1.to_string()),
        ("tcp_retries2", environment.retries2.to_string()),
        ("tcp_fin_timeout", seconds(environment.fin_timeout)),
        ("tcp_keepalive_time", seconds(environment.keepalive_time)),
        (
            "tcp_keepalive_intvl",
            seconds(environment.keepalive_interval),
        ),
        (
            "tcp_keepalive_probes",
            environment.keepalive_probes.to_string(),
        ),
        ("tcp_ecn", environment.ecn.to_string()),
        ("tcp_dsack", switch(environment.dsack)),
        (
            "tcp_slow_start_after_idle",
            switch(environment.slow_start_after_idle),
        ),
        ("tcp_mtu_probing", environment.mtu_probing.to_string()),
        ("tcp_recovery", switch(environment.rack)),
        (
            "tcp_early_retrans",
            (3 * u8::from(environment.tail_loss_probe)).to_string(),
        ),
        ("tcp_frto", (2 * u8::from(environment.frto)).to_string()),
        ("tcp_syncookies", environment.syn_cookies.to_string()),
        ("tcp_rfc1337", switch(environment.rfc1337)),
        (
            "tcp_invalid_ratelimit",
            environment.challenge_interval.as_millis().to_string(),
        ),
        (
            "tcp_rmem",
            format!(
                "4096 {} {}",
                environment.first_receive_buffer.unwrap_or(131_072),
                environment.receive_buffer.max(131_072)
            ),
        ),
        (
            "tcp_wmem",
            format!(
                "4096 {} {}",
                environment.first_send_buffer.unwrap_or(16_384),
                environment.send_buffer
            ),
        ),
        ("tcp_max_orphans", environment.max_orphans.to_string()),
        ("tcp_max_tw_buckets", environment.max_time_wait.to_string()),
    ]
}

fn seconds(time: Duration) -> String {
    time.as_secs().to_string()
}

/// Whether a packet is TCP, or ICMP of a type that is relevant to a script.
fn concerns(packet: &[u8]) -> bool {
    ip::Packet::parse(packet).is_ok_and(|packet| match packet.protocol() {
        ip::TCP | ip::ICMP => true,
        ip::ICMPV6 => packet
            .payload()
            .first()
            .is_some_and(|kind| *kind < FIRST_LINK_MESSAGE),
        _ => false,
    })
}
