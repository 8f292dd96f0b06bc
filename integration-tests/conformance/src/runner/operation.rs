//! Calls of a script with parsed arguments.

use std::net::SocketAddr;
use std::time::Duration;

use super::arguments::Args;
use super::options::OptionCall;
use super::outcome::Stop;
use crate::script::{Arg, Call};
use crate::target::{Environment, Ready, Shutdown};

/// A script's number for a socket.
pub(super) type Fd = i64;

/// A call with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operation {
    Socket {
        nonblocking: bool,
    },
    Bind(Fd, SocketAddr),
    Listen(Fd, usize),
    Accept {
        fd: Fd,
        nonblocking: bool,
    },
    Connect(Fd, SocketAddr),
    Send {
        fd: Fd,
        len: usize,
        flags: Flags,
    },
    Receive {
        fd: Fd,
        len: usize,
        flags: Flags,
    },
    Shutdown(Fd, Shutdown),
    Close(Fd),
    GetFlags(Fd),
    SetFlags {
        fd: Fd,
        nonblocking: bool,
    },
    /// A question or a setting that concerns one socket.
    Option(Fd, OptionCall),
    Poll {
        watched: Vec<Watched>,
        timeout: Option<Duration>,
    },
    State {
        fd: Option<Fd>,
    },
}

/// The flags of send and recv.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) peek: bool,
    pub(super) urgent: bool,
    pub(super) wait_all: bool,
    pub(super) dont_wait: bool,
    pub(super) more: bool,
}

/// One entry of poll's array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watched {
    pub(super) fd: Fd,
    pub(super) events: u16,
    /// The events that the script expects; `None` accepts any.
    pub(super) expected: Option<u16>,
}

const POLLIN: u16 = 1;
const POLLOUT: u16 = 4;
const POLLERR: u16 = 8;
const POLLHUP: u16 = 16;
const POLLRDHUP: u16 = 0x2000;

impl Watched {
    /// The events that poll would report for a socket.
    pub(super) fn reported(&self, ready: Ready) -> u16 {
        let bits = [
            (ready.readable, POLLIN),
            (ready.writable, POLLOUT),
            (ready.error, POLLERR),
            (ready.hangup, POLLHUP),
            (ready.read_hangup, POLLRDHUP),
        ];
        let set: u16 = bits.iter().filter(|(on, _)| *on).map(|(_, bit)| bit).sum();
        set & (self.events | POLLERR | POLLHUP)
    }
}

/// Parses the arguments of a call.
pub(super) fn operation(call: &Call, environment: &Environment) -> Result<Operation, Stop> {
    let args = Args { call };
    Ok(match call.name.as_str() {
        "socket" => args.socket()?,
        "bind" => Operation::Bind(args.int(0)?, args.addr(1, environment.bind_addr())?),
        "listen" => Operation::Listen(args.int(0)?, args.size(1)?),
        "accept" | "accept4" => args.accept()?,
        "connect" => Operation::Connect(args.int(0)?, args.addr(1, environment.connect_addr())?),
        "write" | "writev" | "sendmsg" | "send" | "sendto" => args.send()?,
        "read" | "readv" | "recvmsg" | "recv" | "recvfrom" => args.receive()?,
        "shutdown" => args.shutdown()?,
        "close" => Operation::Close(args.int(0)?),
        "fcntl" => args.control_flags()?,
        "setsockopt" => Operation::Option(args.int(0)?, args.set_option()?),
        "getsockopt" => Operation::Option(args.int(0)?, args.get_option()?),
        "ioctl" => Operation::Option(args.int(0)?, args.count_bytes()?),
        "poll" => args.poll()?,
        "sockstat" => Operation::State {
            fd: match call.args.first() {
                None | Some(Arg::Any) => None,
                Some(_) => Some(args.int(0)?),
            },
        },
        name => return Err(Stop::skipped(format!("the call {name} is not supported"))),
    })
}

