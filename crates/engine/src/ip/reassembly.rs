//! Reassembly of IP fragments (RFC 791 3.2, RFC 8200 4.5), within limits: a datagram with
//! overlapping fragments is dropped whole (RFC 5722), as is one that takes too long, and all of
//! them together hold a bounded number of bytes. When there is no more room, [`Shares`] selects the
//! datagram to drop.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;
use millstream_wire::ip::{self, Fragment};

use crate::error::DropReason;
use crate::ip::datagram::Datagram;
use crate::stats::Counters;
use crate::table::fair_shares::{Holding, Shares, network};
use crate::table::keyed::BuildKeyed;
use crate::table::place::Place;
use crate::table::slab::Slab;
use crate::time::Instant;
use crate::timer::wheel::{TimerId, Wheel};

/// Maximum time for the fragments of a datagram (Linux's `ipfrag_time`; RFC 8200 requires 60 s).
const TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum number of bytes held by datagrams under reassembly (Linux's `ipfrag_high_thresh`).
const MAX_BYTES: usize = 4 << 20;

/// The fraction, 1/16, of that memory above which a source gives way to others.
const SOURCE_PART: usize = 16;

/// Overhead in bytes of a datagram in the tables, and of a fragment besides its payload.
const DATAGRAM_OVERHEAD: usize = 1024;
const FRAGMENT_OVERHEAD: usize = 64;

/// The values that the fragments of one datagram have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    protocol: u8,
    id: u32,
}

#[derive(Debug)]
struct Partial {
    key: Key,
    /// The fragments received, by offset. Copied: a slice would keep the whole buffer of the device
    /// alive.
    pieces: BTreeMap<usize, Box<[u8]>>,
    received: usize,
    /// Length of the datagram, once the last fragment has arrived.
    total: Option<usize>,
    /// One marked fragment marks the datagram (RFC 3168 5.3).
    marked: bool,
    holding: Holding,
    timer: TimerId,
}

/// Datagrams of which some fragments have arrived.
#[derive(Debug)]
pub(crate) struct Reassembly {
    partial: Slab<Partial>,
    by_key: HashMap<Key, u32, BuildKeyed>,
    shares: Shares<u32>,
}

/// A fragment contradicts earlier ones.
struct Contradiction;

impl Partial {
    /// Adds one fragment. Returns whether it is new.
    fn insert(&mut self, fragment: &Fragment, payload: &[u8]) -> Result<bool, Contradiction> {
        let start = usize::from(fragment.offset);
        let end = start.saturating_add(payload.len());
        let beyond = self
            .total
            .is_some_and(|total| end > total || (!fragment.more && end != total));
        let last = self.pieces.last_key_value();
        let covered = last.map_or(0, |(start, piece)| start.saturating_add(piece.len()));
        if beyond || (!fragment.more && covered > end) {
            return Err(Contradiction);
        }
        if !fragment.more {
            self.total = Some(end);
        }
        if payload.is_empty() || self.has(start, payload)? {
            return Ok(false);
        }
        self.received = self.received.saturating_add(payload.len());
        self.pieces.insert(start, payload.into());
        Ok(true)
    }

    /// Whether identical bytes have arrived before, which makes the fragment a duplicate. If only
    /// some of them have, or different ones, that is a contradiction.
    fn has(&self, start: usize, payload: &[u8]) -> Result<bool, Contradiction> {
        let end = start.saturating_add(payload.len());
        let before = self.pieces.range(..=start).next_back();
        let first = match before {
            Some((&from, piece)) if from.saturating_add(piece.len()) > start => from,
            _ => {
                let next = self.pieces.range(start..).next();
                let overlaps = next.is_some_and(|(&from, _)| from < end);
                return if overlaps {
                    Err(Contradiction)
                } else {
                    Ok(false)
                };
            }
        };
        // The part of the payload that has not been found yet, and its offset.
        let (mut at, mut rest) = (start, payload);
        for (&from, piece) in self.pieces.range(first..end) {
            let piece = at.checked_sub(from).and_then(|skip| piece.get(skip..));
            let piece = piece.ok_or(Contradiction)?;
            let common = piece.len().min(rest.len());
            if piece.get(..common) != rest.get(..common) {
                return Err(Contradiction);
            }
            rest = rest.get(common..).unwrap_or_default();
            at = at.saturating_add(common);
        }
        if rest.is_empty() {
            Ok(true)
        } else {
            Err(Contradiction)
        }
    }

