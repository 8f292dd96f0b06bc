//! Calls of a script with parsed arguments.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::outcome::Stop;
use crate::script::{Arg, Call};
use crate::target::{Environment, Errno, Ready, Shutdown, SockOpt};

/// A script's number for a socket.
pub(super) type Fd = i64;

/// The maximum length of one write.
const MAX_WRITE: usize = 64 << 20;

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
    SetOption(Fd, SockOpt, i64),
    SetLinger(Fd, Option<Duration>),
    SetCongestion(Fd, String),
    Option {
        fd: Fd,
        option: SockOpt,
        expected: Option<i64>,
    },
    Info(Fd),
    /// The outer option is `None` if the script accepts any value.
    Linger {
        fd: Fd,
        expected: Option<Option<Duration>>,
    },
    Congestion {
        fd: Fd,
        expected: Option<String>,
    },
    ReadableBytes {
        fd: Fd,
        expected: Option<i64>,
    },
    UnacknowledgedBytes {
        fd: Fd,
        expected: Option<i64>,
    },
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
        "socket" => {
            let kind = args.symbols(1)?;
            let nonblocking = kind.iter().any(|name| name == "SOCK_NONBLOCK");
            if !kind.iter().any(|name| name == "SOCK_STREAM") {
                return Err(Stop::skipped("sockets other than SOCK_STREAM"));
            }
            if args
                .symbol(2)
                .is_some_and(|name| !matches!(name, "IPPROTO_TCP"))
            {
                return Err(Stop::skipped("a protocol other than TCP"));
            }
            Operation::Socket { nonblocking }
        }
        "bind" => Operation::Bind(args.int(0)?, args.addr(1, environment.bind_addr())?),
        "listen" => Operation::Listen(args.int(0)?, args.size(1)?),
        "accept" | "accept4" => {
            args.must_be_any(1)?;
            let nonblocking = matches!(call.args.get(3), Some(Arg::Symbols(names))
                if names.iter().any(|name| name == "SOCK_NONBLOCK"));
            Operation::Accept {
                fd: args.int(0)?,
                nonblocking,
            }
        }
        "connect" => Operation::Connect(args.int(0)?, args.addr(1, environment.connect_addr())?),
        "write" => Operation::Send {
            fd: args.int(0)?,
            len: args.write_size(2)?,
            flags: Flags::default(),
        },
        "writev" | "sendmsg" => Operation::Send {
            fd: args.int(0)?,
            len: args.scattered(1)?,
            flags: args.message_flags()?,
        },
        "readv" | "recvmsg" => Operation::Receive {
            fd: args.int(0)?,
            len: args.scattered(1)?,
            flags: args.message_flags()?,
        },
        "send" | "sendto" => Operation::Send {
            fd: args.int(0)?,
            len: args.write_size(2)?,
            flags: args.flags(3)?,
        },
        "read" => Operation::Receive {
            fd: args.int(0)?,
            len: args.size(2)?,
            flags: Flags::default(),
        },
        "recv" | "recvfrom" => Operation::Receive {
            fd: args.int(0)?,
            len: args.size(2)?,
            flags: args.flags(3)?,
        },
        "shutdown" => Operation::Shutdown(
            args.int(0)?,
            match args.symbol(1) {
                Some("SHUT_RD") => Shutdown::Read,
                Some("SHUT_WR") => Shutdown::Write,
                Some("SHUT_RDWR") => Shutdown::Both,
                _ => return Err(args.unsupported(1)),
            },
        ),
        "close" => Operation::Close(args.int(0)?),
        "fcntl" => match args.symbol(1) {
            Some("F_GETFL") => Operation::GetFlags(args.int(0)?),
            Some("F_SETFL") => Operation::SetFlags {
                fd: args.int(0)?,
                nonblocking: args.symbols(2)?.iter().any(|name| name == "O_NONBLOCK"),
            },
            _ => return Err(args.unsupported(1)),
        },
        "setsockopt" => args.set_option()?,
        "getsockopt" => args.get_option()?,
        "ioctl" => match args.symbol(1) {
            Some("SIOCINQ" | "FIONREAD") => Operation::ReadableBytes {
                fd: args.int(0)?,
                expected: args.boxed_int(2)?,
            },
            Some("SIOCOUTQ" | "TIOCOUTQ") => Operation::UnacknowledgedBytes {
                fd: args.int(0)?,
                expected: args.boxed_int(2)?,
            },
            _ => return Err(args.unsupported(1)),
        },
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

/// The arguments of one call.
struct Args<'a> {
    call: &'a Call,
}

