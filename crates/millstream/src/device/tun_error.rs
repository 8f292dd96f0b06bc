//! The kernel's errors when a TUN interface is created, with advice on what to do about them.

use std::io;

use rustix::io::Errno;
use thiserror::Error;

/// The kernel's error is the source; the kind is the same.
#[derive(Debug, Error)]
#[error("{advice}")]
struct TunError {
    advice: String,
    source: io::Error,
}

/// Adds advice to the error, where there is any.
pub(super) fn explained(interface: &str, error: io::Error) -> io::Error {
    let Some(advice) = Errno::from_io_error(&error).and_then(|errno| advice(interface, errno))
    else {
        return error;
    };
    io::Error::new(
        error.kind(),
        TunError {
            advice,
            source: error,
        },
    )
}

fn advice(interface: &str, errno: Errno) -> Option<String> {
    Some(match errno {
        Errno::BUSY => format!(
            "another program has the interface {interface}: end that program or choose another name"
        ),
        Errno::INVAL => {
            format!(
                "{interface} is an interface of another kind, or no name for one: choose another name"
            )
        }
        Errno::PERM | Errno::ACCESS => {
            "making a TUN interface takes the capability CAP_NET_ADMIN: run this as \
            root, or inside `unshare --user --map-root-user --net` where /dev/net/tun may be opened"
                .to_owned()
        }
        Errno::NOENT | Errno::NODEV | Errno::NXIO => {
            "there is no /dev/net/tun: load the kernel's module (`modprobe \
            tun`), or let the container have the device"
                .to_owned()
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_and_cause_stay() {
        let kernel = io::Error::from(Errno::BUSY);
        let error = explained("mill0", kernel);
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
        assert!(error.to_string().contains("mill0"), "{error}");
        let cause = error.get_ref().and_then(|inner| inner.source());
        let cause = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
        let errno = cause.and_then(io::Error::raw_os_error);
        assert_eq!(errno, Some(Errno::BUSY.raw_os_error()));
    }

    #[test]
    fn what_there_is_nothing_to_say_about_stays_as_it_is() {
        let error = explained("mill0", Errno::NOMEM.into());
        assert_eq!(error.raw_os_error(), Some(Errno::NOMEM.raw_os_error()));
    }
}
