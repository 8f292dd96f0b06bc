//! The Linux kernel behind the socket interface: its own sockets, and a TUN interface on which the
//! script plays their peer.
//!
//! - this file: calls;
//! - `host`: the network namespace, the interface, sysctls;
//! - `sockopt`: socket options and `TCP_INFO`; `diag`: states of connections.
//!
//! Time is real here. The kernel handles a packet during the write to the interface, so the
//! immediate consequences of a packet or a call can be collected at once.

mod diag;
mod host;
mod sockopt;

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, Read as _};
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::RecvFlags;
use socket2::{Domain, Protocol, Socket as KernelSocket, Type};

use self::host::Host;
use super::{Called, Environment, Errno, Failure, Ready, Shutdown, SockOpt, Socket, Target, Time};

/// The maximum duration of a close that does not linger.
const SOON: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 5_000_000,
};

/// The kernel as a target; see the module.
pub struct LinuxTarget {
    host: Host,
    domain: Domain,
    congestion: String,
    start: Instant,
    sockets: Vec<Option<KernelSocket>>,
    /// The destination of each connect: the kernel reports it only after the connection is
    /// established.
    peers: BTreeMap<Socket, SocketAddr>,
    /// The sockets with a lingering close; the other end is dropped when the close has ended.
    lingering: BTreeMap<Socket, UnixStream>,
    sent: VecDeque<(Time, Vec<u8>)>,
}

impl LinuxTarget {
    /// A kernel in `environment`. The calling thread moves into a network namespace of its own,
    /// which requires the rights that [`netns::enter`](millstream_testbed::netns::enter)
    /// gives a process.
    ///
    /// # Errors
    /// If the kernel does not support a setting, or denies an operation.
    pub fn new(environment: &Environment) -> Called<Self> {
        let host = Host::new(environment)?;
        let domain = if environment.ipv6 {
            Domain::IPV6
        } else {
            Domain::IPV4
        };
        Ok(Self {
            host,
            domain,
            congestion: environment.congestion.clone(),
            start: Instant::now(),
            sockets: Vec::new(),
            peers: BTreeMap::new(),
            lingering: BTreeMap::new(),
            sent: VecDeque::new(),
        })
    }

    /// Collects the kernel's packets.
    fn drain(&mut self) {
        while let Some(packet) = self.host.receive() {
            self.sent.push_back((self.start.elapsed(), packet));
        }
    }

    fn add(&mut self, socket: io::Result<KernelSocket>) -> Socket {
        let watched = socket.and_then(|socket| self.host.watch(&socket).map(|()| socket));
        self.sockets.push(watched.ok());
        Socket(self.sockets.len() - 1)
    }

    /// Closes a socket with linger in a thread of its own, so that the script continues meanwhile.
    fn linger_over(&mut self, socket: Socket, closed: KernelSocket) -> io::Result<()> {
        let (here, there) = UnixStream::pair()?;
        here.set_nonblocking(true)?;
        self.host.watch(&here)?;
        thread::spawn(move || {
            drop(closed);
            drop(there);
        });
        // A close without anything to wait for returns at once.
        let mut entries = [PollFd::new(&here, PollFlags::IN)];
        poll(&mut entries, Some(&SOON))?;
        self.lingering.insert(socket, here);
        Ok(())
    }

    /// Whether a lingering close has ended.
    fn lingered(&mut self, socket: Socket) -> Called<()> {
        self.drain();
        let end = self.lingering.get_mut(&socket).ok_or(Errno::EBADF)?;
        match end.read(&mut [0]) {
            Ok(0) => {
                self.lingering.remove(&socket);
                Ok(())
            }
            _ => Err(Failure::WouldBlock),
        }
    }

    fn get(&self, socket: Socket) -> Called<&KernelSocket> {
        let open = self.sockets.get(socket.0).and_then(Option::as_ref);
        open.ok_or(Errno::EBADF.into())
    }

