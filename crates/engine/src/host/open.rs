//! Opening: bind, listen, connect.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use millstream_wire::SeqNum;

use super::Stack;
use super::ports::Hold;
use crate::config::SocketOptions;
use crate::error::{BindError, ConnectError, ConnectionError};
use crate::id::{ConnectionId, ListenerId};
use crate::ip::address::Kind;
use crate::stats::count;
use crate::tcp::connection::{Birth, Offer, Outcome, Tcb};
use crate::tcp::state::State;
use crate::time::Instant;
use crate::tuple::FourTuple;

/// A local address held for a socket that neither listens nor connects yet. Release it with
/// [`Stack::unbind`].
#[derive(Debug)]
#[must_use = "the address stays taken until the binding is given back"]
pub struct Binding {
    pub(super) addr: SocketAddr,
    reuse: bool,
    /// Whether it belongs to a group: see [`Stack::bind_in_group`].
    pub(super) grouped: bool,
}

impl Binding {
    /// The address, with the chosen port if none was requested.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Stack {
    /// Sets the initial sequence number of the next connection, whether opened actively or
    /// passively, so that a trace can be replayed exactly. Never use this in production: an
    /// attacker that can predict an ISN can forge segments (RFC 6528).
    pub fn set_next_isn(&mut self, isn: SeqNum) {
        self.isn.set_next(isn);
    }

    /// Holds a local address. The address may be unspecified, and port 0 requests a free port
    /// (RFC 9293 MUST-43).
    ///
    /// # Errors
    ///
    /// [`BindError::AddrNotAvailable`] if the address does not belong to the stack: allowed are its
    /// own addresses, loopback, unspecified, and over IPv4 multicast and broadcast.
    /// [`BindError::AddrInUse`] if the address is held, TIME-WAIT included. With `reuse_addr` it
    /// may be shared with sockets that set `reuse_addr` too, and with TIME-WAIT, but not with a
    /// listener.
    pub fn bind(&mut self, addr: SocketAddr, reuse_addr: bool) -> Result<Binding, BindError> {
        self.bind_as(addr, reuse_addr, false)
    }

