//! Calls on the stack under test: one attempt, its result, and the comparison with the script.

use std::net::SocketAddr;

use super::Runner;
use super::mapping::stream_bytes;
use super::operation::{Fd, Flags, Operation, Watched};
use super::outcome::Stop;
use crate::script::{Arg, Call};
use crate::target::{Called, Errno, Failure, SockOpt, Socket, Time};

/// A socket under the script's number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptor {
    pub(super) socket: Socket,
    pub(super) nonblocking: bool,
    /// Bytes written to and read from the two streams.
    written: i64,
    read: i64,
    connecting: bool,
    /// Whether the last send announced more data.
    more: bool,
    /// `SO_RCVLOWAT`: the minimum for which a blocking read waits.
    pub(super) low_water: usize,
}

impl Descriptor {
    fn new(socket: Socket, nonblocking: bool) -> Self {
        Self {
            socket,
            nonblocking,
            written: 0,
            read: 0,
            connecting: false,
            more: false,
            low_water: 1,
        }
    }
}

/// A call in progress.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    pub(super) call: Call,
    pub(super) operation: Operation,
    pub(super) since: Time,
    /// Bytes moved so far by a call that waits for all its bytes.
    moved: usize,
}

/// The result of a call.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    value: Result<Value, Errno>,
    /// A value returned through an argument that differs: expected and actual.
    wrong: Option<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Int(i64),
    Name(&'static str),
}

impl Reply {
    fn int(value: i64) -> Self {
        Self {
            value: Ok(Value::Int(value)),
            wrong: None,
        }
    }

    fn error(errno: Errno) -> Self {
        Self {
            value: Err(errno),
            wrong: None,
        }
    }

    pub(super) fn checked(value: i64, wrong: Option<(String, String)>) -> Self {
        Self {
            wrong,
            ..Self::int(value)
        }
    }

    /// The expected and the actual result, if they differ.
    pub(super) fn mismatch(&self, call: &Call) -> Option<(String, String)> {
        let actual = match &self.value {
            Ok(Value::Int(value)) => value.to_string(),
            Ok(Value::Name(name)) => (*name).to_owned(),
            Err(errno) => format!("-1 {errno}"),
        };
        let same = match (&call.result, &call.errno, &self.value) {
            (_, Some(expected), Err(errno)) => errno.is_named(expected),
            (_, Some(_), Ok(_)) => false,
            (None, None, _) => true,
            (Some(Arg::Int(expected)), None, Ok(Value::Int(value))) => expected == value,
            (Some(Arg::Symbols(names)), None, Ok(Value::Name(state))) => {
                matches!(names.as_slice(), [name] if is_state(name, state))
            }
            _ => false,
        };
        if same {
            return self.wrong.clone();
        }
        let result = match &call.result {
            Some(result) => result.to_string(),
            None => "anything".to_owned(),
        };
        let errno = call.errno.as_deref().unwrap_or_default();
        Some((format!("{result} {errno}").trim_end().to_owned(), actual))
    }
}

/// Compares state names; `TCP_FIN_WAIT1`, `FIN_WAIT_1` and `FIN-WAIT-1` are equal.
fn is_state(name: &str, state: &str) -> bool {
    let plain =
        |text: &str| -> String { text.chars().filter(char::is_ascii_alphanumeric).collect() };
    let name = plain(name.strip_prefix("TCP_").unwrap_or(name));
    let name = match name.as_str() {
        "SYNRECV" => "SYNRECEIVED",
        "CLOSE" => "CLOSED",
        other => other,
    };
    name == plain(state)
}

/// The result of an attempt.
#[derive(Clone, Debug)]
pub(super) enum Attempt {
    /// The call returns.
    Done(Reply),
    /// The call blocks.
    Blocks,
}

impl Begun {
    pub(super) fn new(call: &Call, operation: Operation, since: Time) -> Self {
        Self {
            call: call.clone(),
            operation,
            since,
            moved: 0,
        }
    }
}

