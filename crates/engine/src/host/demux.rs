//! Demultiplexing: finds the record of a four-tuple, which is a connection, a half-open connection
//! or a TIME-WAIT record.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use hashbrown::HashTable;

use crate::host::receive_queue::Arrivals;
use crate::host::scheduler::Turn;
use crate::host::stalled::Standing;
use crate::id::ConnectionId;
use crate::table::list::Links;
use crate::table::place::Place;
use crate::table::slab::Slab;
use crate::tcp::connection::Tcb;
use crate::tcp::listen::half_open::HalfOpen;
use crate::tcp::time_wait::TimeWait;
use crate::time::Instant;
use crate::timer::wheel::TimerId;
use crate::tuple::FourTuple;

/// A connection with its entries in the tables.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) tcb: Box<Tcb>,
    /// The connection's only entry in the timer wheel, and the time of that entry.
    pub(crate) filed: Option<(TimerId, Instant)>,
    /// Its place among the connections that have something to send.
    pub(crate) turn: Turn,
    /// Whether it is in the list of connections with news for the application.
    pub(crate) has_news: bool,
    /// Whether it is in the list of connections that may hold more memory than they need.
    pub(crate) loose: bool,
    /// What it received of late.
    pub(crate) arrivals: Arrivals,
    /// Bytes charged to the stack's memory for it.
    pub(crate) charged: u32,
    /// Whether its four-tuple leads to it. False once it has closed or has left the tuple to a
    /// TIME-WAIT record.
    pub(crate) on_wire: bool,
    /// The list that it is in, and its neighbours there.
    pub(crate) standing: Standing,
    pub(crate) links: Links,
}

impl Connection {
    pub(crate) fn new(tcb: Tcb) -> Self {
        Self {
            tcb: Box::new(tcb),
            filed: None,
            arrivals: Arrivals::default(),
            turn: Turn::default(),
            has_news: false,
            loose: false,
            charged: 0,
            on_wire: true,
            standing: Standing::default(),
            links: Links::default(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Half of the hash, so that the table can grow without visiting the records.
    hash: u32,
    place: u32,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Demux {
    pub(crate) connections: Slab<Connection>,
    pub(crate) half_open: Slab<HalfOpen>,
    pub(crate) time_wait: Slab<TimeWait>,
    table: HashTable<Entry>,
    key: [u8; 16],
    /// The last record found: packets arrive in trains.
    latest: Option<Place>,
}

/// Spreads 32 bits over 64: `hashbrown` takes its bucket from the low bits and its tag from the
/// high bits.
const fn spread(hash: u32) -> u64 {
    (hash as u64) << 32 | hash as u64
}

impl Demux {
    /// `key` keeps the hash secret, so that no attacker can direct all connections into one bucket.
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Self {
            connections: Slab::new(),
            half_open: Slab::new(),
            time_wait: Slab::new(),
            table: HashTable::new(),
            key,
            latest: None,
        }
    }

    /// The record to which the tuple leads.
    pub(crate) fn find(&mut self, tuple: &FourTuple) -> Option<Place> {
        if let Some(latest) = self.latest
            && self.tuple(latest).as_ref() == Some(tuple)
        {
            return self.latest;
        }
        self.latest = self.look_up(tuple);
        self.latest
    }

    /// Whether the tuple leads to a record.
    pub(crate) fn is_taken(&self, tuple: &FourTuple) -> bool {
        self.look_up(tuple).is_some()
    }

    fn look_up(&self, tuple: &FourTuple) -> Option<Place> {
        let hash = self.hash(tuple);
        self.table
            .find(spread(hash), |entry| self.is(entry, hash, tuple))
            .map(|entry| Place::from_key(entry.place))
    }

    /// Makes the record's own tuple lead to it. The tuple must be free.
    pub(crate) fn link(&mut self, place: Place) {
        let Some(tuple) = self.tuple(place) else {
            return;
        };
        debug_assert!(!self.is_taken(&tuple));
        let hash = self.hash(&tuple);
        let entry = Entry {
            hash,
            place: place.key(),
        };
        self.table
            .insert_unique(spread(hash), entry, |entry| spread(entry.hash));
    }

    /// Removes the record's tuple.
    pub(crate) fn unlink(&mut self, place: Place) {
        self.latest = None;
        let Some(tuple) = self.tuple(place) else {
            return;
        };
        let hash = self.hash(&tuple);
        let key = place.key();
        if let Ok(entry) = self
            .table
            .find_entry(spread(hash), |entry| entry.place == key)
        {
            entry.remove();
        }
    }

    /// The record of a connection that the application still holds.
    pub(crate) fn held(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections
            .named(id.index, id.generation)
            .filter(|connection| !connection.tcb.app.orphan)
    }

    pub(crate) fn held_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections
            .named_mut(id.index, id.generation)
            .filter(|connection| !connection.tcb.app.orphan)
    }

    pub(crate) fn id(&self, index: u32) -> ConnectionId {
        ConnectionId {
            index,
            generation: self.connections.generation(index),
        }
    }

    fn tuple(&self, place: Place) -> Option<FourTuple> {
        match place {
            Place::Connection(index) => self.connections.at(index).map(|c| c.tcb.tuple),
            Place::HalfOpen(index) => self.half_open.at(index).map(|h| h.tuple),
            Place::TimeWait(index) => self.time_wait.at(index).map(|t| t.tuple),
            Place::Reassembly(_) | Place::Membership => None,
        }
    }

    fn is(&self, entry: &Entry, hash: u32, tuple: &FourTuple) -> bool {
        entry.hash == hash && self.tuple(Place::from_key(entry.place)).as_ref() == Some(tuple)
    }

    fn hash(&self, tuple: &FourTuple) -> u32 {
        tuple.keyed_hash(&self.key, b'd') as u32
    }
}