    /// Like [`bind`](Self::bind) without `reuse_addr`, but several sockets may be bound to one
    /// address and listen there, if all of them are bound by this call (`SO_REUSEPORT`). A
    /// connection goes to one of the listeners, chosen by a keyed hash of its four-tuple.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn bind_in_group(&mut self, addr: SocketAddr) -> Result<Binding, BindError> {
        self.bind_as(addr, false, true)
    }

    fn bind_as(
        &mut self,
        addr: SocketAddr,
        reuse: bool,
        grouped: bool,
    ) -> Result<Binding, BindError> {
        let mut addr = SocketAddr::new(addr.ip().to_canonical(), addr.port());
        self.check_bindable(addr.ip())?;
        if addr.port() == 0 {
            let port = self
                .ports
                .free_port(addr.ip())
                .ok_or(BindError::NoPortFree)?;
            addr.set_port(port);
        } else if !(self.ports.is_free(addr, reuse)
            || grouped && self.ports.is_free_for_group(addr))
        {
            return Err(BindError::AddrInUse(addr));
        }
        self.ports.hold(addr, Hold::Socket { reuse });
        if grouped {
            self.ports.hold(addr, Hold::InGroup);
        }
        Ok(Binding {
            addr,
            reuse,
            grouped,
        })
    }

    /// Whether a socket can be bound to `ip`. As on Linux, addresses that denote no single host are
    /// accepted too, except IPv6 multicast: a listener on one receives nothing, and a connection
    /// leaves from another address.
    fn check_bindable(&self, ip: IpAddr) -> Result<(), BindError> {
        match self.kind(ip) {
            Kind::Unspecified | Kind::Broadcast => Ok(()),
            Kind::Multicast if ip.is_ipv4() => Ok(()),
            Kind::Multicast => Err(BindError::InvalidAddress(ip)),
            _ if self.is_local(ip) => Ok(()),
            _ => Err(BindError::AddrNotAvailable(ip)),
        }
    }

    /// Releases a binding. A connection made with it continues to hold the port.
    #[expect(clippy::needless_pass_by_value, reason = "the binding is used up")]
    pub fn unbind(&mut self, binding: Binding) {
        let reuse = binding.reuse;
        if binding.grouped {
            self.ports.release(binding.addr, Hold::InGroup);
        }
        self.ports.release(binding.addr, Hold::Socket { reuse });
    }

    /// The initial options of a listener's connections.
    #[must_use]
    pub fn listener_options(&self, id: ListenerId) -> Option<&SocketOptions> {
        self.listeners.get(id).map(|listener| &*listener.options)
    }

    /// Begins to connect (RFC 9293 3.9.1.1, active OPEN): the SYN is ready to be sent when this
    /// returns. [`Readiness::CONNECTED`](crate::Readiness::CONNECTED) signals the outcome; then
    /// call [`finish_connect`](Self::finish_connect). An unspecified remote address means this
    /// stack itself, as on Linux: the address to which the socket is bound, or loopback.
    ///
    /// # Errors
    ///
    /// Errors known before anything is sent: see [`ConnectError`].
    pub fn connect(
        &mut self,
        now: Instant,
        binding: Option<&Binding>,
        remote: SocketAddr,
        options: SocketOptions,
    ) -> Result<ConnectionId, ConnectError> {
        let remote = meant(binding, remote);
        options.validate()?;
        self.check_remote(remote)?;
        let tuple = self.choose_tuple(binding, remote)?;
        let birth = Birth {
            tuple,
            now,
            iss: self.isn.isn(&tuple, now),
            timestamp_offset: self.isn.timestamp_offset(&tuple),
        };
        let options = self.options_toward(tuple.remote_ip, Arc::new(options));
        let ours = Offer::ours(&self.config, &options, tuple.local_ip);
        let mut tcb = Tcb::active(&birth, &ours, options);
        tcb.app.reuse = binding.is_some_and(|binding| binding.reuse);
        tcb.app.port_chosen = binding.is_none();
        let id = self.adopt(tcb);
        count(&mut self.counters.active_opens);
        self.with_connection(now, id.index, |tcb, cx| {
            tcb.begin(cx);
            Outcome::Alive
        });
        Ok(id)
    }

    /// The index of the [`Share`](crate::Share) whose stack must make a connection from a bound
    /// address to `remote`. `None` if no such connection is possible; `connect` of any stack then
    /// returns the reason.
    #[must_use]
    pub fn share_of(&self, binding: &Binding, remote: SocketAddr) -> Option<u16> {
        let remote = meant(Some(binding), remote);
        let local = self.local_end(Some(binding), remote).ok()?;
        Some(self.sharing.owner(&FourTuple::new(local, remote)))
    }

    /// Whether a connection to that address is possible (RFC 9293 MUST-46).
    fn check_remote(&self, remote: SocketAddr) -> Result<(), ConnectError> {
        let ip = remote.ip();
        match self.kind(ip) {
            _ if self.is_local(ip) => {}
            Kind::Multicast | Kind::Broadcast => return Err(ConnectError::NetworkUnreachable(ip)),
            Kind::Host if !self.is_routed(ip) => return Err(ConnectError::NetworkUnreachable(ip)),
            Kind::Host | Kind::Loopback => {}
            Kind::Unspecified | Kind::Reserved => {
                return Err(ConnectError::InvalidDestination(remote));
            }
        }
        if remote.port() == 0 {
            // The port is reserved (RFC 6335 6): no host listens on it.
            return Err(ConnectError::Refused(remote));
        }
        Ok(())
    }

    fn choose_tuple(
        &mut self,
        binding: Option<&Binding>,
        remote: SocketAddr,
    ) -> Result<FourTuple, ConnectError> {
        let mut local = self.local_end(binding, remote)?;
        if local.port() == 0 {
            let tuple = FourTuple::new(local, remote);
            let (demux, sharing) = (&self.demux, &self.sharing);
            let taken = |port| {
                let candidate = FourTuple {
                    local_port: port,
                    ..tuple
                };
                !sharing.owns(&candidate) || demux.is_taken(&candidate)
            };
            let port = self
                .ports
                .connection_port(&tuple, taken)
                .ok_or(ConnectError::AddrNotAvailable(remote))?;
            local.set_port(port);
        }
        let tuple = FourTuple::new(local, remote);
        if !self.sharing.owns(&tuple) {
            let owner = self.sharing.owner(&tuple);
            return Err(ConnectError::OtherShare {
                local,
                remote,
                owner,
            });
        }
        if self.demux.find(&tuple).is_some() {
            return Err(ConnectError::AddrInUse { local, remote });
        }
        Ok(tuple)
    }

    /// The local end of a connection to `remote`; port 0 if the port is still to be chosen.
    fn local_end(
        &self,
        binding: Option<&Binding>,
        remote: SocketAddr,
    ) -> Result<SocketAddr, ConnectError> {
        let bound = binding.map(|binding| binding.addr);
        let local_ip = match bound.map(|addr| addr.ip()) {
            Some(ip) if self.is_local(ip) => ip,
            Some(IpAddr::V4(any)) if remote.is_ipv6() => {
                let local = SocketAddr::new(any.into(), 0);
                return Err(ConnectError::FamilyMismatch { local, remote });
            }
            _ => self
                .source_for(remote.ip())
                .ok_or(ConnectError::AddrNotAvailable(remote))?,
        };
        let local = SocketAddr::new(local_ip, bound.map_or(0, |addr| addr.port()));
        if local.is_ipv4() != remote.is_ipv4() {
            return Err(ConnectError::FamilyMismatch { local, remote });
        }
        if Kind::of(local_ip) == Kind::Loopback && !self.is_local(remote.ip()) {
            // RFC 1122 3.2.1.3 (g): it must not appear outside of a host.
            return Err(ConnectError::InvalidDestination(remote));
        }
        Ok(local)
    }

    /// Whether the handshake is complete. A failure is reported once.
    ///
    /// # Errors
    ///
    /// The reason why the connection could not be made.
    pub fn finish_connect(&mut self, id: ConnectionId) -> Result<bool, ConnectionError> {
        let Some(connection) = self.demux.held_mut(id) else {
            return Err(ConnectionError::Aborted);
        };
        let tcb = &mut connection.tcb;
        if let Some(error) = tcb.app.take_error() {
            return Err(error);
        }
        match *tcb.state {
            State::Closed if tcb.app.error_reported => Err(ConnectionError::Aborted),
            State::SynSent | State::SynReceived => Ok(false),
            _ => Ok(true),
        }
    }
}

/// The destination that a program means (see [`Stack::meant_by`]), with mapped addresses converted
/// to IPv4.
fn meant(binding: Option<&Binding>, remote: SocketAddr) -> SocketAddr {
    let bound = binding.map(|binding| binding.addr.ip());
    SocketAddr::new(Stack::meant_by(remote.ip(), bound), remote.port())
}