impl Runner<'_> {
    /// Attempts a call, for the first time or again.
    pub(super) fn attempt(&mut self, begun: &mut Begun) -> Result<Attempt, Stop> {
        match self.try_call(begun) {
            Ok(reply) => Ok(Attempt::Done(reply)),
            Err(Failure::WouldBlock) => Ok(Attempt::Blocks),
            Err(Failure::Error(errno)) => Ok(Attempt::Done(Reply::error(errno))),
            Err(Failure::Unsupported(reason)) => Err(Stop::skipped(reason)),
        }
    }

    fn try_call(&mut self, begun: &mut Begun) -> Called<Reply> {
        match begun.operation.clone() {
            Operation::Socket { nonblocking } => {
                let socket = self.target.socket();
                Ok(self.open(&begun.call, Descriptor::new(socket, nonblocking)))
            }
            Operation::Bind(fd, addr) => self.bind(fd, addr),
            Operation::Listen(fd, backlog) => {
                let socket = self.descriptor(fd)?.socket;
                self.target.listen(socket, backlog)?;
                Ok(Reply::int(0))
            }
            Operation::Accept { fd, nonblocking } => {
                let listener = *self.descriptor(fd)?;
                let accepted = self.target.accept(listener.socket);
                let socket = immediately(accepted, listener.nonblocking, Errno::EAGAIN)?;
                let accepted = Descriptor {
                    low_water: listener.low_water,
                    ..Descriptor::new(socket, nonblocking)
                };
                Ok(self.open(&begun.call, accepted))
            }
            Operation::Connect(fd, addr) => self.connect(fd, addr),
            Operation::Send { fd, len, flags } => {
                if flags.more {
                    self.hold(fd, true)?;
                }
                let sent = self.send(fd, len, flags, &mut begun.moved)?;
                if !flags.more {
                    self.hold(fd, false)?;
                }
                Ok(sent)
            }
            Operation::Receive { fd, len, flags } => self.receive(fd, len, flags, &mut begun.moved),
            Operation::Shutdown(fd, how) => {
                let socket = self.descriptor(fd)?.socket;
                self.target.shutdown(socket, how)?;
                Ok(Reply::int(0))
            }
            Operation::Close(fd) => {
                let socket = self.descriptor(fd)?.socket;
                self.target.close(socket)?;
                self.descriptors.remove(&fd);
                Ok(Reply::int(0))
            }
            Operation::GetFlags(fd) => {
                const O_RDWR: i64 = 2;
                const O_NONBLOCK: i64 = 0o4000;
                let nonblocking = self.descriptor(fd)?.nonblocking;
                Ok(Reply::int(
                    O_RDWR | if nonblocking { O_NONBLOCK } else { 0 },
                ))
            }
            Operation::SetFlags { fd, nonblocking } => {
                self.descriptor(fd)?.nonblocking = nonblocking;
                Ok(Reply::int(0))
            }
            Operation::Option(fd, call) => self.option(fd, call),
            Operation::Poll { watched, timeout } => {
                let expired = timeout.is_some_and(|timeout| self.now >= begun.since + timeout);
                self.poll(&watched, expired)
            }
            Operation::State { fd } => self.state(fd),
        }
    }

    fn bind(&mut self, fd: Fd, addr: SocketAddr) -> Called<Reply> {
        let socket = self.descriptor(fd)?.socket;
        self.target.bind(socket, addr)?;
        let any = addr.ip().is_unspecified();
        let ip = if any {
            self.setup.environment.local_ip()
        } else {
            addr.ip()
        };
        self.bound = Some(SocketAddr::new(ip, addr.port()));
        Ok(Reply::int(0))
    }

    pub(super) fn descriptor(&mut self, fd: Fd) -> Called<&mut Descriptor> {
        self.descriptors.get_mut(&fd).ok_or(Errno::EBADF.into())
    }

    /// Gives a new socket the number from the script, or otherwise the lowest free one.
    fn open(&mut self, call: &Call, descriptor: Descriptor) -> Reply {
        let wanted = match call.result {
            Some(Arg::Int(fd)) if fd >= 0 && !self.descriptors.contains_key(&fd) => Some(fd),
            _ => None,
        };
        let free = (3..).find(|fd| !self.descriptors.contains_key(fd));
        let fd = wanted.or(free).unwrap_or_default();
        self.descriptors.insert(fd, descriptor);
        self.subject = Some(fd);
        Reply::int(fd)
    }

    fn connect(&mut self, fd: Fd, addr: SocketAddr) -> Called<Reply> {
        let Descriptor {
            socket,
            nonblocking,
            connecting,
            ..
        } = *self.descriptor(fd)?;
        let connected = self.target.connect(socket, addr);
        if connected == Err(Failure::WouldBlock) {
            self.descriptor(fd)?.connecting = true;
            if !connecting && let Some(local) = self.target.local_addr(socket) {
                self.begin_flow(local, addr);
            }
        } else {
            self.descriptor(fd)?.connecting = false;
        }
        let waiting = if connecting {
            Errno::EALREADY
        } else {
            Errno::EINPROGRESS
        };
        immediately(connected, nonblocking, waiting)?;
        Ok(Reply::int(0))
    }

    fn send(&mut self, fd: Fd, len: usize, flags: Flags, moved: &mut usize) -> Called<Reply> {
        let Descriptor {
            socket,
            nonblocking,
            written,
            ..
        } = *self.descriptor(fd)?;
        let data = stream_bytes(written, len - *moved);
        match self.target.send(socket, &data, flags.urgent) {
            Ok(taken) => {
                *moved += taken;
                self.descriptor(fd)?.written += taken as i64;
            }
            Err(Failure::WouldBlock) => {}
            Err(_) if *moved > 0 => return Ok(Reply::int(*moved as i64)),
            Err(failure) => return Err(failure),
        }
        if *moved == len {
            return Ok(Reply::int(len as i64));
        }
        // A nonblocking call accepts as much as fits.
        match (nonblocking || flags.dont_wait, *moved) {
            (true, 0) => Err(Errno::EAGAIN.into()),
            (true, moved) => Ok(Reply::int(moved as i64)),
            (false, _) => Err(Failure::WouldBlock),
        }
    }

    /// MSG_MORE: until a call without the flag, data that does not fill a segment is held, as with
    /// TCP_CORK.
    fn hold(&mut self, fd: Fd, more: bool) -> Called<()> {
        let descriptor = self.descriptor(fd)?;
        if descriptor.more == more {
            return Ok(());
        }
        descriptor.more = more;
        let socket = descriptor.socket;
        self.target.set_option(socket, SockOpt::Cork, more.into())
    }

    fn receive(&mut self, fd: Fd, len: usize, flags: Flags, moved: &mut usize) -> Called<Reply> {
        let Descriptor {
            socket,
            nonblocking,
            read,
            low_water,
            ..
        } = *self.descriptor(fd)?;
        let waits = !nonblocking && !flags.dont_wait;
        let received = self.target.recv(socket, len - *moved, flags.peek);
        let data = match received {
            Err(Failure::WouldBlock) if !waits => {
                return Err(Errno::EAGAIN.into());
            }
            other => other?,
        };
        let expected = stream_bytes(read, data.len());
        let wrong = expected.iter().zip(&data).position(|(e, a)| e != a);
        let wrong = wrong.map(|at| {
            let offset = read + at as i64;
            (
                format!("byte {} at offset {offset} of the stream", expected[at]),
                format!("{}", data[at]),
            )
        });
        if !flags.peek {
            self.descriptor(fd)?.read += data.len() as i64;
        }
        *moved += data.len();
        let enough = if flags.wait_all {
            len
        } else {
            len.min(low_water)
        };
        let more = (waits || flags.wait_all) && !flags.peek;
        if more && *moved < enough && !data.is_empty() && wrong.is_none() {
            return Err(Failure::WouldBlock);
        }
        Ok(Reply::checked(*moved as i64, wrong))
    }

    fn poll(&mut self, watched: &[Watched], expired: bool) -> Called<Reply> {
        let mut ready = 0;
        let mut wrong = None;
        for entry in watched {
            let socket = self.descriptor(entry.fd)?.socket;
            let reported = entry.reported(self.target.readiness(socket)?);
            ready += i64::from(reported != 0);
            if let Some(expected) = entry.expected.filter(|expected| *expected != reported) {
                wrong = Some((
                    format!("revents {expected:#x}"),
                    format!("revents {reported:#x}"),
                ));
            }
        }
        if ready == 0 && !expired {
            return Err(Failure::WouldBlock);
        }
        Ok(Reply::checked(ready, wrong))
    }

    /// The state of a socket's connection, or of the current flow.
    fn state(&mut self, fd: Option<Fd>) -> Called<Reply> {
        let ends = match fd {
            Some(fd) => {
                let socket = self.descriptor(fd)?.socket;
                if self.target.is_listening(socket) {
                    return Ok(Reply {
                        value: Ok(Value::Name("LISTEN")),
                        wrong: None,
                    });
                }
                let ends = self.target.local_addr(socket);
                ends.zip(self.target.peer_addr(socket))
            }
            None => self.current_flow().map(|flow| (flow.local, flow.remote)),
        };
        let state = ends.map_or("CLOSED", |(local, remote)| self.target.state(local, remote));
        Ok(Reply {
            value: Ok(Value::Name(state)),
            wrong: None,
        })
    }
}

/// Converts waiting into an error for a nonblocking socket.
fn immediately<T>(called: Called<T>, nonblocking: bool, waiting: Errno) -> Called<T> {
    match called {
        Err(Failure::WouldBlock) if nonblocking => Err(waiting.into()),
        other => other,
    }
}

pub(super) fn differing(expected: Option<i64>, actual: i64) -> Option<(String, String)> {
    expected
        .filter(|expected| *expected != actual)
        .map(|expected| (format!("[{expected}]"), format!("[{actual}]")))
}
