//! The arguments of a call, read one by one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::operation::Flags;
use super::outcome::Stop;
use crate::script::{Arg, Call};
use crate::target::Errno;

/// The maximum length of one write.
const MAX_WRITE: usize = 64 << 20;

/// The arguments of one call.
pub(super) struct Args<'a> {
    pub(super) call: &'a Call,
}

impl Args<'_> {
    pub(super) fn unsupported(&self, index: usize) -> Stop {
        let name = &self.call.name;
        let argument = self.call.args.get(index);
        Stop::skipped(match argument {
            Some(argument) => format!("{name} with {argument} is not supported"),
            None => format!("{name} lacks its argument {}", index + 1),
        })
    }

    pub(super) fn int(&self, index: usize) -> Result<i64, Stop> {
        match self.call.args.get(index) {
            Some(Arg::Int(value)) => Ok(*value),
            _ => Err(self.unsupported(index)),
        }
    }

    pub(super) fn size(&self, index: usize) -> Result<usize, Stop> {
        usize::try_from(self.int(index)?).map_err(|_| self.unsupported(index))
    }

    /// The length of a write, whose data is allocated in memory.
    pub(super) fn write_size(&self, index: usize) -> Result<usize, Stop> {
        writable(self.size(index)?)
    }

    /// The total length of `[{..., 100}, {..., 50}]`, or of a message with this vector.
    pub(super) fn scattered(&self, index: usize) -> Result<usize, Stop> {
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
    pub(super) fn message_flags(&self) -> Result<Flags, Stop> {
        if self.call.name.ends_with("msg") {
            self.flags(2)
        } else {
            Ok(Flags::default())
        }
    }

    pub(super) fn symbols(&self, index: usize) -> Result<&[String], Stop> {
        match self.call.args.get(index) {
            Some(Arg::Symbols(names)) => Ok(names),
            _ => Err(self.unsupported(index)),
        }
    }

    pub(super) fn symbol(&self, index: usize) -> Option<&str> {
        match self.call.args.get(index) {
            Some(Arg::Symbols(names)) if names.len() == 1 => names.first().map(String::as_str),
            _ => None,
        }
    }

    pub(super) fn must_be_any(&self, index: usize) -> Result<(), Stop> {
        match self.call.args.get(index) {
            Some(Arg::Any) => Ok(()),
            _ => Err(self.unsupported(index)),
        }
    }

    /// `[1]`, `[...]` or `...`: a value passed by pointer.
    pub(super) fn boxed_int(&self, index: usize) -> Result<Option<i64>, Stop> {
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
    pub(super) fn addr(&self, index: usize, default: SocketAddr) -> Result<SocketAddr, Stop> {
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

    pub(super) fn flags(&self, index: usize) -> Result<Flags, Stop> {
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
    pub(super) fn linger(&self, index: usize) -> Result<Option<Option<Duration>>, Stop> {
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
    pub(super) fn name(&self, index: usize) -> Result<Option<String>, Stop> {
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