impl Args<'_> {
    fn socket(&self) -> Result<Operation, Stop> {
        let kind = self.symbols(1)?;
        let nonblocking = kind.iter().any(|name| name == "SOCK_NONBLOCK");
        if !kind.iter().any(|name| name == "SOCK_STREAM") {
            return Err(Stop::skipped("sockets other than SOCK_STREAM"));
        }
        if self.symbol(2).is_some_and(|name| name != "IPPROTO_TCP") {
            return Err(Stop::skipped("a protocol other than TCP"));
        }
        Ok(Operation::Socket { nonblocking })
    }

    fn accept(&self) -> Result<Operation, Stop> {
        self.must_be_any(1)?;
        let nonblocking = matches!(self.call.args.get(3), Some(Arg::Symbols(names))
            if names.iter().any(|name| name == "SOCK_NONBLOCK"));
        let fd = self.int(0)?;
        Ok(Operation::Accept { fd, nonblocking })
    }

    fn send(&self) -> Result<Operation, Stop> {
        let fd = self.int(0)?;
        let (len, flags) = match self.call.name.as_str() {
            "write" => (self.write_size(2)?, Flags::default()),
            "writev" | "sendmsg" => (self.scattered(1)?, self.message_flags()?),
            _ => (self.write_size(2)?, self.flags(3)?),
        };
        Ok(Operation::Send { fd, len, flags })
    }

    fn receive(&self) -> Result<Operation, Stop> {
        let fd = self.int(0)?;
        let (len, flags) = match self.call.name.as_str() {
            "read" => (self.size(2)?, Flags::default()),
            "readv" | "recvmsg" => (self.scattered(1)?, self.message_flags()?),
            _ => (self.size(2)?, self.flags(3)?),
        };
        Ok(Operation::Receive { fd, len, flags })
    }

    fn shutdown(&self) -> Result<Operation, Stop> {
        let fd = self.int(0)?;
        let how = match self.symbol(1) {
            Some("SHUT_RD") => Shutdown::Read,
            Some("SHUT_WR") => Shutdown::Write,
            Some("SHUT_RDWR") => Shutdown::Both,
            _ => return Err(self.unsupported(1)),
        };
        Ok(Operation::Shutdown(fd, how))
    }

    fn control_flags(&self) -> Result<Operation, Stop> {
        match self.symbol(1) {
            Some("F_GETFL") => Ok(Operation::GetFlags(self.int(0)?)),
            Some("F_SETFL") => Ok(Operation::SetFlags {
                fd: self.int(0)?,
                nonblocking: self.symbols(2)?.iter().any(|name| name == "O_NONBLOCK"),
            }),
            _ => Err(self.unsupported(1)),
        }
    }

    fn poll(&self) -> Result<Operation, Stop> {
        let Some(Arg::List(entries)) = self.call.args.first() else {
            return Err(self.unsupported(0));
        };
        let mut watched = Vec::new();
        for entry in entries {
            let Arg::Struct(fields) = entry else {
                return Err(self.unsupported(0));
            };
            let mut parsed = Watched {
                fd: -1,
                events: 0,
                expected: None,
            };
            for (name, value) in fields {
                match (name.as_deref(), value) {
                    (Some("fd"), Arg::Int(fd)) => parsed.fd = *fd,
                    (Some("events"), value) => {
                        parsed.events = poll_bits(value).ok_or_else(|| self.unsupported(0))?;
                    }
                    (Some("revents"), Arg::Any) => {}
                    (Some("revents"), value) => {
                        let bits = poll_bits(value).ok_or_else(|| self.unsupported(0))?;
                        parsed.expected = Some(bits);
                    }
                    _ => return Err(self.unsupported(0)),
                }
            }
            watched.push(parsed);
        }
        let timeout = u64::try_from(self.int(2)?).ok().map(Duration::from_millis);
        Ok(Operation::Poll { watched, timeout })
    }
}

fn poll_bits(value: &Arg) -> Option<u16> {
    match value {
        Arg::Int(bits) => u16::try_from(*bits).ok(),
        Arg::Symbols(names) => names.iter().try_fold(0, |bits, name| {
            let bit = match name.as_str() {
                "POLLIN" | "POLLRDNORM" => POLLIN,
                "POLLOUT" | "POLLWRNORM" => POLLOUT,
                "POLLERR" => POLLERR,
                "POLLHUP" => POLLHUP,
                "POLLRDHUP" => POLLRDHUP,
                _ => return None,
            };
            Some(bits | bit)
        }),
        _ => None,
    }
}
