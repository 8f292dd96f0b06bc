//! The calls of a lab's applications to their hosts.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use millstream_engine::{Binding, ConnectionOptions, ListenOptions, ListenerId};

use super::{Lab, Socket};
use crate::errors;
use crate::trace::{Change, What};

impl Lab {
    /// Binds a port, for a listener or for a later connection.
    ///
    /// # Errors
    /// The error that the application gets.
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

    /// Listens on a port, and accepts every connection.
    ///
    /// # Errors
    /// If the port is not available.
    pub fn listen(&mut self, host: usize, port: u16) -> Result<ListenerId> {
        let addr = self.addr(host, port);
        let stack = &mut self.machines[host].stack;
        let binding = stack.bind(addr, true)?;
        let options = ListenOptions::default().socket(stack.config().socket.clone());
        let listener = stack.listen(binding, options)?;
        let listens = What::State(Change::listens(host, addr));
        self.trace.push(self.now, listens);
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

    /// Begins to connect from a bound port; the result is recorded later.
    ///
    /// # Errors
    /// The error that the application gets at once.
    pub fn connect_from(
        &mut self,
        host: usize,
        binding: Binding,
        to: SocketAddr,
    ) -> Result<Socket> {
        let connecting = self.begin_to_connect(host, Some(&binding), to);
        self.machines[host].stack.unbind(binding);
        connecting
    }

    /// Begins to connect from a port that the stack chooses; the result is recorded later.
    ///
    /// # Errors
    /// The error that the application gets at once.
    pub fn connect_from_any(&mut self, host: usize, to: SocketAddr) -> Result<Socket> {
        self.begin_to_connect(host, None, to)
    }

    fn begin_to_connect(
        &mut self,
        host: usize,
        binding: Option<&Binding>,
        to: SocketAddr,
    ) -> Result<Socket> {
        let now = self.instant();
        let call = format!("connect({})", self.trace.end(to));
        let machine = &mut self.machines[host];
        let options = machine.stack.config().socket.clone();
        match machine.stack.connect(now, binding, to, options) {
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
    /// Those of [`bind`](Self::bind) and [`connect_from`](Self::connect_from).
    pub fn connect(&mut self, host: usize, port: u16, to: SocketAddr) -> Result<Socket> {
        let addr = self.addr(host, port);
        let binding = self.machines[host].stack.bind(addr, false)?;
        self.connect_from(host, binding, to)
    }

    /// The connection that the host accepted last.
    ///
    /// # Errors
    /// If the host has accepted none.
    pub fn accepted(&self, host: usize) -> Result<Socket> {
        let id = self.machines[host].accepted.last();
        let id =
            *id.with_context(|| format!("{} accepted nothing", self.trace.hosts[host].name))?;
        Ok(Socket { host, id })
    }

    /// Connects a port of `from` to a listening port of the other host, and waits until both ends
    /// are established.
    ///
    /// # Errors
    /// If the connection fails.
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

    /// Writes `data`.
    ///
    /// # Errors
    /// The error that the application gets, or an error if the stack did not accept all data.
    pub fn write(&mut self, socket: Socket, data: &[u8]) -> Result<()> {
        let now = self.instant();
        let taken = self.machines[socket.host].stack.write(now, socket.id, data);
        let told = taken.map(|n| n.to_string()).map_err(errors::of_write);
        self.told(socket.host, format!("write({} bytes)", data.len()), told);
        self.settle(socket.host);
        anyhow::ensure!(taken? == data.len(), "the send buffer is full");
        Ok(())
    }

    /// Shuts down the writing direction.
    ///
    /// # Errors
    /// The error that the application gets.
    pub fn shutdown(&mut self, socket: Socket) -> Result<()> {
        let now = self.instant();
        let stack = &mut self.machines[socket.host].stack;
        let done = stack.shutdown_write(now, socket.id);
        let told = done.map(|()| "ok".to_owned()).map_err(errors::of_write);
        self.told(socket.host, "shutdown(SHUT_WR)".to_owned(), told);
        self.settle(socket.host);
        Ok(done?)
    }

    /// Closes the connection.
    pub fn close(&mut self, socket: Socket) {
        let now = self.instant();
        let machine = &mut self.machines[socket.host];
        machine.stack.close(now, socket.id);
        machine.reading.retain(|id| *id != socket.id);
        self.told(socket.host, "close()".to_owned(), Ok("ok".to_owned()));
        self.settle(socket.host);
    }

    /// Changes a connection's options.
    ///
    /// # Errors
    /// If a value is rejected.
    pub fn set_options(
        &mut self,
        socket: Socket,
        change: impl FnOnce(&mut ConnectionOptions),
    ) -> Result<()> {
        let now = self.instant();
        let stack = &mut self.machines[socket.host].stack;
        stack.set_options(now, socket.id, change)?;
        self.settle(socket.host);
        Ok(())
    }
}