impl Args<'_> {
    fn unsupported(&self, index: usize) -> Stop {
        let name = &self.call.name;
        let argument = self.call.args.get(index);
        Stop::skipped(match argument {
            Some(argument) => format!("{name} with {argument} is not supported"),
            None => format!("{name} lacks its argument {}", index + 1),
        })
    }

    fn int(&self, index: usize) -> Result<i64, Stop> {
        match self.call.args.get(index) {
            Some(Arg::Int(value)) => Ok(*value),
            _ => Err(self.unsupported(index)),
        }
    }

    fn size(&self, index: usize) -> Result<usize, Stop> {
        usize::try_from(self.int(index)?).map_err(|_| self.unsupported(index))
    }

    /// The length of a write, whose data is allocated in memory.
    fn write_size(&self, index: usize) -> Result<usize, Stop> {
        writable(self.size(index)?)
    }

    /// The total length of `[{..., 100}, {..., 50}]`, or of a message with this vector.
    fn scattered(&self, index: usize) -> Result<usize, Stop> {
        let pieces = match self.call.args.get(index) {
            Some(Arg::List(pieces)) => pieces,
            Some(Arg::Struct(fields)) => fields
                .iter()
                .find_map(|(name, value)| match value {
                    Arg::List(pieces) if name.as_deref() == Some("msg_iov") => Some(pieces),
                    _ => None,
                })
                .ok_or_else(|| self.unsupported(index))?,
            _ => return Err(self.unsupported(index)),
        };
        let lengths = pieces.iter().map(|piece| match piece {
            Arg::Struct(fields) => match fields.as_slice() {
                [(None, Arg::Any), (None, Arg::Int(len))] => usize::try_from(*len).ok(),
                _ => None,
            },
            _ => None,
        });
        let total = lengths.sum::<Option<usize>>();
        writable(total.ok_or_else(|| self.unsupported(index))?)
    }

    /// The flags of a call with a message; a call with a vector has none.
    fn message_flags(&self) -> Result<Flags, Stop> {
        if self.call.name.ends_with("msg") {
            self.flags(2)
        } else {
            Ok(Flags::default())
        }
    }

    fn symbols(&self, index: usize) -> Result<&[String], Stop> {
        match self.call.args.get(index) {
            Some(Arg::Symbols(names)) => Ok(names),
            _ => Err(self.unsupported(index)),
        }
    }

    fn symbol(&self, index: usize) -> Option<&str> {
        match self.call.args.get(index) {
            Some(Arg::Symbols(names)) if names.len() == 1 => names.first().map(String::as_str),
            _ => None,
        }
    }

    fn must_be_any(&self, index: usize) -> Result<(), Stop> {
        match self.call.args.get(index) {
            Some(Arg::Any) => Ok(()),
            _ => Err(self.unsupported(index)),
        }
    }

    /// `[1]`, `[...]` or `...`: a value passed by pointer.
    fn boxed_int(&self, index: usize) -> Result<Option<i64>, Stop> {
        match self.call.args.get(index) {
            Some(Arg::Any) => Ok(None),
            Some(Arg::List(values)) => match values.as_slice() {
                [Arg::Any] => Ok(None),
                [Arg::Int(value)] => Ok(Some(*value)),
                [Arg::Symbols(names)] => match names.as_slice() {
                    [name] => Errno::from_name(name)
                        .map(|errno| Some(errno.number()))
                        .ok_or_else(|| self.unsupported(index)),
                    _ => Err(self.unsupported(index)),
                },
                _ => Err(self.unsupported(index)),
            },
            _ => Err(self.unsupported(index)),
        }
    }

    /// `...`, or `{sa_family = AF_INET, sin_port = htons(80), sin_addr = inet_addr("10.0.0.1")}`.
    fn addr(&self, index: usize, default: SocketAddr) -> Result<SocketAddr, Stop> {
        let fields = match self.call.args.get(index) {
            Some(Arg::Any) => return Ok(default),
            Some(Arg::Struct(fields)) => fields,
            _ => return Err(self.unsupported(index)),
        };
        let mut addr = default;
        for (name, value) in fields {
            match (name.as_deref(), value) {
                (Some("sa_family"), _) => {}
                (Some("sin_port" | "sin6_port"), Arg::Call(_, args)) => match args.as_slice() {
                    [Arg::Int(port)] => {
                        addr.set_port((*port).try_into().map_err(|_| self.unsupported(index))?);
                    }
                    _ => return Err(self.unsupported(index)),
                },
                (Some("sin_addr"), Arg::Call(_, args)) => match args.as_slice() {
                    [Arg::Str(text)] => {
                        let ip: IpAddr = text.parse().map_err(|_| self.unsupported(index))?;
                        addr.set_ip(ip);
                    }
                    [any] if is_any_address(any) => addr.set_ip(Ipv4Addr::UNSPECIFIED.into()),
                    _ => return Err(self.unsupported(index)),
                },
                (Some("sin_addr"), any) if is_any_address(any) => {
                    addr.set_ip(Ipv4Addr::UNSPECIFIED.into());
                }
                _ => return Err(self.unsupported(index)),
            }
        }
        Ok(addr)
    }

    fn flags(&self, index: usize) -> Result<Flags, Stop> {
        let mut flags = Flags::default();
        if self.call.args.get(index) == Some(&Arg::Int(0)) {
            return Ok(flags);
        }
        for name in self.symbols(index)? {
            match name.as_str() {
                "MSG_PEEK" => flags.peek = true,
                "MSG_MORE" => flags.more = true,
                "MSG_OOB" if self.call.name.starts_with("send") => flags.urgent = true,
                "MSG_WAITALL" => flags.wait_all = true,
                "MSG_DONTWAIT" => flags.dont_wait = true,
                "MSG_NOSIGNAL" => {}
                _ => return Err(self.unsupported(index)),
            }
        }
        Ok(flags)
    }

    /// `{onoff=1, linger=5}`, or any value.
    fn linger(&self, index: usize) -> Result<Option<Option<Duration>>, Stop> {
        let fields = match self.call.args.get(index) {
            Some(Arg::Any) => return Ok(None),
            Some(Arg::Struct(fields)) => fields,
            _ => return Err(self.unsupported(index)),
        };
        let field = |wanted: &str| {
            fields.iter().find_map(|(name, value)| match value {
                Arg::Int(value) if name.as_deref() == Some(wanted) => Some(*value),
                _ => None,
            })
        };
        let (on, time) = field("onoff")
            .or_else(|| field("l_onoff"))
            .zip(field("linger").or_else(|| field("l_linger")))
            .ok_or_else(|| self.unsupported(index))?;
        let seconds = u64::try_from(time).map_err(|_| self.unsupported(index))?;
        Ok(Some((on != 0).then(|| Duration::from_secs(seconds))))
    }

    /// `"reno"`, `["reno"]` or `[reno]`, or any value.
    fn name(&self, index: usize) -> Result<Option<String>, Stop> {
        let value = match self.call.args.get(index) {
            Some(Arg::List(values)) => values.first(),
            value => value,
        };
        match value {
            Some(Arg::Any) => Ok(None),
            Some(Arg::Str(name)) => Ok(Some(name.clone())),
            Some(Arg::Symbols(names)) => Ok(names.first().cloned()),
            _ => Err(self.unsupported(index)),
        }
    }

    fn set_option(&self) -> Result<Operation, Stop> {
        let fd = self.int(0)?;
        match (self.symbol(2), self.call.args.get(3)) {
            (Some("SO_LINGER"), Some(_)) => {
                let linger = self.linger(3)?.ok_or_else(|| self.unsupported(3))?;
                Ok(Operation::SetLinger(fd, linger))
            }
            (Some("TCP_CONGESTION"), Some(_)) => {
                let name = self.name(3)?.ok_or_else(|| self.unsupported(3))?;
                Ok(Operation::SetCongestion(fd, name))
            }
            (Some(name), Some(_)) => {
                let option = SockOpt::named(name).ok_or_else(|| self.unsupported(2))?;
                let value = self.boxed_int(3)?.ok_or_else(|| self.unsupported(3))?;
                Ok(Operation::SetOption(fd, option, value))
            }
            _ => Err(self.unsupported(2)),
        }
    }

    fn get_option(&self) -> Result<Operation, Stop> {
        let fd = self.int(0)?;
        match self.symbol(2) {
            Some("TCP_INFO") => Ok(Operation::Info(fd)),
            Some("SO_LINGER") => Ok(Operation::Linger {
                fd,
                expected: self.linger(3)?,
            }),
            Some("TCP_CONGESTION") => Ok(Operation::Congestion {
                fd,
                expected: self.name(3)?,
            }),
            Some(name) => Ok(Operation::Option {
                fd,
                option: SockOpt::named(name).ok_or_else(|| self.unsupported(2))?,
                expected: self.boxed_int(3)?,
            }),
            None => Err(self.unsupported(2)),
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

/// A length that may be allocated in memory.
fn writable(len: usize) -> Result<usize, Stop> {
    if len > MAX_WRITE {
        return Err(Stop::skipped("a write of more than 64 MiB"));
    }
    Ok(len)
}

fn is_any_address(value: &Arg) -> bool {
    matches!(value, Arg::Symbols(names) if matches!(names.as_slice(), [name] if name == "INADDR_ANY"))
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
