//! Two hosts on virtual time, their link, and the record of what happens.
//!
//! Each host is a [`Stack`] with applications that always wait: what can be accepted is accepted, what can
//! be read is read, at the moment at which it can. A scenario does the rest: connect, write, close, wait.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use millstream_engine::{
    Binding, Cidr, Config, ConnectionId, Event, Instant, ListenOptions, ListenerId, Read,
    Readiness, RxChecksum, SocketOptions, Stack, Transition, Transmit,
};
use millstream_wire::SeqNum;

use crate::errors;
use crate::link::{Link, Script, Verdict};
use crate::segment::Decoder;
use crate::trace::{Call, Change, Fate, Host, Trace, What};

/// The host on the left.
pub const LEFT: usize = 0;
/// The host on the right.
pub const RIGHT: usize = 1;

/// Longest text of what was read that is shown.
const SHOWN: usize = 40;

/// A connection of one of the hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// The host.
    pub host: usize,
    id: ConnectionId,
}

/// See the module.
pub struct Lab {
    now: Duration,
    machines: Vec<Machine>,
    link: Link,
    /// For the script's eyes; the trace has one of its own.
    decoder: Decoder,
    trace: Trace,
}

/// One host.
struct Machine {
    stack: Stack,
    address: IpAddr,
    configure: fn(&mut Config),
    transitions: Arc<Mutex<Vec<Transition>>>,
    /// What each connection waits for is told as the answer to this call.
    connecting: BTreeMap<ConnectionId, String>,
    /// Connections whose reads go on.
    reading: Vec<ConnectionId>,
    accepted: Vec<ConnectionId>,
}

impl Machine {
    fn new(address: IpAddr, configure: fn(&mut Config), seed: u8) -> Self {
        let mut config = Config {
            addresses: vec![Cidr::new(address, 24)],
            ..Config::default()
        };
        configure(&mut config);
        let transitions = Arc::new(Mutex::new(Vec::new()));
        let mut stack = Stack::new(config, [seed; 32]);
        let log = Arc::clone(&transitions);
        stack.set_observer(Some(Box::new(move |transition: &Transition| {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push(*transition);
        })));
        Self {
            stack,
            address,
            configure,
            transitions,
            connecting: BTreeMap::new(),
            reading: Vec::new(),
            accepted: Vec::new(),
        }
    }
}

impl Lab {
    /// Two hosts called `names`, each configured by its function, on a link of which `script` decides.
    #[must_use]
    pub fn new(
        title: &str,
        names: [&str; 2],
        configure: [fn(&mut Config); 2],
        script: Script,
    ) -> Self {
        let addresses = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        let hosts = [LEFT, RIGHT].map(|host| Host {
            name: names[host].to_owned(),
            address: addresses[host],
        });
        let machines =
            [LEFT, RIGHT].map(|host| Machine::new(addresses[host], configure[host], host as u8));
        Self {
            now: Duration::ZERO,
            machines: machines.into(),
            link: Link::new(script),
            decoder: Decoder::default(),
            trace: Trace::new(title, hosts.into()),
        }
    }

    /// Virtual time since the beginning.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// The host's address with a port.
    #[must_use]
    pub fn addr(&self, host: usize, port: u16) -> SocketAddr {
        SocketAddr::new(self.machines[host].address, port)
    }

    /// The link, to change its script.
    pub fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    /// The record so far, in order; the lab is over.
    #[must_use]
    pub fn finish(mut self) -> Trace {
        self.trace.finish();
        self.trace
    }

    // ---- what a scenario does to the hosts ----

    /// Notes a sentence.
    pub fn remark(&mut self, text: &str) {
        let text = text.to_owned();
        self.trace.push(self.now, What::Remark { text });
    }

    /// The host's next connection begins with this sequence number.
    pub fn set_next_isn(&mut self, host: usize, isn: u32) {
        self.machines[host].stack.set_next_isn(SeqNum::new(isn));
    }

    /// Switches a host off and on: its tables are empty, and nothing was sent.
    pub fn reboot(&mut self, host: usize) {
        let old = &self.machines[host];
        let seed = 100 + host as u8;
        self.machines[host] = Machine::new(old.address, old.configure, seed);
    }

    // ---- the applications ----

    /// Binds a port, for a listener or a connection to come.
    ///
    /// # Errors
    /// What the application is told.
    pub fn bind(&mut self, host: usize, port: u16, reuse: bool) -> Result<Binding> {
        let addr = self.addr(host, port);
        let with = if reuse { ", SO_REUSEADDR" } else { "" };
        let bound = self.machines[host].stack.bind(addr, reuse);
        let told = bound
            .as_ref()
            .map(|_| "ok".to_owned())
            .map_err(|e| errors::of_bind(*e));
        self.told(host, format!("bind({port}{with})"), told);
        Ok(bound?)
    }

