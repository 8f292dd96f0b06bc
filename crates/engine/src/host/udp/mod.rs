//! The UDP sockets of this host.
//!
//! - this file: the tables, the events, and what follows a step on a socket;
//! - `open`: bind, connect, close, options; `queries`: getters;
//! - `input`: from a datagram to its sockets; `errors`: ICMP errors;
//! - `output`: from a call to a queue, and from there to packets;
//! - `groups`: multicast membership.
//!
//! A socket shares the lists of those with something to send and with news for the application with
//! TCP's connections. There its index is [marked](mark).

mod errors;
mod groups;
mod input;
mod open;
mod output;
mod queries;

use crate::event::{Event, Readiness};
use crate::host::Stack;
use crate::host::ports::{Hold, PortTable};
use crate::host::scheduler::Turn;
use crate::id::UdpId;
use crate::ip::groups::Groups;
use crate::ip::path_mtu::PathMtus;
use crate::table::slab::Slab;
use crate::time::Instant;
use crate::timer::wheel::TimerId;
use crate::udp::idents::Idents;
use crate::udp::socket::Socket;
use crate::udp::table::Table;

/// The bit that tells a socket's index from a connection's, which has 30 bits at the most.
const MARK: u32 = 1 << 31;

/// The index of a socket in a list of sockets and connections.
pub(super) const fn mark(index: u32) -> u32 {
    index | MARK
}

/// The index of the socket, if it is not a connection.
pub(super) const fn unmark(index: u32) -> Option<u32> {
    if index & MARK == 0 {
        return None;
    }
    Some(index & !MARK)
}

/// A socket with its places in the lists.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) socket: Socket,
    /// Whether datagrams lead to it.
    on_wire: bool,
    /// Its place among those that have something to send.
    pub(super) turn: Turn,
    /// Whether it is in the list of those with news for the application.
    has_news: bool,
    /// Whether it is in the list of those that may hold more memory than they need.
    loose: bool,
    /// Bytes charged to the stack's memory for it.
    charged: u32,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Datagrams {
    pub(super) sockets: Slab<Held>,
    table: Table,
    /// UDP has port numbers of its own.
    ports: PortTable,
    /// What routers report about paths of datagrams, apart from TCP's: reports about datagrams are
    /// easier to forge.
    paths: PathMtus,
    idents: Idents,
    groups: Groups,
    /// The timer of the reports about groups, and its time.
    filed: Option<(TimerId, Instant)>,
}

impl Datagrams {
    /// `key` returns a secret of its own for each number.
    pub(super) fn new(
        ephemeral_ports: std::ops::RangeInclusive<u16>,
        key: impl Fn(u8) -> [u8; 16],
    ) -> Self {
        Self {
            sockets: Slab::new(),
            table: Table::new(key(0)),
            ports: PortTable::new(ephemeral_ports, key(1)),
            paths: PathMtus::new(key(2)),
            idents: Idents::new(key(3)),
            groups: Groups::new(key(4)),
            filed: None,
        }
    }

    fn id(&self, index: u32) -> UdpId {
        UdpId {
            index,
            generation: self.sockets.generation(index),
        }
    }

    /// A socket that the application holds.
    fn held(&self, id: UdpId) -> Option<&Held> {
        let held = self.sockets.named(id.index, id.generation);
        held.filter(|held| !held.socket.orphan)
    }

    fn held_mut(&mut self, id: UdpId) -> Option<&mut Held> {
        let held = self.sockets.named_mut(id.index, id.generation);
        held.filter(|held| !held.socket.orphan)
    }

    /// The place of a socket, given by its index in the list of those that send.
    pub(super) fn turn(&mut self, marked: u32) -> Option<&mut Turn> {
        let held = self.sockets.at_mut(unmark(marked)?)?;
        Some(&mut held.turn)
    }

    /// Makes the socket's keys lead to it.
    fn link(&mut self, index: u32) {
        let Some(held) = self.sockets.at(index) else {
            return;
        };
        for key in held.socket.keys() {
            self.table.insert(key, index);
        }
    }

    fn unlink(&mut self, index: u32) {
        let Some(held) = self.sockets.at(index) else {
            return;
        };
        for key in held.socket.keys() {
            self.table.remove(&key, index);
        }
    }
}

/// How a socket holds its port.
const fn hold(socket: &Socket) -> Hold {
    let reuse = socket.reuse;
    if socket.v6_only && socket.bound.ip().is_unspecified() {
        Hold::V6Only { reuse }
    } else {
        Hold::Socket { reuse }
    }
}

impl Stack {
    /// Settles what follows a step on a socket: for the memory, for the application, for those that
    /// wait to send, and for a socket that was closed.
    fn settle_socket(&mut self, index: u32) {
        let Some(held) = self.udp.sockets.at_mut(index) else {
            return;
        };
        let socket = &mut held.socket;
        self.memory.settle(&mut held.charged, socket.memory());
        if socket.outgoing.take_room(socket.options.send_buffer) {
            socket.readiness |= Readiness::WRITABLE;
        }
        if socket.received.is_loose() && !std::mem::replace(&mut held.loose, true) {
            self.loose.push(mark(index));
        }
        let has_news = !socket.readiness.is_empty() && !socket.orphan;
        if has_news && !std::mem::replace(&mut held.has_news, true) {
            self.news.push_back(mark(index));
        }
        let (orphan, is_idle) = (socket.orphan, socket.outgoing.is_empty());
        if !is_idle {
            self.want_turn(mark(index));
        } else if orphan {
            self.udp.sockets.remove(index);
        }
    }

    /// The event of a socket in the list of those with news.
    pub(super) fn socket_event(&mut self, marked: u32) -> Option<Event> {
        let index = unmark(marked)?;
        let id = self.udp.id(index);
        let held = self.udp.sockets.at_mut(index)?;
        held.has_news = false;
        let readiness = std::mem::take(&mut held.socket.readiness);
        let has_news = !readiness.is_empty() && !held.socket.orphan;
        has_news.then_some(Event::Udp(id, readiness))
    }

    /// Copies the payloads that keep far more memory alive than their own length.
    pub(super) fn compact_socket(&mut self, marked: u32) {
        if let Some(index) = unmark(marked)
            && let Some(held) = self.udp.sockets.at_mut(index)
        {
            held.loose = false;
            held.socket.received.compact();
        }
    }

    /// Closes every socket. With `keep_unread`, what waits to be read can still be read.
    pub(super) fn end_sockets(&mut self, now: Instant, keep_unread: bool) {
        for index in self.udp.sockets.indices() {
            let Some(held) = self.udp.sockets.at(index) else {
                continue;
            };
            if keep_unread && !held.socket.received.is_empty() {
                self.leave_ports(now, index);
            } else {
                self.close_socket(now, index);
            }
        }
        self.end_groups();
    }
}
