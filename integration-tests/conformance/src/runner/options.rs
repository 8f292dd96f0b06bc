//! Options of a socket, and the numbers that it tells.

use std::time::Duration;

use super::Runner;
use super::arguments::Args;
use super::calls::{Reply, differing};
use super::operation::Fd;
use super::outcome::Stop;
use crate::target::{Called, SockOpt};

/// A question or a setting that concerns one socket.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum OptionCall {
    Set(SockOpt, i64),
    SetLinger(Option<Duration>),
    SetCongestion(String),
    Get {
        option: SockOpt,
        expected: Option<i64>,
    },
    Info,
    /// The outer option is `None` if the script accepts any value.
    Linger {
        expected: Option<Option<Duration>>,
    },
    Congestion {
        expected: Option<String>,
    },
    ReadableBytes {
        expected: Option<i64>,
    },
    UnacknowledgedBytes {
        expected: Option<i64>,
    },
}

impl Args<'_> {
    /// The arguments of `setsockopt`.
    pub(super) fn set_option(&self) -> Result<OptionCall, Stop> {
        match (self.symbol(2), self.call.args.get(3)) {
            (Some("SO_LINGER"), Some(_)) => {
                let linger = self.linger(3)?.ok_or_else(|| self.unsupported(3))?;
                Ok(OptionCall::SetLinger(linger))
            }
            (Some("TCP_CONGESTION"), Some(_)) => {
                let name = self.name(3)?.ok_or_else(|| self.unsupported(3))?;
                Ok(OptionCall::SetCongestion(name))
            }
            (Some(name), Some(_)) => {
                let option = SockOpt::named(name).ok_or_else(|| self.unsupported(2))?;
                let value = self.boxed_int(3)?.ok_or_else(|| self.unsupported(3))?;
                Ok(OptionCall::Set(option, value))
            }
            _ => Err(self.unsupported(2)),
        }
    }

    /// The arguments of `getsockopt`.
    pub(super) fn get_option(&self) -> Result<OptionCall, Stop> {
        match self.symbol(2) {
            Some("TCP_INFO") => Ok(OptionCall::Info),
            Some("SO_LINGER") => Ok(OptionCall::Linger {
                expected: self.linger(3)?,
            }),
            Some("TCP_CONGESTION") => Ok(OptionCall::Congestion {
                expected: self.name(3)?,
            }),
            Some(name) => Ok(OptionCall::Get {
                option: SockOpt::named(name).ok_or_else(|| self.unsupported(2))?,
                expected: self.boxed_int(3)?,
            }),
            None => Err(self.unsupported(2)),
        }
    }

    /// The arguments of `ioctl`.
    pub(super) fn count_bytes(&self) -> Result<OptionCall, Stop> {
        match self.symbol(1) {
            Some("SIOCINQ" | "FIONREAD") => Ok(OptionCall::ReadableBytes {
                expected: self.boxed_int(2)?,
            }),
            Some("SIOCOUTQ" | "TIOCOUTQ") => Ok(OptionCall::UnacknowledgedBytes {
                expected: self.boxed_int(2)?,
            }),
            _ => Err(self.unsupported(1)),
        }
    }
}

impl Runner<'_> {
    /// Sets or asks, and compares the answer with the script's.
    pub(super) fn option(&mut self, fd: Fd, call: OptionCall) -> Called<Reply> {
        let socket = self.descriptor(fd)?.socket;
        let wrong = match call {
            OptionCall::Set(option, value) => {
                self.target.set_option(socket, option, value)?;
                if option == SockOpt::ReceiveLowWater {
                    let bytes = usize::try_from(value).unwrap_or(usize::MAX);
                    self.descriptor(fd)?.low_water = bytes;
                }
                None
            }
            OptionCall::SetLinger(linger) => {
                self.target.set_linger(socket, linger)?;
                None
            }
            OptionCall::SetCongestion(name) => {
                self.target.set_congestion(socket, &name)?;
                None
            }
            OptionCall::Get { option, expected } => {
                differing(expected, self.target.option(socket, option)?)
            }
            OptionCall::Info => {
                self.target.info(socket, "tcpi_state")?;
                None
            }
            OptionCall::Linger { expected } => {
                let actual = self.target.linger(socket)?;
                let text = |linger: Option<Duration>| match linger {
                    Some(time) => format!("{{onoff=1, linger={}}}", time.as_secs()),
                    None => "{onoff=0}".to_owned(),
                };
                let wrong = expected.filter(|expected| *expected != actual);
                wrong.map(|it| (text(it), text(actual)))
            }
            OptionCall::Congestion { expected } => {
                let actual = self.target.congestion(socket)?;
                let wrong = expected.filter(|expected| *expected != actual);
                wrong.map(|it| (it, actual))
            }
            OptionCall::UnacknowledgedBytes { expected } => {
                differing(expected, self.target.unacknowledged_bytes(socket)? as i64)
            }
            OptionCall::ReadableBytes { expected } => {
                differing(expected, self.target.readable_bytes(socket)? as i64)
            }
        };
        Ok(Reply::checked(0, wrong))
    }
}
