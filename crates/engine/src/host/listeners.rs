//! Listeners as an application uses them: listen, accept, close.

use std::net::SocketAddr;

use super::open::Binding;
use super::ports::Hold;
use super::{Stack, seen_addresses};
use crate::config::limits::InvalidOption;
use crate::config::{ListenOptions, SocketOptions};
use crate::error::ListenError;
use crate::id::ListenerId;
use crate::tcp::listen::listener::{Accepted, Listener};
use crate::time::Instant;

impl Stack {
    /// Listens on a bound address (RFC 9293 3.9.1.1, passive OPEN). The binding is consumed even on
    /// failure (RFC 9293 MUST-41, MUST-42).
    ///
    /// # Errors
    ///
    /// [`ListenError::AddrInUse`] if another listener has the address, and
    /// [`ListenError::InvalidOption`].
    pub fn listen(
        &mut self,
        binding: Binding,
        options: ListenOptions,
    ) -> Result<ListenerId, ListenError> {
        let Binding { addr, grouped, .. } = binding;
        self.unbind(binding);
        options.socket.validate()?;
        let shared = grouped && self.ports.is_free_for_group(addr);
        if self.ports.has_listener(addr) && !shared {
            return Err(ListenError::AddrInUse(addr));
        }
        let v6_only = options.v6_only;
        self.ports.hold(addr, Hold::Listener { v6_only });
        if grouped {
            self.ports.hold(addr, Hold::InGroup);
        }
        Ok(self.listeners.insert(addr, grouped, options))
    }

    /// The address on which a listener listens.
    #[must_use]
    pub fn listener_addr(&self, id: ListenerId) -> Option<SocketAddr> {
        self.listeners.get(id).map(|listener| listener.addr)
    }

    /// Sets the initial options of a listener's connections. A change applies to connections whose
    /// handshake follows.
    ///
    /// # Errors
    ///
    /// A value is refused. The options keep their previous values.
    pub fn set_listener_options(
        &mut self,
        id: ListenerId,
        change: impl FnOnce(&mut SocketOptions),
    ) -> Result<(), InvalidOption> {
        if let Some(listener) = self.listeners.get_mut(id) {
            listener.options = listener.options.changed(change)?;
        }
        Ok(())
    }

    /// Takes the next connection whose handshake is complete. `None` if there is none;
    /// [`Event::Incoming`](crate::event::Event::Incoming) reports the next.
    pub fn accept(&mut self, id: ListenerId) -> Option<Accepted> {
        let listener = self.listeners.get_mut(id)?;
        while let Some(connection) = listener.ready.pop_front() {
            if let Some(held) = self.demux.held(connection) {
                let (local, peer) = seen_addresses(&held.tcb);
                return Some(Accepted {
                    id: connection,
                    local,
                    peer,
                });
            }
        }
        listener.told = false;
        None
    }

    /// Closes a listener. Connections not yet accepted are reset; half-open connections are removed
    /// with a reset to the peer.
    pub fn close_listener(&mut self, now: Instant, id: ListenerId) {
        let Some(listener) = self.listeners.get_mut(id) else {
            return;
        };
        let ready = std::mem::take(&mut listener.ready);
        let returned = listener
            .any
            .as_mut()
            .map(|any| std::mem::take(&mut any.returned));
        let (addr, v6_only, any) = (listener.addr, listener.v6_only, listener.any.is_some());
        let grouped = listener.grouped;
        for connection in ready {
            self.abort(now, connection);
        }
        for attempt in returned.into_iter().flatten() {
            self.refuse(now, attempt);
        }
        while let Some(index) = self.listeners.get(id).and_then(Listener::oldest_half_open) {
            self.remove_half_open(index, now, true);
        }
        self.listeners.remove(id);
        if grouped {
            self.ports.release(addr, Hold::InGroup);
        }
        if !any {
            self.ports.release(addr, Hold::Listener { v6_only });
        }
    }
}
