//! The lifetime of a stack, and the operations that concern all of its shards.
//!
//! A stack has one shard for each of its devices. A connection belongs to the shard whose share of
//! the hash space contains the connection's four-tuple. Local addresses and listeners exist in
//! every shard. A UDP socket belongs to the shard whose share contains its port. No two shards are
//! locked at the same time.

use std::io;
use std::iter::zip;
use std::net::SocketAddr;
use std::sync::Arc;

use millstream_engine::{
    Binding, ConnectError, ListenOptions, ListenerId, SocketOptions, Stack as Engine, UdpId,
    UdpOptions,
};

use crate::error::{IntoIo, StackClosed};
use crate::net::connection::Connection;
use crate::shard::{Core, Sends, Shard};
use crate::sync::{AtomicUsize, Ordering};

/// The shards of a stack and the number of its users: stack handles, listeners, sockets and streams
/// share one of these. When the last user is dropped, the drivers are told.
pub(crate) struct Handle {
    shards: Arc<[Arc<Shard>]>,
    rotation: Rotation,
}

/// With whom a socket shares its local address.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Sharing {
    #[default]
    None,
    /// With sockets that do so too, as long as none listens (`SO_REUSEADDR`).
    Address,
    /// With sockets that do so too (`SO_REUSEPORT`).
    Group,
}

/// A local address, bound in every shard.
pub(crate) struct Bound(Vec<Binding>);

impl Handle {
    /// Creates the handle. `shards` must not be empty.
    pub(crate) fn new(shards: Arc<[Arc<Shard>]>) -> Self {
        Self {
            shards,
            rotation: Rotation::default(),
        }
    }

    pub(crate) fn shards(&self) -> &[Arc<Shard>] {
        &self.shards
    }

    /// Queries the engine of one shard for something on which the engines of all shards agree.
    pub(crate) fn inspect<R>(&self, f: impl FnOnce(&Core) -> R) -> R {
        self.shards[0].inspect(f)
    }

