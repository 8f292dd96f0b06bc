//! A separate network namespace, in which a test may create interfaces and routes, and which
//! disappears with the process.

use std::fs;
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid};

/// The device for creating TUN interfaces.
const TUN_DEVICE: &str = "/dev/net/tun";

/// The reason why this machine permits no namespace with a TUN device.
#[derive(Debug)]
pub struct Unavailable {
    step: &'static str,
    cause: io::Error,
}

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let advice = match self.cause.kind() {
            io::ErrorKind::PermissionDenied => " (run this as root)",
            io::ErrorKind::NotFound => {
                " (load the kernel's module tun, or let the container have the device)"
            }
            _ => "",
        };
        write!(f, "{}: {}{advice}", self.step, self.cause)
    }
}

/// There is no `source`, because the cause is part of the message.
impl std::error::Error for Unavailable {}

/// Moves the process into a new network namespace, in which it has all network rights.
///
/// Must be called before the process starts a thread: later threads inherit the namespace, earlier
/// ones do not. Root gets a network namespace; other users get a user namespace in addition, in
/// which they are root.
///
/// # Errors
/// [`Unavailable`] if the kernel or the container forbids it, or if there is no TUN device.
pub fn enter() -> Result<(), Unavailable> {
    if !Uid::effective().is_root() || unshare(CloneFlags::CLONE_NEWNET) == Err(Errno::EPERM) {
        enter_as_user()?;
    }
    check_own_namespace()?;
    fs::File::options()
        .read(true)
        .write(true)
        .open(TUN_DEVICE)
        .map(drop)
        .map_err(|cause| Unavailable {
            step: "opening /dev/net/tun",
            cause,
        })
}

/// A user namespace gives the right to a network namespace; one call creates both.
fn enter_as_user() -> Result<(), Unavailable> {
    let (uid, gid) = (Uid::effective(), Gid::effective());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET).map_err(|errno| Unavailable {
        step: "making a user and network namespace",
        cause: errno.into(),
    })?;
    // Unless setgroups is denied, an unprivileged process may not write its gid map
    // (user_namespaces(7)).
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {uid} 1")),
        ("gid_map", format!("0 {gid} 1")),
    ] {
        fs::write(Path::new("/proc/self").join(file), text).map_err(|cause| Unavailable {
            step: "becoming root of the user namespace",
            cause,
        })?;
    }
    Ok(())
}

/// Ensures that the namespace is not the machine's, because the tests reconfigure the network.
fn check_own_namespace() -> Result<(), Unavailable> {
    let unavailable = |cause| Unavailable {
        step: "checking that the namespace is new",
        cause,
    };
    let interfaces = fs::read_to_string("/proc/self/net/dev").map_err(unavailable)?;
    // Two heading lines, then one line for each interface. A new namespace has only the loopback,
    // and fallback tunnels if their modules are loaded, but none of these has received a packet.
    let used = interfaces.lines().skip(2).any(|line| {
        line.split_whitespace()
            .nth(1)
            .is_some_and(|bytes_received| bytes_received != "0")
    });
    if used {
        return Err(unavailable(io::Error::other(
            "an interface of it has received packets",
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn the_message_contains_the_cause_once_and_advice() {
        let failed: Result<(), _> = Err(Unavailable {
            step: "opening /dev/net/tun",
            cause: io::ErrorKind::PermissionDenied.into(),
        });
        let error = failed.context("no network namespace").expect_err("failed");
        assert_eq!(
            format!("{error:#}"),
            "no network namespace: opening /dev/net/tun: permission denied (run this as root)"
        );
    }
}