    fn done<T>(&mut self, result: io::Result<T>) -> Called<T> {
        self.drain();
        result.map_err(|error| failure(&error))
    }
}

/// Maps the kernel's error to a script's name.
fn failure(error: &io::Error) -> Failure {
    if error.kind() == ErrorKind::WouldBlock {
        return Failure::WouldBlock;
    }
    let number = error.raw_os_error().unwrap_or_default();
    match Errno::from_number(i64::from(number)) {
        Some(Errno::EINPROGRESS | Errno::EALREADY) => Failure::WouldBlock,
        Some(errno) => Failure::Error(errno),
        None => Failure::Unsupported(format!("an error that scripts have no name for: {error}")),
    }
}

impl Target for LinuxTarget {
    fn advance(&mut self, limit: Time) -> Time {
        self.host.wait(limit.saturating_sub(self.start.elapsed()));
        self.drain();
        self.start.elapsed()
    }

    fn inject(&mut self, packet: Bytes) {
        self.drain();
        self.host.send(&packet);
        self.drain();
    }

    fn take_packet(&mut self) -> Option<(Time, Vec<u8>)> {
        self.sent.pop_front()
    }

    fn socket(&mut self) -> Socket {
        let kind = Type::STREAM.nonblocking();
        let socket = KernelSocket::new(self.domain, kind, Some(Protocol::TCP));
        // A sysctl would not do, because a namespace may choose only from a few algorithms.
        // Accepted sockets inherit the option.
        let socket = socket.and_then(|socket| {
            socket.set_tcp_congestion(self.congestion.as_bytes())?;
            Ok(socket)
        });
        self.add(socket)
    }

    fn bind(&mut self, socket: Socket, addr: SocketAddr) -> Called<()> {
        let bound = self.get(socket)?.bind(&addr.into());
        self.done(bound)
    }

    fn listen(&mut self, socket: Socket, backlog: usize) -> Called<()> {
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        let listening = self.get(socket)?.listen(backlog);
        self.done(listening)
    }

    fn accept(&mut self, socket: Socket) -> Called<Socket> {
        let accepted = self.get(socket)?.accept();
        let (accepted, _) = self.done(accepted)?;
        let nonblocking = accepted.set_nonblocking(true);
        self.done(nonblocking)?;
        Ok(self.add(Ok(accepted)))
    }

    fn connect(&mut self, socket: Socket, addr: SocketAddr) -> Called<()> {
        let connected = self.get(socket)?.connect(&addr.into());
        self.peers.insert(socket, addr);
        self.done(connected)
    }

    fn send(&mut self, socket: Socket, data: &[u8], urgent: bool) -> Called<usize> {
        let socket = self.get(socket)?;
        let sent = if urgent {
            socket.send_out_of_band(data)
        } else {
            socket.send(data)
        };
        self.done(sent)
    }

    fn recv(&mut self, socket: Socket, max: usize, peek: bool) -> Called<Vec<u8>> {
        let flags = if peek {
            RecvFlags::PEEK
        } else {
            RecvFlags::empty()
        };
        let mut buffer = vec![0; max];
        let received = rustix::net::recv(self.get(socket)?, &mut buffer[..], flags);
        let (received, _) = self.done(received.map_err(io::Error::from))?;
        buffer.truncate(received);
        Ok(buffer)
    }

    fn shutdown(&mut self, socket: Socket, how: Shutdown) -> Called<()> {
        let how = match how {
            Shutdown::Read => std::net::Shutdown::Read,
            Shutdown::Write => std::net::Shutdown::Write,
            Shutdown::Both => std::net::Shutdown::Both,
        };
        let shut = self.get(socket)?.shutdown(how);
        self.done(shut)
    }