    /// Binds a local address.
    pub(crate) fn bind(&self, addr: SocketAddr, sharing: Sharing) -> io::Result<Bound> {
        // A port that the first shard chooses may be taken in another shard. The first shard then
        // chooses the next.
        let mut tries = match addr.port() {
            0 if self.shards.len() > 1 => u16::MAX,
            _ => 1,
        };
        loop {
            tries -= 1;
            match self.try_bind(addr, sharing) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => {}
                result => return result,
            }
        }
    }

    fn try_bind(&self, mut addr: SocketAddr, sharing: Sharing) -> io::Result<Bound> {
        let mut bound = Bound(Vec::with_capacity(self.shards.len()));
        for shard in &*self.shards {
            let bind = |core: &mut Core, _| match sharing {
                Sharing::Group => core.engine.bind_in_group(addr),
                Sharing::Address => core.engine.bind(addr, true),
                Sharing::None => core.engine.bind(addr, false),
            };
            let binding = shard
                .command(Sends::Later, bind)
                .and_then(|result| result.map_err(IntoIo::into_io));
            match binding {
                Ok(binding) => {
                    addr = binding.local_addr();
                    bound.0.push(binding);
                }
                Err(error) => {
                    self.unbind(bound);
                    return Err(error);
                }
            }
        }
        Ok(bound)
    }

    /// Releases a bound address.
    pub(crate) fn unbind(&self, bound: Bound) {
        for (shard, binding) in zip(&*self.shards, bound.0) {
            shard.arrange(|core| core.engine.unbind(binding));
        }
    }

    /// Listens on a bound address, which is consumed even on an error. Returns the listeners in the
    /// order of the shards.
    pub(crate) fn listen(
        &self,
        bound: Bound,
        options: &ListenOptions,
    ) -> io::Result<Box<[ListenerId]>> {
        let mut listeners = Vec::with_capacity(self.shards.len());
        let mut failed = None;
        for (shard, binding) in zip(&*self.shards, bound.0) {
            if failed.is_some() {
                shard.arrange(|core| core.engine.unbind(binding));
                continue;
            }
            let listen = |core: &mut Core, _| core.engine.listen(binding, options.clone());
            match shard.command(Sends::Later, listen) {
                Ok(Ok(listener)) => listeners.push(listener),
                Ok(Err(error)) => failed = Some(error.into_io()),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            None => Ok(listeners.into()),
            Some(error) => {
                self.close_listeners(&listeners);
                Err(error)
            }
        }
    }

    /// Listens on every address, in every shard.
    pub(crate) fn listen_any(&self, options: &ListenOptions) -> io::Result<Box<[ListenerId]>> {
        let mut listeners = Vec::with_capacity(self.shards.len());
        for shard in &*self.shards {
            let listen = |core: &mut Core, _| core.engine.listen_any(options.clone());
            let listener = shard
                .command(Sends::Later, listen)
                .and_then(|result| result.map_err(IntoIo::into_io));
            match listener {
                Ok(listener) => listeners.push(listener),
                Err(error) => {
                    self.close_listeners(&listeners);
                    return Err(error);
                }
            }
        }
        Ok(listeners.into())
    }

    pub(crate) fn close_listeners(&self, listeners: &[ListenerId]) {
        for (shard, &id) in zip(&*self.shards, listeners) {
            shard.run(Sends::All, |core, now| {
                core.engine.close_listener(now, id);
                core.waits.forget_listener(id);
            });
        }
    }

    /// Begins to connect. A connection from a bound address is created in the shard to which it
    /// belongs; any other in the next shard that has a port for it.
    pub(crate) fn connect(
        self: &Arc<Self>,
        bound: Option<&Bound>,
        remote: SocketAddr,
        options: &SocketOptions,
    ) -> io::Result<Connection> {
        if let Some(bound) = bound {
            let shard = self.owner(bound, remote);
            return self
                .connect_in(shard, Some(&bound.0[shard]), remote, options)?
                .map_err(IntoIo::into_io);
        }
        let mut order = self.rotation.order(self.shards.len());
        loop {
            let result = self.connect_in(order.start % self.shards.len(), None, remote, options)?;
            order.start += 1;
            match result {
                Err(ConnectError::AddrNotAvailable(_)) if !order.is_empty() => {}
                result => return result.map_err(IntoIo::into_io),
            }
        }
    }

    fn owner(&self, bound: &Bound, remote: SocketAddr) -> usize {
        match self.shards.len() {
            1 => 0,
            // Without an owner there is an error, which the first shard reports.
            _ => self
                .inspect(|core| core.engine.share_of(&bound.0[0], remote))
                .map_or(0, usize::from),
        }
    }

    fn connect_in(
        self: &Arc<Self>,
        shard: usize,
        binding: Option<&Binding>,
        remote: SocketAddr,
        options: &SocketOptions,
    ) -> io::Result<Result<Connection, ConnectError>> {
        let shard = &self.shards[shard];
        shard.command(Sends::All, |core, now| {
            let engine: &mut Engine = &mut core.engine;
            let id = engine.connect(now, binding, remote, options.clone())?;
            let local = engine.local_addr(id).unwrap_or(remote);
            // A program that means IPv4 by an IPv6 address sees IPv6 addresses.
            let local = match local {
                SocketAddr::V4(v4) if remote.is_ipv6() => {
                    (v4.ip().to_ipv6_mapped(), v4.port()).into()
                }
                local => local,
            };
            // An unspecified address means the host itself.
            let remote = match engine.peer_addr(id) {
                Some(peer) if remote.ip().to_canonical().is_unspecified() => peer,
                _ => remote,
            };
            let (handle, shard) = (Arc::clone(self), Arc::clone(shard));
            Ok(Connection::new(handle, shard, id, local, remote))
        })
    }

    /// Binds a UDP socket, in the shard to which its port belongs; without a port, in the next
    /// shard.
    pub(crate) fn bind_udp(
        &self,
        addr: SocketAddr,
        options: UdpOptions,
    ) -> io::Result<(Arc<Shard>, UdpId)> {
        let count = self.shards.len();
        let shard = match addr.port() {
            0 => self.rotation.order(count).start % count,
            _ if count == 1 => 0,
            port => usize::from(self.inspect(|core| core.engine.udp_share_of(port))),
        };
        let shard = &self.shards[shard];
        let bind = |core: &mut Core, _| core.engine.udp_bind(addr, options);
        let id = shard
            .command(Sends::Later, bind)?
            .map_err(IntoIo::into_io)?;
        Ok((Arc::clone(shard), id))
    }

    /// Resets all connections, closes all listeners, and tells the drivers to end.
    pub(crate) fn shut_down(&self) {
        for shard in &*self.shards {
            shard.shut_down(StackClosed::Shutdown);
        }
    }

    /// Waits until all drivers have ended and the devices are closed.
    pub(crate) async fn ended(&self) {
        for shard in &*self.shards {
            shard.ended().await;
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        for shard in &*self.shards {
            shard.release();
        }
    }
}

impl Bound {
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.0[0].local_addr()
    }
}

/// A rotation over the shards.
#[derive(Debug, Default)]
pub(crate) struct Rotation(AtomicUsize);

impl Rotation {
    /// A range of `count` numbers that are, modulo `count`, all numbers below `count`. Each call
    /// begins with the next number.
    pub(crate) fn order(&self, count: usize) -> std::ops::Range<usize> {
        let first = match count {
            1 => 0,
            _ => self.0.fetch_add(1, Ordering::Relaxed) % count,
        };
        first..first + count
    }
}
