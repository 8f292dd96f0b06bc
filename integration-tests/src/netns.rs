//! A network namespace of our own, so that a test may create interfaces and routes as it likes and
//! nothing of it is left when the process ends.

use std::fs;
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid};

/// The device that TUN interfaces are created with.
const TUN_DEVICE: &str = "/dev/net/tun";

/// Why this machine gives no namespace with a TUN device in it.
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

/// The cause is part of the message.
impl std::error::Error for Unavailable {}

/// Moves the process into a new network namespace, in which it may do everything.
///
/// Call it before the process starts a thread: threads made later inherit the namespace, those
/// that run already do not. Root gets a network namespace; anybody else a user namespace with it,
/// in which they are root.
///
/// # Errors
/// [`Unavailable`] where the kernel or the container forbids it, or where there is no TUN device.
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

/// A user namespace gives the right to a network namespace; both come by one call.
fn enter_as_user() -> Result<(), Unavailable> {
    let (uid, gid) = (Uid::effective(), Gid::effective());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET).map_err(|errno| Unavailable {
        step: "making a user and network namespace",
        cause: errno.into(),
    })?;
    // Without setgroups denied an unprivileged process may not write its gid map (user_namespaces(7)).
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

/// The rest of the tests reconfigures the network: make sure that it is not the machine's.
fn check_own_namespace() -> Result<(), Unavailable> {
    let unavailable = |cause| Unavailable {
        step: "checking that the namespace is new",
        cause,
    };
    let interfaces = fs::read_to_string("/proc/self/net/dev").map_err(unavailable)?;
    // Two lines of heading, then one for each interface. A new namespace has the loopback alone,
    // and tunnel fallbacks where their modules are loaded, but never a packet received.
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
    fn the_cause_is_told_once_with_what_to_do() {
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