    fn is_complete(&self) -> bool {
        self.total == Some(self.received)
    }

    fn joined(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(self.received);
        for piece in self.pieces.values() {
            bytes.extend_from_slice(piece);
        }
        bytes.into()
    }
}

impl Reassembly {
    /// Creates an empty table. `key` keeps its hash secret.
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Self {
            partial: Slab::new(),
            by_key: HashMap::with_hasher(BuildKeyed::new(key)),
            shares: Shares::new(MAX_BYTES / SOURCE_PART),
        }
    }

    /// Adds a fragment that arrived at `arrived`; returns the datagram if it was the last one
    /// missing.
    pub(crate) fn add(
        &mut self,
        (now, arrived): (Instant, Instant),
        packet: &ip::Packet<'_>,
        fragment: &Fragment,
        wheel: &mut Wheel,
        counters: &mut Counters,
    ) -> Option<Datagram> {
        let key = Key {
            src: packet.src(),
            dst: packet.dst(),
            protocol: packet.protocol(),
            id: fragment.id,
        };
        let payload = packet.payload();
        let index = match self.by_key.get(&key) {
            Some(&index) => index,
            None => self.begin(now, key, wheel, counters),
        };
        let cost = payload.len().saturating_add(FRAGMENT_OVERHEAD);
        self.make_room(cost, wheel, counters);
        // Making room may have dropped this very datagram.
        let partial = self.partial.at_mut(index)?;
        partial.marked |= packet.ecn() == ip::Ecn::Ce;
        match partial.insert(fragment, payload) {
            Ok(true) => self.shares.grow(&mut partial.holding, cost),
            Ok(false) => {}
            Err(Contradiction) => {
                self.drop_datagram(index, wheel, counters);
                return None;
            }
        }
        if !partial.is_complete() {
            return None;
        }
        let partial = self.remove(index, wheel)?;
        let packet_ecn = packet.ecn();
        let bytes = partial.joined();
        Some(Datagram {
            arrived,
            src: key.src,
            dst: key.dst,
            protocol: key.protocol,
            ecn: if partial.marked {
                ip::Ecn::Ce
            } else {
                packet_ecn
            },
            body: 0..bytes.len(),
            packet: bytes,
        })
    }

    /// Drops the datagram whose timer has fired.
    pub(crate) fn on_timeout(&mut self, index: u32, wheel: &mut Wheel, counters: &mut Counters) {
        self.drop_datagram(index, wheel, counters);
    }

    /// Removes all incomplete datagrams.
    pub(crate) fn clear(&mut self, wheel: &mut Wheel) {
        for index in self.partial.indices() {
            self.remove(index, wheel);
        }
    }

    fn begin(&mut self, now: Instant, key: Key, wheel: &mut Wheel, counters: &mut Counters) -> u32 {
        self.make_room(DATAGRAM_OVERHEAD, wheel, counters);
        let shares = &mut self.shares;
        let (index, _) = self.partial.insert_with(|index| Partial {
            key,
            pieces: BTreeMap::new(),
            received: 0,
            total: None,
            marked: false,
            holding: shares.add(network(key.src, 32, 64), DATAGRAM_OVERHEAD, index),
            timer: wheel.insert(now + TIMEOUT, Place::Reassembly(index).key()),
        });
        self.by_key.insert(key, index);
        index
    }

    /// Drops datagrams until there is room for `cost` bytes: as few as possible, whatever their
    /// number.
    fn make_room(&mut self, cost: usize, wheel: &mut Wheel, counters: &mut Counters) {
        while self.shares.held().saturating_add(cost) > MAX_BYTES
            && let Some(index) = self.shares.first_to_go()
        {
            self.drop_datagram(index, wheel, counters);
        }
    }

    fn drop_datagram(&mut self, index: u32, wheel: &mut Wheel, counters: &mut Counters) {
        if self.remove(index, wheel).is_some() {
            counters.count_drop(DropReason::Fragment);
        }
    }

    /// Removes the record of a datagram, complete or not.
    fn remove(&mut self, index: u32, wheel: &mut Wheel) -> Option<Partial> {
        let partial = self.partial.remove(index)?;
        wheel.cancel(partial.timer);
        self.by_key.remove(&partial.key);
        self.shares.remove(&partial.holding);
        Some(partial)
    }
}