    fn close(&mut self, socket: Socket) -> Called<()> {
        if self.lingering.contains_key(&socket) {
            return self.lingered(socket);
        }
        let lingers = self.get(socket)?.linger();
        let lingers = self.done(lingers)?.is_some_and(|time| !time.is_zero());
        let closed = self.sockets.get_mut(socket.0).and_then(Option::take);
        let closed = closed.ok_or(Errno::EBADF)?;
        if lingers {
            let begun = self.linger_over(socket, closed);
            self.done(begun)?;
            return self.lingered(socket);
        }
        drop(closed);
        self.drain();
        Ok(())
    }

    fn set_option(&mut self, socket: Socket, option: SockOpt, value: i64) -> Called<()> {
        let value = i32::try_from(value).map_err(|_| Failure::from(Errno::EINVAL))?;
        let set = sockopt::set(self.get(socket)?, option, value);
        self.done(set)
    }

    fn option(&mut self, socket: Socket, option: SockOpt) -> Called<i64> {
        let value = sockopt::get(self.get(socket)?, option);
        self.done(value)
    }

    fn set_linger(&mut self, socket: Socket, linger: Option<Duration>) -> Called<()> {
        let set = self.get(socket)?.set_linger(linger);
        self.done(set)
    }

    fn linger(&mut self, socket: Socket) -> Called<Option<Duration>> {
        let linger = self.get(socket)?.linger();
        self.done(linger)
    }

    fn congestion(&mut self, socket: Socket) -> Called<String> {
        let name = self.get(socket)?.tcp_congestion();
        let name = self.done(name)?;
        let name = name.into_iter().take_while(|byte| *byte != 0).collect();
        Ok(String::from_utf8(name).unwrap_or_default())
    }

    fn set_congestion(&mut self, socket: Socket, name: &str) -> Called<()> {
        let set = self.get(socket)?.set_tcp_congestion(name.as_bytes());
        self.done(set)
    }

    fn readable_bytes(&mut self, socket: Socket) -> Called<usize> {
        let bytes = rustix::io::ioctl_fionread(self.get(socket)?);
        self.done(bytes.map_err(io::Error::from))
            .map(|n| n as usize)
    }

    fn unacknowledged_bytes(&mut self, socket: Socket) -> Called<usize> {
        let bytes = sockopt::unacknowledged(self.get(socket)?);
        self.done(bytes)
    }

    fn readiness(&mut self, socket: Socket) -> Called<Ready> {
        let asked = PollFlags::IN | PollFlags::OUT | PollFlags::RDHUP;
        let socket = self.get(socket)?;
        let mut entries = [PollFd::from_borrowed_fd(socket.as_fd(), asked)];
        let polled = poll(&mut entries, Some(&Timespec::default()));
        let found = entries[0].revents();
        self.done(polled.map_err(io::Error::from))?;
        Ok(Ready {
            readable: found.contains(PollFlags::IN),
            writable: found.contains(PollFlags::OUT),
            error: found.contains(PollFlags::ERR),
            hangup: found.contains(PollFlags::HUP),
            read_hangup: found.contains(PollFlags::RDHUP),
        })
    }

    fn info(&mut self, socket: Socket, field: &str) -> Called<i64> {
        let info = sockopt::info(self.get(socket)?);
        let info = self.done(info)?;
        sockopt::info_field(&info, field).ok_or_else(|| {
            Failure::Unsupported(format!("the field {field} of TCP_INFO is not read here"))
        })
    }

    fn local_addr(&self, socket: Socket) -> Option<SocketAddr> {
        self.get(socket).ok()?.local_addr().ok()?.as_socket()
    }

    fn state(&self, local: SocketAddr, remote: SocketAddr) -> &'static str {
        self.host.state(local, remote)
    }

    fn peer_addr(&self, socket: Socket) -> Option<SocketAddr> {
        let connected = self.get(socket).ok()?.peer_addr();
        let connected = connected.ok().and_then(|addr| addr.as_socket());
        connected.or_else(|| self.peers.get(&socket).copied())
    }
}