    /// Listens on a port, and accepts whatever comes.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub fn listen(&mut self, host: usize, port: u16) -> Result<ListenerId> {
        let addr = self.addr(host, port);
        let stack = &mut self.machines[host].stack;
        let binding = stack.bind(addr, true)?;
        let options = ListenOptions {
            socket: stack.config().socket.clone(),
            ..ListenOptions::default()
        };
        let listener = stack.listen(binding, options)?;
        self.told(host, format!("listen({port})"), Ok("ok".to_owned()));
        Ok(listener)
    }

    /// Stops listening.
    pub fn close_listener(&mut self, host: usize, listener: ListenerId) {
        let now = self.instant();
        self.machines[host].stack.close_listener(now, listener);
        self.told(host, "close(listener)".to_owned(), Ok("ok".to_owned()));
        self.settle(host);
    }

    /// Begins to connect from a bound port; the answer comes later.
    ///
    /// # Errors
    /// What the application is told at once.
    pub fn connect_from(
        &mut self,
        host: usize,
        binding: Binding,
        to: SocketAddr,
    ) -> Result<Socket> {
        let now = self.instant();
        let call = format!("connect({})", self.trace.end(to));
        let machine = &mut self.machines[host];
        let options = machine.stack.config().socket.clone();
        let connected = machine.stack.connect(now, Some(&binding), to, options);
        machine.stack.unbind(binding);
        match connected {
            Ok(id) => {
                machine.connecting.insert(id, call);
                self.settle(host);
                Ok(Socket { host, id })
            }
            Err(error) => {
                self.told(host, call, Err(errors::of_connect(error)));
                Err(error.into())
            }
        }
    }

    /// Begins to connect from `port`.
    ///
    /// # Errors
    /// As [`bind`](Self::bind) and [`connect_from`](Self::connect_from).
    pub fn connect(&mut self, host: usize, port: u16, to: SocketAddr) -> Result<Socket> {
        let addr = self.addr(host, port);
        let binding = self.machines[host].stack.bind(addr, false)?;
        self.connect_from(host, binding, to)
    }

    /// The connection that the host accepted last.
    ///
    /// # Errors
    /// There is none.
    pub fn accepted(&self, host: usize) -> Result<Socket> {
        let id = self.machines[host].accepted.last();
        let id =
            *id.with_context(|| format!("{} accepted nothing", self.trace.hosts[host].name))?;
        Ok(Socket { host, id })
    }

    /// Connects `from`'s port to a listening port of the other host, and waits for both ends.
    ///
    /// # Errors
    /// When it does not work.
    pub fn establish(
        &mut self,
        from: usize,
        port: u16,
        to: SocketAddr,
    ) -> Result<(Socket, Socket)> {
        let near = self.connect(from, port, to)?;
        self.quiet();
        Ok((near, self.accepted(1 - from)?))
    }

    /// Writes.
    ///
    /// # Errors
    /// What the application is told, or that not all was taken.
    pub fn write(&mut self, socket: Socket, data: &[u8]) -> Result<()> {
        let now = self.instant();
        let taken = self.machines[socket.host].stack.write(now, socket.id, data);
        let told = taken.map(|n| n.to_string()).map_err(errors::of_write);
        self.told(socket.host, format!("write({} bytes)", data.len()), told);
        self.settle(socket.host);
        anyhow::ensure!(taken? == data.len(), "the send buffer is full");
        Ok(())
    }

    /// Says that no more will be written.
    ///
    /// # Errors
    /// What the application is told.
    pub fn shutdown(&mut self, socket: Socket) -> Result<()> {
        let now = self.instant();
        let stack = &mut self.machines[socket.host].stack;
        let done = stack.shutdown_write(now, socket.id);
        let told = done.map(|()| "ok".to_owned()).map_err(errors::of_write);
        self.told(socket.host, "shutdown(SHUT_WR)".to_owned(), told);
        self.settle(socket.host);
        Ok(done?)
    }

    /// Closes.
    pub fn close(&mut self, socket: Socket) {
        let now = self.instant();
        let machine = &mut self.machines[socket.host];
        machine.stack.close(now, socket.id);
        machine.reading.retain(|id| *id != socket.id);
        self.told(socket.host, "close()".to_owned(), Ok("ok".to_owned()));
        self.settle(socket.host);
    }

    /// Changes a connection's options.
    pub fn set_options(&mut self, socket: Socket, change: impl FnOnce(&mut SocketOptions)) {
        let now = self.instant();
        let stack = &mut self.machines[socket.host].stack;
        stack.set_options(now, socket.id, change);
        self.settle(socket.host);
    }

    // ---- time ----

    /// Lets everything happen that is due by `until`.
    pub fn run_until(&mut self, until: Duration) {
        while self.step(until) {}
        self.now = self.now.max(until);
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Waits until no packet is under way.
    pub fn quiet(&mut self) {
        while let Some(next) = self.link.next() {
            self.run_until(next);
        }
    }

    /// Goes to the next thing that happens by `until`; `false` if there is none.
    fn step(&mut self, until: Duration) -> bool {
        let timers = self.machines.iter().map(|m| m.stack.poll_timeout());
        let timer = timers.flatten().min().map(|at| at - Instant::ZERO);
        let next = [timer, self.link.next()].into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next <= until) else {
            return false;
        };
        self.now = self.now.max(next);
        let now = self.instant();
        while let Some((host, packet)) = self.link.arrived(self.now) {
            let stack = &mut self.machines[host].stack;
            stack.handle_packet(now, packet, RxChecksum::Unverified);
            self.settle(host);
        }
        for host in 0..self.machines.len() {
            self.machines[host].stack.handle_timeout(now);
            self.settle(host);
        }
        true
    }

    fn instant(&self) -> Instant {
        Instant::ZERO + self.now
    }

    // ---- what follows from it ----

    /// Notes what changed, lets the applications take what there is, and puts packets on the link.
    fn settle(&mut self, host: usize) {
        self.note_transitions(host);
        while let Some(event) = self.machines[host].stack.poll_event() {
            match event {
                Event::Incoming(listener) => self.accept(host, listener),
                Event::Connection(id, readiness) => self.wake(host, id, readiness),
            }
        }
        self.note_transitions(host);
        let mut out = Transmit::new();
        let now = self.instant();
        while self.machines[host].stack.poll_transmit(now, &mut out) {
            let mut packet = Vec::with_capacity(out.len());
            out.write_to(&mut packet);
            self.note_transitions(host);
            self.send(host, &packet);
        }
    }

    fn send(&mut self, host: usize, packet: &[u8]) {
        let Some(segment) = self.decoder.decode(packet) else {
            return;
        };
        let to = self.trace.host_of(segment.to.ip()).unwrap_or(1 - host);
        match self.link.send((host, to), self.now, &segment) {
            Verdict::Carry { seen, arrives } => {
                let fate = Fate::Passed;
                self.trace.push_packet(seen, packet, fate, Some(arrives));
            }
            Verdict::Lose => self.trace.push_packet(self.now, packet, Fate::Lost, None),
        }
    }

    fn accept(&mut self, host: usize, listener: ListenerId) {
        while let Some(accepted) = self.machines[host].stack.accept(listener) {
            let machine = &mut self.machines[host];
            machine.accepted.push(accepted.id);
            machine.reading.push(accepted.id);
            let peer = self.trace.end(accepted.peer);
            self.told(host, "accept()".to_owned(), Ok(peer));
        }
    }

    fn wake(&mut self, host: usize, id: ConnectionId, readiness: Readiness) {
        let machine = &mut self.machines[host];
        if readiness.contains(Readiness::CONNECTED)
            && let Some(call) = machine.connecting.remove(&id)
        {
            match machine.stack.is_connected(id) {
                Ok(false) => {
                    machine.connecting.insert(id, call);
                }
                Ok(true) => {
                    machine.reading.push(id);
                    self.told(host, call, Ok("ok".to_owned()));
                }
                Err(error) => self.told(host, call, Err(errors::of_connection(error))),
            }
        }
        if readiness.contains(Readiness::READABLE) {
            self.read(host, id);
        }
    }

    /// Reads until there is nothing, and for good at the end.
    fn read(&mut self, host: usize, id: ConnectionId) {
        let now = self.instant();
        while self.machines[host].reading.contains(&id) {
            let mut pieces: Vec<Bytes> = Vec::new();
            let machine = &mut self.machines[host];
            let read = machine.stack.read(now, id, usize::MAX, &mut pieces);
            let answer = match read {
                Ok(Read::WouldBlock) => return,
                Ok(Read::Data(length)) => Ok(shown(&pieces.concat(), length)),
                Ok(Read::Eof) => Ok("0, the end".to_owned()),
                Err(error) => Err(errors::of_connection(error)),
            };
            if !matches!(read, Ok(Read::Data(_))) {
                machine.reading.retain(|other| *other != id);
            }
            self.told(host, "read()".to_owned(), answer);
        }
    }

    fn told(&mut self, host: usize, call: String, answer: Result<String, String>) {
        self.note_transitions(host);
        let call = Call { host, call, answer };
        self.trace.push(self.now, What::Call(call));
    }

    fn note_transitions(&mut self, host: usize) {
        let log = &self.machines[host].transitions;
        let changes = std::mem::take(&mut *log.lock().unwrap_or_else(PoisonError::into_inner));
        for change in changes {
            let what = What::State(Change {
                host,
                local: change.local,
                peer: change.peer,
                from: change.from,
                to: change.to,
                stimulus: Some(change.stimulus),
            });
            self.trace.push(change.at - Instant::ZERO, what);
        }
    }
}

/// What was read: its length, and its text where that is short.
fn shown(data: &[u8], length: usize) -> String {
    match std::str::from_utf8(data) {
        Ok(text) if length <= SHOWN => format!("{length} {text:?}"),
        _ => length.to_string(),
    }
}
